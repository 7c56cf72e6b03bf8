package node_test

import (
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
)

// TestLeavesOut: who uses a namespace can tell which caches it leaves paths to.
func TestLeavesOut(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.machine("alice", node.ShareAll, nil), w.machine("bob", node.ShareAll, nil)
	a := alice.creates("acme-1")
	cache := secretOf(t, "cache.example-1")
	lib := alice.nix.build("lib", "1", 10_000)
	alice.nix.mu.Lock()
	info := alice.nix.infos[lib]
	n := nix.NarInfo{StorePath: info.Path, NarHash: info.NarHash, NarSize: info.NarSize, References: info.References}
	info.Sigs = []nix.Signature{cache.Sign(n.Fingerprint())}
	alice.nix.infos[lib] = info
	alice.nix.mu.Unlock()
	app := alice.nix.build("app", "1", 10_000, lib)
	publish := func(root nix.StorePath, upstream ...nix.PublicKey) {
		t.Helper()
		if _, err := alice.Publish(t.Context(), alice.nix, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{root}, Filters: node.Filters{Upstream: upstream}}); err != nil {
			t.Fatal(err)
		}
	}
	leaves := func(m *machine, want ...nix.PublicKey) {
		t.Helper()
		if keys, err := m.LeavesOut(t.Context(), a); err != nil || !slices.Equal(keys, want) {
			t.Errorf("%s: %v, %v, not %v", m.name, keys, err, want)
		}
	}
	publish(alice.nix.build("alone", "1", 100), cache.Public())
	leaves(alice)
	publish(app, cache.Public())
	leaves(alice, cache.Public())
	bob.uses(a)
	bob.meet(alice)
	bob.eventually("to know of both", func() bool { return bob.list.Stats(a).Publications == 2 })
	leaves(bob, cache.Public())
}
