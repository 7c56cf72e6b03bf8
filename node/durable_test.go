package node_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// slowNix is a Nix store that, after it gave one NAR, waits before it gives the next.
type slowNix struct {
	*fakeNix
	given  chan struct{}
	goOn   chan struct{}
	narsDo atomic.Int64
}

func (s *slowNix) Nar(ctx context.Context, p nix.StorePath, w io.Writer) error {
	if s.narsDo.Add(1) == 1 {
		err := s.fakeNix.Nar(ctx, p, w)
		close(s.given)
		return err
	}
	select {
	case <-s.goOn:
		return errors.New("this Nix store is gone")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestPublishKeepsWhatAnotherHadPut: two acts of publishing share a path. The first has put its chunks and not committed
// them when the second is done; then the power fails. What the second published is there.
func TestPublishKeepsWhatAnotherHadPut(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	lib := alice.nix.build("lib", "1", 300_000)
	app := alice.nix.build("app", "1", 300_000, lib)
	slow := &slowNix{fakeNix: alice.nix, given: make(chan struct{}), goOn: make(chan struct{})}
	first := make(chan error)
	go func() {
		_, err := alice.Publish(t.Context(), slow, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{app}})
		first <- err
	}()
	<-slow.given
	alice.publishes("acme-1", app)
	alice.store.Crash()
	close(slow.goOn)
	if err := <-first; err == nil {
		t.Error("the first act of publishing ended well")
	}
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, lib)
	bob.gets(alice, app)
}

// TestWhatIsNotDurableIsNotAnnounced: the disk refuses to commit what was fetched. It is served, and not announced.
func TestWhatIsNotDurableIsNotAnnounced(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareAll, nil)
	a := alice.creates("acme-1")
	p := alice.nix.build("app", "1", 3_000_000)
	alice.publishes("acme-1", p)
	bob.meet(alice)
	bob.uses(a)
	var refused atomic.Int64
	bob.store.Fail(func(op storetest.Op, _ store.Key) (bool, error) {
		if op == storetest.OpCommit {
			refused.Add(1)
			return false, errors.New("the disk is broken")
		}
		return true, nil
	})
	bob.gets(alice, p)
	bob.stop() // waits for what is announced after a download
	if refused.Load() == 0 {
		t.Fatal("nothing was committed")
	}
	for who := range alice.router.Providers(t.Context(), dht.PathKey(a, p.Hash())) {
		if who.ID == bob.link.Self().ID {
			t.Error("bob announces what is not on his disk")
		}
	}
}
