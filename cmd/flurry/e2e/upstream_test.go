package e2e

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// TestCacheAmongNeighbours: what one node has fetched from an HTTP cache, as Nix makes them, it gives to Nix again and to its neighbours
// when the cache is off.
func TestCacheAmongNeighbours(t *testing.T) {
	for _, compression := range []string{"zstd", "xz"} {
		t.Run(compression, func(t *testing.T) {
			paths := small(t, "neighbours-"+compression)
			c := newHTTPCache(t, compression, paths)
			port := peerPort(t)
			first := daemon(t, "first", "--port", port)
			first.must(nil, "use", c.key, "--origin", c.URL)
			if err := copyFrom(t, first, first.gateway, first.key, paths); err != nil {
				t.Fatalf("%v\n%s", err, first.stderr)
			}
			first.settles()
			nars := c.nars.Load()
			if nars < int64(len(paths)) {
				t.Errorf("the cache was asked for %d NARs of %d", nars, len(paths))
			}

			second := daemon(t, "second", "--peer", "127.0.0.1:"+port)
			second.must(nil, "use", c.key, "--origin", c.URL)
			second.awaitPeers(1)
			if err := realise(t, second, second.gateway, second.key, paths); err != nil {
				t.Fatalf("%v\n%s", err, second.stderr)
			}
			if now := c.nars.Load(); now != nars {
				t.Errorf("the cache was asked for %d NARs that a neighbour has", now-nars)
			}

			second.settles()
			c.off.Store(true)
			third := daemon(t, "third", "--peer", "127.0.0.1:"+port)
			third.must(nil, "use", c.key, "--origin", c.URL)
			third.awaitPeers(1)
			for _, p := range []*process{first, second, third} {
				if err := copyFrom(t, p, p.gateway, p.key, paths); err != nil {
					t.Errorf("with the cache off: %v\n%s", err, p.stderr)
				}
			}
		})
	}
}

// httpCache is a binary cache that Nix has made, served as a web server does.
type httpCache struct {
	*httptest.Server
	key  string
	nars atomic.Int64 // that were asked for
	off  atomic.Bool
}

func newHTTPCache(t *testing.T, compression string, paths []nix.StorePath) *httpCache {
	t.Helper()
	dir := t.TempDir()
	secret, err := nix.NewSecretKey("cache.neighbours-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(secret.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	to := "file://" + dir + "?compression=" + compression + "&secret-key=" + keyFile
	if _, err := nixRun(t, t.TempDir(), append([]string{"nix", "--extra-experimental-features", "nix-command", "copy", "--to", to}, words(paths)...)...); err != nil {
		t.Fatal(err)
	}
	c := &httpCache{key: secret.Public().String()}
	files := http.FileServer(http.Dir(dir))
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.off.Load() {
			http.Error(w, "off", http.StatusServiceUnavailable)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/nar/") {
			c.nars.Add(1)
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

// settles waits until what came from origins is in the store, and so for others to have.
func (p *process) settles() {
	p.t.Helper()
	p.await("to take in what came from an origin", func() bool {
		var s report.Status
		p.must(&s, "status")
		return s.Store.Aside == 0
	})
}

// awaitPeers waits until the daemon is connected to n peers or more.
func (p *process) awaitPeers(n int) {
	p.t.Helper()
	p.await("to be connected", func() bool {
		var s report.Status
		p.must(&s, "status", "--peers")
		return len(s.Peers) >= n
	})
}
