package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// trouble is what a disk has: nothing, or each operation hangs, fails or crawls, or hangs if it writes.
type trouble struct {
	mu   sync.Mutex
	kind string
	over chan struct{} // closed when it is
	held atomic.Bool   // a write hangs
}

func (t *trouble) begin(kind string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kind, t.over = kind, make(chan struct{})
}

func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kind != "" {
		close(t.over)
	}
	t.kind = ""
}

// suffer is what reading goes through. A disk knows no context.
func (t *trouble) suffer() error {
	t.mu.Lock()
	kind, over := t.kind, t.over
	t.mu.Unlock()
	return suffer(kind, over)
}

// sufferWrite is what writing goes through.
func (t *trouble) sufferWrite() error {
	t.mu.Lock()
	kind, over := t.kind, t.over
	t.mu.Unlock()
	if kind == "hangs at writes" {
		t.held.Store(true)
		kind = "hangs"
	}
	return suffer(kind, over)
}

func suffer(kind string, over <-chan struct{}) error {
	switch kind {
	case "hangs":
		<-over
	case "fails":
		return syscall.EIO
	case "crawls":
		select {
		case <-over:
		case <-time.After(time.Second):
		}
	}
	return nil
}

type troubledIndex struct {
	catalog.KV
	*trouble
}

func (x troubledIndex) Get(key []byte) ([]byte, error) {
	if err := x.suffer(); err != nil {
		return nil, err
	}
	return x.KV.Get(key)
}

func (x troubledIndex) Scan(prefix, from []byte, fn func(k, v []byte) (bool, error)) error {
	if err := x.suffer(); err != nil {
		return err
	}
	return x.KV.Scan(prefix, from, fn)
}

func (x troubledIndex) Apply(ops []catalog.Op, sync bool) error {
	if err := x.sufferWrite(); err != nil {
		return err
	}
	return x.KV.Apply(ops, sync)
}

type troubledStore struct {
	*storetest.Mem
	*trouble
}

func (x troubledStore) Frame(ctx context.Context, k store.Key, room []byte) (store.Frame, error) {
	if err := x.suffer(); err != nil {
		return store.Frame{}, err
	}
	return x.Mem.Frame(ctx, k, room)
}

func (x troubledStore) Has(ctx context.Context, k store.Key) (bool, error) {
	if err := x.suffer(); err != nil {
		return false, err
	}
	return x.Mem.Has(ctx, k)
}

func (x troubledStore) Begin(ctx context.Context) (store.Batch, error) {
	if err := x.sufferWrite(); err != nil {
		return nil, err
	}
	return x.Mem.Begin(ctx)
}

// oneKey is a keyring.
type oneKey struct{ key nix.SecretKey }

func (k oneKey) Signer(a namespace.Address) (nix.SecretKey, error) { return k.Root(a) }

func (k oneKey) Root(a namespace.Address) (nix.SecretKey, error) {
	if a != namespace.AddressOf(k.key.Public()) {
		return nix.SecretKey{}, errors.New("no key here")
	}
	return k.key, nil
}

// TestBudgetDisk: an index or a store that hangs, fails or crawls, costs no narinfo more than the budget, also while something is being
// published, and when it is well again all is given that is there: nothing was taken for absent. One that hangs at writes costs nothing.
func TestBudgetDisk(t *testing.T) {
	for _, where := range []string{"index", "store"} {
		for _, kind := range []string{"hangs", "fails", "crawls", "hangs at writes"} {
			t.Run(where+" "+kind, func(t *testing.T) {
				t.Parallel()
				var index, content trouble
				what := map[string]*trouble{"index": &index, "store": &content}[where]
				gateway, paths, publish := overTroubledDisk(t, &index, &content)
				ask := func() (given int, slowest time.Duration) {
					var mu sync.Mutex
					var all sync.WaitGroup
					for i, p := range paths {
						for _, h := range []nix.PathHash{p.Hash(), {0xee, byte(i)}} {
							all.Go(func() {
								w, began := httptest.NewRecorder(), time.Now()
								gateway.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/"+h.String()+".narinfo", nil))
								mu.Lock()
								defer mu.Unlock()
								slowest = max(slowest, time.Since(began))
								switch {
								case w.Code == http.StatusOK && h == p.Hash():
									given++
								case w.Code != http.StatusNotFound:
									t.Errorf("%s: %d", h, w.Code)
								}
							})
						}
					}
					all.Wait()
					return given, slowest
				}
				what.begin(kind)
				published := make(chan error, 1)
				go func() { published <- publish() }()
				defer func() {
					what.end()
					if err := <-published; (err == nil) != (kind != "fails") {
						t.Errorf("publishing meanwhile: %v", err)
					}
				}()
				for end := time.Now().Add(waitTime); kind == "hangs at writes" && !what.held.Load(); time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("nothing is written")
					}
				}
				for range 3 {
					given, slowest := ask()
					t.Logf("%d of %d given, the slowest answer took %v", given, len(paths), slowest)
					if slowest > httpgateway.DefaultBudget+time.Second {
						t.Errorf("an answer took %v", slowest)
					}
					if kind == "hangs at writes" && given < len(paths) {
						t.Errorf("%d of %d given although all can be read", given, len(paths))
					}
				}
				select {
				case err := <-published:
					if strings.HasPrefix(kind, "hangs") {
						t.Errorf("something was published on a disk that hangs: %v", err)
					}
					published <- err
				default:
				}
				if kind == "fails" { // it fails while the disk does, not when that is well again
					published <- <-published
				}
				what.end()
				for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
					given, _ := ask()
					if given == len(paths) {
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("%d of %d paths are given although all is well again", given, len(paths))
					}
				}
			})
		}
	}
}

// overTroubledDisk is a gateway of a node that has published made-up packages, and has not been asked for any. publish has it publish one
// more.
func overTroubledDisk(t *testing.T, index, content *trouble) (_ *httpgateway.Gateway, _ []nix.StorePath, publish func() error) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	key, err := nix.NewSecretKey("acme-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Open(t.Context(), troubledIndex{&catalogtest.MemKV{}, index}, &catalogtest.Texts{}, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	n := node.New(node.Needs{Catalog: c, Store: troubledStore{storetest.NewMem(t), content}, Codec: store.NewCodec(), Keys: oneKey{key}, Log: log, Now: time.Now}, node.Settings{})
	running, end := context.WithCancel(t.Context())
	if err := n.Start(running); err != nil {
		t.Fatal(err)
	}
	gateway := httpgateway.New(gatewayCache{n}, httpgateway.Options{Grace: n.GraceLeft, Log: log})
	t.Cleanup(func() {
		index.end()
		content.end()
		end()
		n.Wait()
		if err := gateway.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := n.NewNamespace(t.Context(), key, "for tests", time.Hour*24); err != nil {
		t.Fatal(err)
	}
	if err := n.Put(node.Space{Alias: "acme-1", Address: namespace.AddressOf(key.Public()), Publish: true, Use: true}); err != nil {
		t.Fatal(err)
	}
	source := madeUp(true)
	if _, err := n.Publish(t.Context(), source, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{source.infos[len(source.infos)-1].Path}}); err != nil {
		t.Fatal(err)
	}
	var paths []nix.StorePath
	for _, info := range source.infos {
		paths = append(paths, info.Path)
	}
	return gateway, paths, func() error {
		other := &madeUpPackages{nars: make(map[nix.StorePath][]byte)}
		other.add(2*madeUpPaths, 1000, nil)
		_, err := n.Publish(t.Context(), other, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{other.infos[0].Path}})
		return err
	}
}
