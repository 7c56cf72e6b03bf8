package node_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// asksFor is Info within the budget of a question of Nix's.
func (m *machine) asksFor(p nix.StorePath) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(m.w.t.Context(), 270*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := m.Info(ctx, "", p.Hash())
	return time.Since(began), err
}

// published is a node with a large path of its own, which it has not been asked for yet.
func (w *world) published() (*machine, nix.StorePath) {
	alice := w.machine("alice", node.ShareLAN, nil)
	alice.creates("acme-1")
	p := alice.nix.build("app", "1", 12_000_000)
	alice.publishes("acme-1", p)
	own := alice.Spaces()[0]
	own.Use = true
	if err := alice.Put(own); err != nil {
		w.t.Fatal(err)
	}
	return alice, p
}

// TestSlowStoreIsNoMiss: what is here is given although to make sure of all its chunks takes longer than Nix is to wait; and that is made
// sure of once, however many ask and leave.
func TestSlowStoreIsNoMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, p := newWorld(t).published()
		chunks := int64(len(alice.chunksOf(t, p)))
		var looks atomic.Int64
		alice.store.Fail(func(op storetest.Op, k store.Key) (bool, error) {
			if op == storetest.OpHas && k.Kind == store.KindChunk {
				looks.Add(1)
				time.Sleep(20 * time.Millisecond)
			}
			return true, nil
		})
		for range 3 {
			if took, err := alice.asksFor(p); err != nil || took > 150*time.Millisecond {
				t.Errorf("after %v: %v", took, err)
			}
		}
		time.Sleep(time.Minute)
		if got := looks.Load(); got != chunks {
			t.Errorf("%d of %d chunks were looked for", got, chunks)
		}
		if took, err := alice.asksFor(p); err != nil || took > 0 || looks.Load() != chunks {
			t.Errorf("later: after %v: %v; %d looks", took, err, looks.Load())
		}
		alice.stop()
	})
}

// TestSlowStoreThatLacks: the benefit of the doubt ends with the doubt.
func TestSlowStoreThatLacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, p := newWorld(t).published()
		chunks := alice.chunksOf(t, p)
		last := store.ChunkKey(chunks[len(chunks)-1].ID)
		alice.store.Fail(func(op storetest.Op, k store.Key) (bool, error) {
			if op == storetest.OpHas && k.Kind == store.KindChunk {
				if time.Sleep(20 * time.Millisecond); k == last {
					return false, store.ErrNotFound
				}
			}
			return true, nil
		})
		if _, err := alice.asksFor(p); err != nil {
			t.Errorf("while it is not known: %v", err)
		}
		time.Sleep(20*time.Millisecond*time.Duration(len(chunks)) - 150*time.Millisecond)
		if _, err := alice.asksFor(p); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("when it is known to be incomplete: %v", err)
		}
		alice.stop()
	})
}

// TestHangingStoreIsAMiss: a store that does not answer gets no such credit, and Nix is told in time.
func TestHangingStoreIsAMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, p := newWorld(t).published()
		release := make(chan struct{})
		alice.store.Fail(func(op storetest.Op, k store.Key) (bool, error) {
			if op == storetest.OpHas && k.Kind == store.KindChunk {
				<-release
			}
			return true, nil
		})
		alice.asksFor(p) // it finds the body, which is in memory then
		for range 3 {
			if took, err := alice.asksFor(p); !errors.Is(err, node.ErrNotHere) || took > 300*time.Millisecond {
				t.Errorf("after %v: %v", took, err)
			}
		}
		close(release)
		synctest.Wait()
		if _, err := alice.asksFor(p); err != nil {
			t.Errorf("when it answers again: %v", err)
		}
		alice.stop()
	})
}
