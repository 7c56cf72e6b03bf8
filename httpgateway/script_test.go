package httpgateway

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/trust"
)

// TestScripts plays the conversations in testdata. Lines of a script are
//
//	# a remark
//	> a line of a request; an empty one ends it; several requests are sent at once
//	< a line of an answer's head, without Date, headers sorted
//	| a line of its body
//	/ the end of its body that no newline follows
//	= cut      the connection ended before the body did
//	= closed   the connection ended after the answer
//	= nothing  the connection ended without an answer
//
// After an end a new connection is made. With -update the answers are written
// anew; read them before they are committed.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, scriptServer(t, file), string(raw))
			if got == string(raw) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s went otherwise:\n%s", file, firstDifference(string(raw), got))
		})
	}
}

var update = flag.Bool("update", false, "write the answers in testdata anew")

// play returns the script as it went.
func play(t *testing.T, addr, script string) string {
	t.Helper()
	var out strings.Builder
	var requests []string // lines
	var c *wire
	flush := func() {
		if len(requests) == 0 {
			return
		}
		if c == nil {
			c = dial(t, addr)
		}
		c.send(requests...)
		for _, method := range methods(requests) {
			a, err := c.receive(method)
			if errors.Is(err, errNothing) {
				out.WriteString("= nothing\n")
			} else if err != nil {
				t.Fatal(err)
			} else {
				out.WriteString(a.text())
			}
			if err != nil || a.cut || a.closed {
				c = nil
				break
			}
		}
		requests = nil
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if sent, ok := strings.CutPrefix(line, ">"); ok {
			requests = append(requests, strings.TrimPrefix(sent, " "))
			out.WriteString(line + "\n")
			continue
		}
		flush()
		if line == "" || line[0] == '#' {
			out.WriteString(line + "\n")
		} else if !strings.Contains("<|/=", line[:1]) {
			t.Fatalf("what is %q?", line)
		}
	}
	flush()
	return out.String()
}

// methods returns the method of each request.
func methods(lines []string) (all []string) {
	first := true
	for _, line := range lines {
		if first {
			method, _, _ := strings.Cut(line, " ")
			all = append(all, method)
		}
		first = line == ""
	}
	return all
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return "want:\n" + strings.Join(w[i:min(i+12, len(w))], "\n") + "\ngot:\n" + strings.Join(g[min(i, len(g)):min(i+12, len(g))], "\n")
		}
	}
	return "more than the script has:\n" + strings.Join(g[len(w):], "\n")
}

// scriptServer is the world of the scripts. The first letter of a hash says
// what happens to it:
//
//	h  hello, refers to itself and to l; an archive of 100 digits
//	l  libc, refers to nothing; also in the view acme-1
//	g  gone: found, but nobody has its archive
//	f  the cache fails
//	p  the cache panics
//	b  broken: its archive fails before the first byte
//	r  torn: its archive fails after 10,000 of 20,000 bytes
//	s  short: its archive ends after 10,000 of 20,000 bytes, without an error
//
// The script standby.txt is played against Standby.
func scriptServer(t *testing.T, file string) string {
	if filepath.Base(file) == "standby.txt" {
		return startServer(t, NewServer(Standby(Options{})))
	}
	libc := newSample(t, "l", "libc-2.40", digits(50))
	hello := newSample(t, "h", "hello-1.0", digits(100), storePath(t, hashOf("h")+"-hello-1.0"), libc.path)
	gone := newSample(t, "g", "gone-1.0", digits(30))
	broken := newSample(t, "b", "broken-1.0", digits(40))
	torn := newSample(t, "r", "torn-1.0", digits(20_000))
	short := newSample(t, "s", "short-1.0", digits(20_001))

	cache := newFakeCache(t)
	cache.add(hello)
	cache.add(libc, "acme-1")
	cache.onInfo("", gone.hash(), func(context.Context) (trust.Verified, error) { return gone.v, nil })
	cache.onInfo("", newSample(t, "f", "f", digits(1)).hash(), func(context.Context) (trust.Verified, error) {
		return trust.Verified{}, errors.New("disk on fire")
	})
	cache.onInfo("", newSample(t, "p", "p", digits(1)).hash(), func(context.Context) (trust.Verified, error) { panic("!") })
	writing := func(s sample, write func(w io.Writer) error) {
		cache.onNar(s, func(context.Context) (Nar, error) {
			n := cache.nar(s.nar)
			n.write = func(_ context.Context, w io.Writer, _, _ int64) error { return write(w) }
			return n, nil
		})
	}
	writing(broken, func(io.Writer) error { return errors.New("no chunk") })
	writing(torn, func(w io.Writer) error {
		_, _ = w.Write(torn.nar[:10_000])
		return errors.New("peer reset")
	})
	writing(short, func(w io.Writer) error {
		_, err := w.Write(short.nar[:10_000])
		return err
	})
	own := testKey(t, "flurry-local-1")
	g := New(cache, Options{Budget: ample, Signer: &own})
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cache.open.Wait()
	})
	return startServer(t, NewServer(g))
}
