package httpgateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func okHandler(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") }

// crowd is a server with room for two connections and one to turn away.
func crowd(t *testing.T) (*pipeListener, *turnstile) {
	l, stile := newPipeListener(), newTurnstile(2, 1)
	serveOn(t, newServer(http.HandlerFunc(okHandler), stile), l)
	return l, stile
}

// TestCrowdIsTurnedAway: a connection too many is answered, as by a cache that
// has nothing, and closed.
func TestCrowdIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := crowd(t)
		ask := func(c *wire, method, path string) reply {
			c.send(method+" "+path+" HTTP/1.1", "Host: localhost", "")
			return c.mustReceive(method)
		}
		first, second := newWire(t, l.dial()), newWire(t, l.dial())
		for _, c := range []*wire{first, second} {
			if a := ask(c, "GET", "/x"); a.code() != "200" || a.closed {
				t.Errorf("%s", a.text())
			}
		}
		for path, want := range map[string]string{
			"/nix-cache-info": "200", "/" + aHash + ".narinfo": "404", "/x": "404",
		} {
			if a := ask(newWire(t, l.dial()), "GET", path); a.code() != want || !a.closed {
				t.Errorf("%s: %s", path, a.text())
			}
			synctest.Wait()
		}
		if a := ask(newWire(t, l.dial()), "HEAD", "/nix-cache-info"); a.code() != "200" || !a.closed {
			t.Errorf("%s", a.text())
		}
		if a := ask(newWire(t, l.dial()), "PUT", "/nix-cache-info"); a.code() != "404" || !a.closed {
			t.Errorf("%s", a.text())
		}
		_ = first.conn.Close()
		synctest.Wait()
		if a := ask(newWire(t, l.dial()), "GET", "/x"); a.code() != "200" || a.closed {
			t.Errorf("with room again: %s", a.text())
		}
		if a := ask(second, "GET", "/x"); a.code() != "200" {
			t.Errorf("an old connection: %s", a.text())
		}
	})
}

// TestSilentMakeWay: who says nothing, or half a request, takes nobody's place, and goes when there are too many.
func TestSilentMakeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stile := crowd(t)
		first := newWire(t, l.dial())
		synctest.Wait()
		second := newWire(t, l.dial())
		_, _ = io.WriteString(second.conn, "GET / HTTP/1.1\r\nHost: loc")
		synctest.Wait()
		third := newWire(t, l.dial())
		synctest.Wait()
		began := time.Now()
		for i, silent := range []*wire{first, second} {
			c := newWire(t, l.dial())
			c.send("GET /x HTTP/1.1", "Host: localhost", "")
			if a := c.mustReceive("GET"); a.code() != "200" || a.closed {
				t.Errorf("client %d: %s", i, a.text())
			}
			if err := silent.ended(); err != nil {
				t.Errorf("the silent connection %d: %v", i, err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("answered after %v", took)
		}
		synctest.Wait()
		stile.mu.Lock()
		all, asking, silent := len(stile.all), stile.asking, stile.silent.Len()
		stile.mu.Unlock()
		if all != 3 || asking != 2 || silent != 1 {
			t.Errorf("%d connections, %d asking, %d silent", all, asking, silent)
		}
		_ = third.conn.Close()
	})
}

// TestSilentSwarm: however many come and say nothing, who asks is answered at
// once.
func TestSilentSwarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := crowd(t)
		for range 50 {
			for range 7 {
				newWire(t, l.dial())
			}
			began := time.Now()
			c := newWire(t, l.dial())
			c.send("GET /x HTTP/1.1", "Host: localhost", "")
			if a := c.mustReceive("GET"); a.code() != "200" {
				t.Fatalf("%s", a.text())
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("answered after %v", took)
			}
			_ = c.conn.Close()
			synctest.Wait()
		}
	})
}

// TestServerTimes: lines that come slowly, bodies that do not come, connections
// that idle.
func TestServerTimes(t *testing.T) {
	for _, c := range []struct {
		name  string
		send  string
		codes string // of the answers
		after time.Duration
	}{
		{"no request", "", "", readHeaderTimeout},
		{"half a request", "GET / HTTP/1.1\r\nHost: loc", "", readHeaderTimeout},
		{"idle", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "200", idleTimeout},
		{"a body that does not come", "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", "200", bodyTimeout},
		{"a body that waits to be asked for", "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", "200", bodyTimeout},
		{"chunks that do not come", "PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", "200", bodyTimeout},
		{"a body, then idle", "PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", "200", idleTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, _ := crowd(t)
				conn := newWire(t, l.dial())
				_ = conn.conn.SetDeadline(time.Time{})
				began := time.Now()
				if _, err := io.WriteString(conn.conn, c.send); err != nil {
					t.Fatal(err)
				}
				var codes []string
				if c.codes != "" {
					a := conn.mustReceive("GET")
					codes = append(codes, a.code())
				}
				if err := conn.ended(); err != nil {
					t.Error(err)
				}
				if got := strings.Join(codes, " "); got != c.codes {
					t.Errorf("answered %q, want %q", got, c.codes)
				}
				if took := time.Since(began); took != c.after {
					t.Errorf("closed after %v, want %v", took, c.after)
				}
			})
		})
	}
}

// TestLongHeads: net/http adds 4 KiB to what it is told.
func TestLongHeads(t *testing.T) {
	for length, want := range map[int]string{maxHeaderBytes: "200", maxHeaderBytes + 8<<10: "431"} {
		synctest.Test(t, func(t *testing.T) {
			l := newPipeListener()
			serveOn(t, NewServer(http.HandlerFunc(okHandler)), l)
			c := newWire(t, l.dial())
			go func() { // the server does not read all of it
				_, _ = io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: "+strings.Repeat("x", length)+"\r\n\r\n")
			}()
			line, err := c.r.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+want) {
				t.Errorf("%d bytes: %q, %v", length, line, err)
			}
			_, _ = io.ReadAll(c.r) // net/http lingers before it closes
		})
	}
}

// TestPages: pages are for people, and a foreign site is not let in to them.
func TestPages(t *testing.T) {
	var asked []string
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		writeText(w, http.StatusTeapot, "a page\n")
	})
	for name, h := range map[string]http.Handler{
		"gateway": New(newFakeCache(t), Options{Page: page}),
		"standby": Standby(Options{Page: page}),
	} {
		asked = nil
		for _, path := range []string{"/", "/why/" + aHash, "/ns/acme-1/", "/health"} {
			if w := get(h, path); w.Code != http.StatusTeapot {
				t.Errorf("%s: %s: %d", name, path, w.Code)
			}
		}
		for _, path := range []string{"/nix-cache-info", "/" + aHash + ".narinfo", "/" + aHash + ".ls", "/log/x.drv"} {
			if w := get(h, path); w.Code == http.StatusTeapot {
				t.Errorf("%s: %s is a page", name, path)
			}
		}
		if got := strings.Join(asked, " "); got != "/ /why/"+aHash+" /ns/acme-1/ /health" {
			t.Errorf("%s: pages asked for: %s", name, got)
		}
	}
}

// TestStats counts a day's work.
func TestStats(t *testing.T) {
	hello := newSample(t, "h", "hello-1.0", digits(100))
	cache := newFakeCache(t)
	cache.add(hello)
	g := New(cache, Options{Budget: ample})
	defer func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if s := g.Stats(); !s.LastAsked.IsZero() {
		t.Errorf("asked at %v before anybody did", s.LastAsked)
	}
	before := time.Now()
	get(g, hello.infoURL())
	get(g, hello.infoURL())
	get(g, "/"+aHash+".narinfo")
	get(g, hello.narURL())
	get(g, "/nix-cache-info")
	foreign, page := "http://evil.example/nix-cache-info", "http://evil.example/"
	for _, url := range []string{foreign, page} {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		g.ServeHTTP(discard{http.Header{}}, r)
	}
	s := g.Stats()
	if s.LastAsked.Before(before) {
		t.Errorf("asked at %v", s.LastAsked)
	}
	s.LastAsked, s.Waiting = time.Time{}, 0
	want := Stats{NarBytes: 100, Refused: 2}
	want.NarInfos[Given], want.NarInfos[NotHere], want.Nars[Given] = 2, 1, 1
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
