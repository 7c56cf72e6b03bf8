package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// wanBudget is what a narinfo may take, whatever hangs, and slack what this machine may be busy with meanwhile: a guard that is missing
// costs seconds.
const (
	wanBudget = 300 * time.Millisecond
	slack     = 1500 * time.Millisecond
)

// wave asks for narinfos as Nix does, 25 at a time, and returns the slowest answer and how many were given. Anything but 200 and 404
// fails the test.
func (p *process) wave(paths ...string) (slowest time.Duration, given int) {
	p.t.Helper()
	var mu sync.Mutex
	var running sync.WaitGroup
	free := make(chan struct{}, 25)
	for _, path := range paths {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			began := time.Now()
			status, err := askOnce(strings.TrimPrefix(p.gateway, "http://"), path)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
			if status == http.StatusOK {
				given++
			}
			if err != nil || status != http.StatusOK && status != http.StatusNotFound {
				p.t.Errorf("%s: %d, %v", path, status, err)
			}
		})
	}
	running.Wait()
	return slowest, given
}

// withinBudget asks for paths and for as many that nobody has, twice over, and fails the test if one comes late or all of it takes longer than
// a build may lose.
func (p *process) withinBudget(when string, paths []nix.StorePath) (given int) {
	p.t.Helper()
	began := time.Now()
	var slowest time.Duration
	for round := range 2 {
		var ask []string
		for i, path := range paths {
			ask = append(ask, "/"+path.Hash().String()+".narinfo", fmt.Sprintf("/%d%s.narinfo", round, strings.Repeat("0", 29)+fmt.Sprintf("%02d", i)))
		}
		took, n := p.wave(ask...)
		slowest, given = max(slowest, took), n
	}
	all := time.Since(began)
	p.t.Logf("%s: %d of %d given, the slowest answer took %v, all took %v", when, given, len(paths), slowest.Round(time.Millisecond), all.Round(time.Millisecond))
	if slowest > wanBudget+slack {
		p.t.Errorf("%s: an answer took %v", when, slowest)
	}
	if all > 2*time.Second+slack {
		p.t.Errorf("%s: %d answers took %v", when, 4*len(paths), all)
	}
	return given
}

// afterGrace waits until the daemon's node is past the time in which it may be slow.
func (p *process) afterGrace() {
	p.t.Helper()
	p.await("to be past its grace", func() bool {
		var s report.Status
		p.must(&s, "status")
		return s.Node.Uptime > 2.1
	})
}

// TestBudgetPeer: a peer, the only one, that hangs, refuses, resets or trickles, from the beginning or all of a sudden, costs no narinfo more
// than its budget, and when it is well again what it has is given.
func TestBudgetPeer(t *testing.T) {
	paths := small(t, "budget-peer")
	port := peerPort(t)
	a := daemon(t, "publisher", "--port", port)
	var made report.New
	a.must(&made, "new", "acme-1")
	a.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	for _, f := range allFaults {
		t.Run(f.String(), func(t *testing.T) {
			l := newLine(t, "127.0.0.1:"+port)
			l.is(f)
			b := daemon(t, "user", "--port", peerPort(t), "--peer", l.addr)
			b.afterGrace()
			b.withinBudget("from the beginning", paths)
			l.is(healthy)
			b.awaitPeers(1)
			l.is(f)
			b.must(nil, "use", made.Address)
			if given := b.withinBudget("connected, never synced", paths); f == hangs && given != 0 { // else it may come by the publisher's own address
				t.Errorf("%d paths came over a line that %s", given, f)
			}
			l.is(healthy)
			b.await("to list the paths", func() bool {
				var s report.Status
				b.must(&s, "status")
				return s.Namespaces[0].Paths == len(paths)
			})
			b.await("to give them", func() bool { _, given := b.wave("/" + paths[0].Hash().String() + ".narinfo"); return given == 1 })
			l.is(f)
			b.withinBudget("all of a sudden", paths)
			l.is(healthy)
			b.await("to give them again", func() bool { _, given := b.wave("/" + paths[1].Hash().String() + ".narinfo"); return given == 1 })
			b.stop()
		})
	}
}

// TestBudgetOrigin is the same with an HTTP cache behind the gateway: all of a sudden, from the daemon's start, and where the cache that was
// named sends on to another, which is the one that misbehaves.
func TestBudgetOrigin(t *testing.T) {
	paths := small(t, "budget-origin")
	c := newHTTPCache(t, "zstd", paths)
	for _, by := range []string{"by itself", "behind a redirect"} {
		for _, f := range allFaults {
			t.Run(f.String()+" "+by, func(t *testing.T) {
				l := newLine(t, strings.TrimPrefix(c.URL, "http://"))
				named := "http://" + l.addr
				var sentOn atomic.Int64
				if by == "behind a redirect" {
					first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						sentOn.Add(1)
						http.Redirect(w, r, "http://"+l.addr+r.URL.Path, http.StatusFound)
					}))
					t.Cleanup(first.Close)
					named = first.URL
				}
				p := daemon(t, "user")
				p.must(nil, "use", c.key, "--origin", named)
				third := len(paths) / 3
				p.afterGrace()
				if _, given := p.wave("/" + paths[0].Hash().String() + ".narinfo"); given != 1 {
					t.Error("a line that is healthy gives nothing")
				}
				l.is(f)
				if given := p.withinBudget("all of a sudden", paths[third:2*third]); f == refuses && given != 0 {
					t.Errorf("%d paths came over a line that %s", given, f)
				}
				l.is(healthy)
				p.await("to give them again", func() bool { _, given := p.wave("/" + paths[third].Hash().String() + ".narinfo"); return given == 1 })

				l.is(f)
				p.stop()
				p.start()
				before := sentOn.Load()
				if given := p.withinBudget("from the daemon's start", paths[2*third:]); f == refuses && given != 0 {
					t.Errorf("%d paths came over a line that %s", given, f)
				}
				if by == "behind a redirect" && sentOn.Load() == before {
					t.Error("nothing was asked of the cache that was named")
				}
				l.is(healthy)
				p.await("to give them after all", func() bool { _, given := p.wave("/" + paths[2*third].Hash().String() + ".narinfo"); return given == 1 })
				p.stop()
			})
		}
	}
}

// TestBudgetDHT: the DHT is known by one node of it, which is of no use.
func TestBudgetDHT(t *testing.T) {
	paths := small(t, "budget-dht")
	port := peerPort(t)
	a := daemon(t, "publisher", "--port", port)
	var made report.New
	a.must(&made, "new", "acme-1")
	a.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	for _, f := range allFaults {
		t.Run(f.String(), func(t *testing.T) {
			boot := newLine(t, "127.0.0.1:"+port)
			l := newLine(t, "127.0.0.1:"+port)
			boot.is(f)
			b := daemon(t, "user", "--port", peerPort(t), "--bootstrap", boot.addr, "--peer", l.addr)
			b.uses(made.Address, len(paths))
			b.afterGrace()
			l.is(refuses) // whoever has the paths is looked for in the DHT
			b.withinBudget("with nobody left", slices.Clone(paths))
			b.stop()
		})
	}
}

// TestPeerHangsMidNar: a line to the only peer that hangs in the middle of a NAR, as when the peer's lid is closed, keeps a build waiting for a
// few seconds once, and not for each path.
func TestPeerHangsMidNar(t *testing.T) {
	pkgs := []pkg{{name: "large", seed: 7, size: 60_000_000}}
	for i := range 8 {
		pkgs = append(pkgs, pkg{name: fmt.Sprintf("other-%d", i), seed: 100 + i, size: 50_000})
	}
	paths := build(t, "budget-nar", pkgs...)
	port := peerPort(t)
	a := daemon(t, "publisher", "--port", port)
	var made report.New
	a.must(&made, "new", "acme-1")
	a.must(nil, append([]string{"publish", "acme-1"}, words(paths)...)...)
	for _, f := range []fault{hangs, trickles} {
		t.Run(f.String(), func(t *testing.T) {
			l := newLine(t, "127.0.0.1:"+port)
			b := daemon(t, "user", "--port", peerPort(t), "--peer", l.addr)
			b.uses(made.Address, len(paths))
			info := b.narinfo(paths[0])
			c, resp := b.open(info.URL, "")
			defer c.Close()
			if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
				t.Fatal(err)
			}
			l.is(f)
			began := time.Now()
			n, err := io.Copy(io.Discard, resp.Body)
			cut := time.Since(began)
			t.Logf("%d bytes came, and it was cut off after %v", n, cut)
			if err == nil {
				t.Errorf("a NAR ended well over a line that %s", f)
			}
			if cut > 8*time.Second {
				t.Errorf("it was cut off after %v", cut)
			}
			began = time.Now()
			for _, p := range paths[1:] {
				status, err := askOnce(strings.TrimPrefix(b.gateway, "http://"), "/"+p.Hash().String()+".narinfo")
				if err != nil || status != http.StatusNotFound {
					t.Errorf("a path of a peer that hangs: %d, %v", status, err)
				}
			}
			if took := time.Since(began); took > wanBudget+slack {
				t.Errorf("%d answers after that took %v", len(paths)-1, took)
			}
			l.is(healthy)
			b.await("to give them again", func() bool { _, given := b.wave("/" + paths[1].Hash().String() + ".narinfo"); return given == 1 })
			b.stop()
		})
	}
}
