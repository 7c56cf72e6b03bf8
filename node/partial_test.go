package node_test

import (
	"errors"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// loses makes the store of m give no longer those chunks of p for which lacks is true.
func (m *machine) loses(t *testing.T, p nix.StorePath, lacks func(i, of int) bool) {
	t.Helper()
	var lost []store.Key
	chunks := m.chunksOf(t, p)
	for i, c := range chunks {
		if lacks(i, len(chunks)) {
			lost = append(lost, store.ChunkKey(c.ID))
		}
	}
	if len(lost) == 0 {
		t.Fatalf("none of %d chunks is lost", len(chunks))
	}
	gone := make(map[store.Key]bool)
	for _, k := range lost {
		gone[k] = true
	}
	m.store.Fail(func(op storetest.Op, k store.Key) (bool, error) {
		if op == storetest.OpFrame && gone[k] {
			return false, store.ErrNotFound
		}
		return true, nil
	})
}

func (m *machine) chunksOf(t *testing.T, p nix.StorePath) []content.Piece {
	t.Helper()
	entries, err := m.list.Lookup(t.Context(), m.Spaces()[0].Address, p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := store.Get(t.Context(), m.store, store.NewCodec(), store.BodyKey(entries[0].Entry().Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := content.ParseBody(raw)
	if err != nil {
		t.Fatal(err)
	}
	return body.Chunks
}

// TestTwoHalvesAreOneWhole: of two peers each lacks what the other has.
func TestTwoHalvesAreOneWhole(t *testing.T) {
	w := newWorld(t)
	alice, carol, a, p := w.pair(&liar{}, 12_000_000)
	alice.loses(t, p, func(i, of int) bool { return i < of/2 })
	carol.loses(t, p, func(i, of int) bool { return i >= of/2 })
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.meet(alice, carol)
	bob.uses(a)
	bob.gets(alice, p)
}

// TestDamagedChunkCostsOneChunk: a holder with one damaged chunk gives all the others.
func TestDamagedChunkCostsOneChunk(t *testing.T) {
	w := newWorld(t)
	alice, carol, a, p := w.pair(&liar{}, 6_000_000)
	alice.loses(t, p, func(i, of int) bool { return i != of/2 })
	carol.loses(t, p, func(i, of int) bool { return i == of/2 })
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.meet(alice, carol)
	bob.uses(a)
	bob.gets(alice, p)
}

// TestNobodyHasOneChunk: then the reader is told, in bounded time.
func TestNobodyHasOneChunk(t *testing.T) {
	w := newWorld(t)
	alice, carol, a, p := w.pair(&liar{}, 3_000_000)
	alice.loses(t, p, func(i, of int) bool { return i == of/2 })
	carol.loses(t, p, func(i, of int) bool { return i == of/2 })
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.meet(alice, carol)
	bob.uses(a)
	if _, err := bob.reads(p); !errors.Is(err, node.ErrNoProvider) {
		t.Errorf("a chunk that nobody has: %v", err)
	}
}

// TestFullStoreNeverWaitsForItself: the store takes nothing, and the first chunk comes only after as much as may wait in
// memory has come of the rest.
func TestFullStoreNeverWaitsForItself(t *testing.T) {
	w := newWorld(t)
	alice, carol, a, p := w.pair(&liar{}, 45_000_000)
	alice.loses(t, p, func(i, _ int) bool { return i == 3 })
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.store.Fail(func(op storetest.Op, k store.Key) (bool, error) {
		if op == storetest.OpPut && k.Kind == store.KindChunk {
			return false, store.ErrFull
		}
		return true, nil
	})
	bob.meet(alice)
	bob.uses(a)
	done := make(chan error, 1)
	go func() {
		_, err := bob.reads(p)
		done <- err
	}()
	bob.eventually("to have fetched what it may hold", func() bool { return bob.link.Traffic().Fetch.Received > 32<<20 })
	bob.meet(carol)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
