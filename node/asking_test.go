package node_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/transfer"
)

// TestNothingToFollow: two that both wait for a namespace, and have nothing of it, do not ask each other all the time.
func TestNothingToFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a := namespace.AddressOf(secretOf(t, "acme-1").Public())
		var asked atomic.Int64
		bob := w.machine("bob", node.ShareLAN, func(h transfer.Handler) transfer.Handler { return nosy{h, a, &asked} })
		carol := w.machine("carol", node.ShareLAN, nil)
		for _, m := range []*machine{bob, carol} {
			if err := m.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
				t.Fatal(err)
			}
		}
		bob.joins(carol)
		time.Sleep(5 * time.Minute)
		if n := asked.Load(); n == 0 || n > 100 {
			t.Errorf("carol asked %d times in five minutes", n)
		}
	})
}
