package node_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/transfer"
)

// syncLiar answers Sync as a test says.
type syncLiar struct {
	transfer.Handler
	asked  atomic.Int64
	answer func(transfer.SyncRequest, *transfer.SyncAnswer) *transfer.SyncAnswer
}

func (l *syncLiar) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	l.asked.Add(1)
	answer, _ := l.Handler.Sync(ctx, from, a, r)
	return l.answer(r, answer), ctx.Err()
}

// TestNothingIsSyncedWithoutDocument: a stranger says "we are equal" about a namespace of which nothing is here. Then a miss
// is no answer, or Nix would remember it.
func TestNothingIsSyncedWithoutDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		liar := &syncLiar{answer: func(transfer.SyncRequest, *transfer.SyncAnswer) *transfer.SyncAnswer {
			return &transfer.SyncAnswer{Equal: true, Epoch: [16]byte{1}, Cursor: 1}
		}}
		mallory := w.machine("mallory", node.ShareAll, func(h transfer.Handler) transfer.Handler { liar.Handler = h; return liar })
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		bob := w.machine("bob", node.ShareLAN, nil)
		w.net.Cut(alice.link.Self().ID, bob.link.Self().ID)
		bob.meet(mallory)
		if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		synced := bob.WaitSynced(ctx, a)
		if liar.asked.Load() == 0 {
			t.Fatal("the liar was not asked")
		}
		if synced {
			t.Error("in step with a liar, without a document")
		}
	})
}

// TestMoreForever: a peer that always says that there is more, and names what is here already, is not asked without pause.
func TestMoreForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Delay(time.Millisecond)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		p := alice.nix.build("app", "1", 1000)
		alice.publishes("acme-1", p)
		var known []namespace.ID
		for pub, err := range alice.list.Publications(t.Context(), a) {
			if err != nil {
				t.Fatal(err)
			}
			known = append(known, pub.ID)
		}
		liar := &syncLiar{}
		liar.answer = func(r transfer.SyncRequest, _ *transfer.SyncAnswer) *transfer.SyncAnswer {
			if r.Epoch == [16]byte{} {
				return &transfer.SyncAnswer{Epoch: [16]byte{1}, Cursor: 1, Buckets: make([]transfer.BucketDigest, transfer.Buckets)}
			}
			return &transfer.SyncAnswer{Known: true, Epoch: [16]byte{1}, Cursor: r.Cursor + 1, Added: known, More: true}
		}
		mallory := w.machine("mallory", node.ShareAll, func(h transfer.Handler) transfer.Handler { liar.Handler = h; return liar })
		bob := w.machine("bob", node.ShareLAN, nil)
		bob.meet(alice)
		bob.uses(a)
		bob.meet(mallory)
		time.Sleep(10 * time.Minute) // of the bubble's time
		if n := liar.asked.Load(); n == 0 || n > 10_000 {
			t.Errorf("asked %d times in ten minutes", n)
		}
	})
}

// TestLANNamespaceStaysThere: a namespace that becomes one of the LAN is asked of nobody beyond it from then on, peers that
// answered for it before included; nor does the DHT hear of it.
func TestLANNamespaceStaysThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Delay(time.Millisecond)
		w.site = "away"
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		alice.publishes("acme-1", alice.nix.build("app", "1", 1000))
		w.site = "home"
		bob := w.machine("bob", node.ShareLAN, nil)
		bob.meet(alice)
		bob.uses(a)
		if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true, Share: node.ShareLAN}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s, err := bob.Show(t.Context(), node.ShowQuery{Alias: "acme-1"}); err != nil || len(s.Serving) != 0 {
			t.Errorf("still asked: %v (%v)", s.Serving, err)
		}
		asked := bob.router.asked(dht.NamespaceKey(a))
		time.Sleep(time.Hour) // of the bubble's time
		if more := bob.router.asked(dht.NamespaceKey(a)) - asked; more != 0 {
			t.Errorf("the DHT was asked for it %d times", more)
		}
	})
}

// TestAskerWhoLeavesSaysNothing: somebody asks for a listed path that nobody has, and leaves at once. The next one is not
// told no because of that: a holder may be found while it waits.
func TestAskerWhoLeavesSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Delay(time.Millisecond)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		p := alice.nix.build("app", "1", 1000)
		alice.publishes("acme-1", p)
		bob := w.machine("bob", node.ShareLAN, nil)
		bob.meet(alice)
		bob.uses(a)
		w.net.Cut(alice.link.Self().ID, bob.link.Self().ID)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := bob.Info(ctx, "", p.Hash()); !errors.Is(err, node.ErrNotHere) {
			t.Fatalf("with nobody to have it: %v", err)
		}
		w.net.Heal()
		go func() {
			time.Sleep(100 * time.Millisecond)
			bob.meet(alice)
		}()
		ctx, cancel = context.WithTimeout(t.Context(), node.BudgetWAN)
		defer cancel()
		if _, err := bob.Info(ctx, "", p.Hash()); err != nil {
			t.Errorf("after an asker left: %v", err)
		}
		time.Sleep(time.Second)
	})
}
