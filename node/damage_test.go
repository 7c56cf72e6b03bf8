package node_test

import (
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
)

// TestDamageIsHealedWhileRead: chunks all over a NAR are damaged on the disk. They are found one after the other while it
// is read, when the download that heals the first ones runs already, and the reader sees none of it.
func TestDamageIsHealedWhileRead(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	p := alice.nix.build("app", "1", 6_000_000)
	alice.publishes("acme-1", p)
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, p)
	bob.waitsSettled(p)
	v, err := bob.Info(t.Context(), "", p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := store.Get(t.Context(), bob.store, store.NewCodec(), store.BodyKey(v.Entry().Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := content.ParseBody(raw)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		for i, c := range body.Chunks {
			if (i+round)%3 != 0 && !bob.store.Damage(store.ChunkKey(c.ID)) {
				t.Fatalf("round %d: chunk %d is not on the disk", round, i)
			}
		}
		bob.gets(alice, p)
		bob.waitsSettled(p)
	}
}
