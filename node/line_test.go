package node_test

import (
	"errors"
	"testing"

	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
)

func TestPublishHereSubstituteThere(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	lib := alice.nix.build("lib", "1", 300_000)
	app := alice.nix.build("app", "1", 3_000_000, lib)
	alice.publishes("acme-1", app)
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, lib)
	bob.gets(alice, app)
	unknown := alice.nix.build("never-published", "1", 1000)
	if !bob.Absent("", unknown.Hash()) || bob.Absent("", app.Hash()) {
		t.Error("a synced catalog does not know what it lacks, or denies what it lists")
	}
	stranger := w.machine("stranger", node.ShareLAN, nil)
	if err := bob.Put(node.Space{Alias: "unheard-1", Address: stranger.creates("unheard-1"), Use: true}); err != nil {
		t.Fatal(err)
	}
	if bob.Absent("", unknown.Hash()) || !bob.Absent("acme-1", unknown.Hash()) {
		t.Error("what a namespace lists that was never synced is not known")
	}
	bob.Drop(bob.Spaces()[1].Address)
	if _, err := bob.reads(unknown); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("a path that nobody published: %v", err)
	}
}

func TestRebuildMovesLittle(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	lib1 := alice.nix.build("lib", "1", 1000)
	app1 := alice.nix.build("app", "1", 5_000_000, lib1)
	alice.publishes("acme-1", app1)
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, app1)
	before := bob.link.Traffic().Total().Received
	lib2 := alice.nix.build("lib", "2", 1000)
	app2 := alice.nix.build("app", "1", 5_000_000, lib2)
	alice.publishes("acme-1", app2)
	bob.waitsFor(app2)
	bob.gets(alice, app2)
	if moved := bob.link.Traffic().Total().Received - before; moved > 20_000 {
		t.Errorf("a rebuild of a 5 MB path that changed in hashes alone moved %d bytes", moved)
	}
}

func TestHolderServesAfterPublisherIsGone(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareAll, nil)
	carol := w.machine("carol", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	lib := alice.nix.build("lib", "1", 300_000)
	app := alice.nix.build("app", "1", 2_000_000, lib)
	alice.publishes("acme-1", app)
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, lib)
	bob.gets(alice, app)
	bob.waitsSettled(app)
	alice.stop()
	carol.meet(bob)
	carol.uses(a)
	carol.gets(alice, lib)
	carol.gets(alice, app)
}

// TestHitFetchesTheBodyAhead: after a narinfo the body comes without anybody asking for the NAR.
func TestHitFetchesTheBodyAhead(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	p := alice.nix.build("app", "1", 500_000)
	alice.publishes("acme-1", p)
	bob.meet(alice)
	bob.uses(a)
	v, err := bob.Info(t.Context(), "", p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	bob.eventually("to have the body", func() bool {
		has, err := bob.store.Has(t.Context(), store.BodyKey(v.Entry().Body))
		return err == nil && has
	})
	bob.gets(alice, p)
}
