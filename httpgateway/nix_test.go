package httpgateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/nixtest"
	"github.com/flurry-nix/flurry/trust"
)

// These tests let the real Nix fetch from a gateway whose cache holds real
// store paths, into a store of its own below a temporary directory.

// bigExpression is one path of 2 MB that refers to a small one and to itself.
const bigExpression = `
let
  sh = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ("export PATH=/usr/bin:/bin; mkdir $out; " + script) ];
  };
  base = sh "flurry-gateway-base" "echo base > $out/file; ln -s nowhere $out/link";
in sh "flurry-gateway-big" ''
  echo ${base} $out > $out/self
  i=0; while [ $i -lt 20000 ]; do echo "line $i of a file that is long enough to break off in the midst of it, and to go on from there"; i=$((i+1)); done > $out/lines
  chmod +x $out/lines
''`

// realClosure builds an expression and returns its closure, the root last.
func realClosure(t *testing.T, expression string) []sample {
	t.Helper()
	nixtest.Require(t, "nix-store", "nix-build", "nix")
	root := nixtest.Build(t, expression)
	publisher := testKey(t, "acme-1")
	policy := trust.NewUpstreamPolicy(namespace.AddressOf(publisher.Public()))
	var all []sample
	for _, path := range strings.Fields(nixtest.Run(t, "nix-store", "--query", "--requisites", root)) {
		var nar bytes.Buffer
		if err := nix.DumpNar(&nar, path); err != nil {
			t.Fatal(err)
		}
		s := sample{path: mustParse(t, path), nar: nar.Bytes()}
		n := nix.NarInfo{StorePath: s.path, URL: "x", Compression: "none", NarHash: s.narHash(), NarSize: uint64(nar.Len())}
		for _, ref := range strings.Fields(nixtest.Run(t, "nix-store", "--query", "--references", path)) {
			n.References = append(n.References, mustParse(t, ref))
		}
		n.Sigs = []nix.Signature{publisher.Sign(n.Fingerprint())}
		var err error
		if s.v, err = policy.VerifyNarInfo(&n); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if last := all[len(all)-1].path.String(); last != root {
		t.Fatalf("the closure ends with %s, not with %s", last, root)
	}
	return all
}

func mustParse(t *testing.T, path string) nix.StorePath {
	t.Helper()
	p, err := nix.ParseStorePath(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// realGateway serves a closure, also as the view acme-1, on a real socket.
func realGateway(t *testing.T, closure []sample, budget time.Duration) (*fakeCache, *Gateway, string) {
	t.Helper()
	cache := newFakeCache(t)
	for _, s := range closure {
		cache.add(s, "acme-1")
	}
	own := testKey(t, "flurry-local-1")
	g := New(cache, Options{Budget: budget, Signer: &own})
	t.Cleanup(func() {
		if err := g.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cache.open.Wait()
	})
	return cache, g, "http://" + startServer(t, NewServer(g))
}

// otherStore is a store that nothing else uses; it is the --store or --to of
// Nix's commands.
func otherStore(t *testing.T) (dir, url string) {
	dir = t.TempDir()
	t.Cleanup(func() { // Nix makes its directories read-only
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o755)
			}
			return nil
		})
	})
	return dir, "local?root=" + dir
}

// run runs Nix, which must succeed or fail as the test says.
func run(t *testing.T, want bool, tool string, args ...string) string {
	t.Helper()
	out, err := nixtest.Command(t, tool, args...).CombinedOutput()
	if (err == nil) != want {
		t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// checkStore compares what has arrived in a store with what was sent.
func checkStore(t *testing.T, dir string, closure []sample) {
	t.Helper()
	for _, s := range closure {
		var nar bytes.Buffer
		if err := nix.DumpNar(&nar, filepath.Join(dir, s.path.String())); err != nil {
			t.Errorf("%s did not arrive: %v", s.path, err)
		} else if !bytes.Equal(nar.Bytes(), s.nar) {
			t.Errorf("%s arrived as something else", s.path)
		}
	}
}

func trusting(t *testing.T, name string) []string {
	return []string{"--option", "trusted-public-keys", testKey(t, name).Public().String()}
}

func TestNixCopies(t *testing.T) {
	closure := realClosure(t, nixtest.Chain("flurry-gateway", "1", 5))
	root := closure[len(closure)-1].path.String()
	_, g, url := realGateway(t, closure, ample)
	for _, c := range []struct {
		name, url, key string
		works          bool
	}{
		{"the node's key", url, "flurry-local-1", true},
		{"the publisher's key", url, "acme-1", true},
		{"one namespace", url + "/ns/acme-1", "flurry-local-1", true},
		{"a slash at the end", url + "/", "flurry-local-1", true},
		{"a stranger's key", url, "stranger-1", false},
		{"a namespace that is not in use", url + "/ns/other-1", "flurry-local-1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, store := otherStore(t)
			run(t, c.works, "nix", append(trusting(t, c.key), "copy", "--from", c.url, "--to", store, root)...)
			if c.works {
				checkStore(t, dir, closure)
			}
		})
	}
	if s := g.Stats(); s.Nars[Given] == 0 || s.NarInfos[Given] == 0 || s.Nars[Aborted]+s.Nars[Failed]+s.NarInfos[Failed] != 0 {
		t.Errorf("counted: %+v", s)
	}
}

// realise lets Nix substitute a path from these caches.
func realise(t *testing.T, want bool, store, path string, urls ...string) string {
	t.Helper()
	args := append(trusting(t, "flurry-local-1"), "--store", store, "--option", "substituters", strings.Join(urls, " "), "--realise", path)
	return run(t, want, "nix-store", args...)
}

// TestNixResumes: what breaks off goes on from there, and Nix gets it whole.
func TestNixResumes(t *testing.T) {
	closure := realClosure(t, bigExpression)
	big := closure[len(closure)-1]
	cache, g, url := realGateway(t, closure, ample)
	var opened atomic.Int32
	cache.onNar(big, func(context.Context) (Nar, error) {
		nar := cache.nar(big.nar)
		if opened.Add(1) > 2 {
			return nar, nil
		}
		nar.write = func(_ context.Context, w io.Writer, off, _ int64) error {
			_, _ = w.Write(nar.data[off : off+500_000])
			return errors.New("peer reset")
		}
		return nar, nil
	})
	dir, store := otherStore(t)
	realise(t, true, store, big.path.String(), url)
	checkStore(t, dir, closure)
	if s := g.Stats(); s.Nars[Aborted] != 2 {
		t.Errorf("counted: %+v", s)
	}
}

// TestNixGoesElsewhere: whatever happens here, a build that another cache can
// serve goes on.
func TestNixGoesElsewhere(t *testing.T) {
	closure := realClosure(t, bigExpression)
	big := closure[len(closure)-1]
	_, _, good := realGateway(t, closure, ample)
	good += "?priority=40"

	for _, c := range []struct {
		name  string
		asked func(s Stats) uint64 // whether it came to that
		cache func(t *testing.T, c *fakeCache)
	}{
		{"cache fails", func(s Stats) uint64 { return s.NarInfos[Failed] }, func(_ *testing.T, c *fakeCache) {
			c.onInfo("", big.hash(), func(context.Context) (trust.Verified, error) {
				return trust.Verified{}, errors.New("disk on fire")
			})
		}},
		{"cache panics", func(s Stats) uint64 { return s.NarInfos[Failed] }, func(_ *testing.T, c *fakeCache) {
			c.onInfo("", big.hash(), func(context.Context) (trust.Verified, error) { panic("!") })
		}},
		{"cache hangs", func(s Stats) uint64 { return s.NarInfos[Late] }, func(t *testing.T, c *fakeCache) {
			stuck := make(hang)
			t.Cleanup(func() { close(stuck) })
			c.onInfo("", big.hash(), stuck.info)
		}},
		{"archive is gone", func(s Stats) uint64 { return s.Nars[NotHere] }, func(_ *testing.T, c *fakeCache) {
			c.onNar(big, func(context.Context) (Nar, error) { return nil, ErrNotHere })
		}},
		{"archive breaks off, then is gone", func(s Stats) uint64 { return s.Nars[Aborted] * s.Nars[NotHere] }, func(_ *testing.T, c *fakeCache) {
			var opened atomic.Int32
			c.onNar(big, func(context.Context) (Nar, error) {
				if opened.Add(1) > 1 {
					return nil, ErrNotHere
				}
				nar := c.nar(big.nar)
				nar.write = func(_ context.Context, w io.Writer, _, _ int64) error {
					_, _ = w.Write(nar.data[:500_000])
					return errors.New("NarHash differs")
				}
				return nar, nil
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache, g, url := realGateway(t, closure, time.Second)
			c.cache(t, cache)
			dir, store := otherStore(t)
			realise(t, true, store, big.path.String(), url, good)
			checkStore(t, dir, closure)
			if c.asked(g.Stats()) == 0 {
				t.Errorf("it did not happen: %+v", g.Stats())
			}
		})
	}
	t.Run("standby", func(t *testing.T) {
		url := "http://" + startServer(t, NewServer(Standby(Options{})))
		dir, store := otherStore(t)
		realise(t, true, store, big.path.String(), url, good)
		checkStore(t, dir, closure)
	})
	t.Run("crowded", func(t *testing.T) {
		url := "http://" + startServer(t, newServer(http.NotFoundHandler(), newTurnstile(0, 100)))
		dir, store := otherStore(t)
		realise(t, true, store, big.path.String(), url, good)
		checkStore(t, dir, closure)
	})
}
