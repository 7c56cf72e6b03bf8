package node_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// TestAloneAnswersAtOnce: a namespace in use that nobody was ever found for, and one whose holders are gone, cost the
// budget once and nothing afterwards.
func TestAloneAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareLAN, nil)
		bob := w.machine("bob", node.ShareLAN, nil)
		a := alice.creates("acme-1")
		lib := alice.nix.build("lib", "1", 50_000)
		app := alice.nix.build("app", "1", 50_000, lib)
		other := alice.nix.build("other", "1", 50_000)
		alice.publishes("acme-1", app)
		bob.meet(alice)
		bob.uses(a)
		bob.gets(alice, lib)
		stranger := w.machine("stranger", node.ShareLAN, nil)
		unheard := stranger.creates("unheard-1")
		stranger.stop()
		if err := bob.Put(node.Space{Alias: "unheard-1", Address: unheard, Use: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		alice.stop()
		time.Sleep(time.Second)
		took := func(what string, h func() error) time.Duration {
			start := time.Now()
			if err := h(); !errors.Is(err, node.ErrNotHere) {
				t.Errorf("%s: %v", what, err)
			}
			return time.Since(start)
		}
		ask := func() error { _, err := bob.readsFor(other, 300*time.Millisecond); return err }
		if d := took("a path that nobody lists", ask); d > 0 {
			t.Errorf("a path that nobody lists cost %v", d)
		}
		gone := func() error { _, err := bob.readsFor(app, 300*time.Millisecond); return err }
		if d := took("a listed path without a holder, first", gone); d > 300*time.Millisecond {
			t.Errorf("a listed path whose holder is gone cost %v", d)
		}
		if d := took("a listed path without a holder, again", gone); d > 0 {
			t.Errorf("the second time it cost %v", d)
		}
		bob.gets(alice, lib) // what is here is given all the same
		bob.stop()
	})
}

// TestFullStorePassesThrough: a node whose store takes nothing gives NARs all the same, from memory.
func TestFullStorePassesThrough(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	bob := w.machine("bob", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	p := alice.nix.build("app", "1", 20_000_000)
	alice.publishes("acme-1", p)
	bob.store.Fail(func(op storetest.Op, k store.Key) (bool, error) {
		if op == storetest.OpPut && (k.Kind == store.KindChunk || k.Kind == store.KindBody) {
			return false, &store.FullError{Used: 1, Quota: 1}
		}
		return true, nil
	})
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, p)
	nar, err := bob.Nar(t.Context(), "", alice.nix.infos[p].NarHash, p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	if err := nar.WriteRange(t.Context(), io.Discard, nar.Size()/2, 1000); err != nil {
		t.Errorf("a part of it: %v", err)
	}
}
