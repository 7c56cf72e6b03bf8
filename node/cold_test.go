package node_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store/storetest"
)

// TestColdOrigin: an origin that was not asked for a while, and has to be connected to first, may take longer than a narinfo: once, until it answers
// again, and never if it never answered.
func TestColdOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const far, hangs, most = 600 * time.Millisecond, 15 * time.Second, time.Second
		w, o := newWorld(t), newFakeOrigin(t)
		var way atomic.Int64 // a time.Duration: to the origin and back, as often as it takes
		o.changes(func(ctx context.Context, i *nix.NarInfo) (*nix.NarInfo, error) {
			takes := time.Duration(way.Load())
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if takes == hangs {
				return nil, errors.New("it is given up")
			}
			return i, nil
		}, nil)
		bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareNone, grace: 2 * time.Second,
			origins: func(string) (node.Origin, error) { return o, nil }})
		if err := bob.Put(node.Space{Alias: "cache", Address: namespace.AddressOf(o.key.Public()), Use: true, Origin: "https://cache.example"}); err != nil {
			t.Fatal(err)
		}
		paths := make([]nix.StorePath, 9)
		for k := range paths {
			paths[k] = o.nix.build("app", string(rune('0'+k)), 100)
		}
		next := func() nix.StorePath { p := paths[0]; paths = paths[1:]; return p }
		given := func(what string, most time.Duration) {
			t.Helper()
			if took, err := bob.asNix(next()); err != nil || took > most {
				t.Errorf("%s: %v after %v", what, err, took)
			}
		}
		missed := func(what string, most time.Duration) {
			t.Helper()
			if took, err := bob.asNix(next()); err == nil || took > most {
				t.Errorf("%s: %v after %v", what, err, took)
			}
		}
		way.Store(int64(far))
		given("after the start", most)
		missed("when it has just answered", node.BudgetWAN)
		time.Sleep(time.Minute)
		given("after a minute", most)
		way.Store(int64(hangs))
		time.Sleep(time.Minute)
		missed("when it hangs after a minute", most)
		missed("when it still does", node.BudgetWAN)
		time.Sleep(time.Hour)
		missed("when it hangs for an hour", node.BudgetWAN)
		way.Store(int64(far))
		time.Sleep(time.Hour)
		bob.Moved()
		given("in another network", most)

		way.Store(int64(hangs))
		time.Sleep(time.Minute)
		if err := bob.Put(node.Space{Alias: "cache", Address: namespace.AddressOf(o.key.Public()), Use: true, Origin: "https://other.example"}); err != nil {
			t.Fatal(err)
		}
		missed("one that never answered", node.BudgetWAN)
		bob.stop()
	})
}
