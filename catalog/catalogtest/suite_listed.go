package catalogtest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// told fails unless others are told of exactly these publications, now and after a restart.
func (b *Bench) told(want ...[]byte) {
	b.T.Helper()
	var ids []namespace.ID
	for _, raw := range want {
		ids = append(ids, b.ID(raw))
	}
	slices.SortFunc(ids, namespace.ID.Compare)
	for range 2 {
		d, err := b.Catalog.Digest(b.T.Context(), b.Address)
		if err != nil {
			b.T.Fatal(err)
		}
		if d != digest(ids) {
			b.T.Fatalf("the digest is of %d publications, want %d", d.Count, len(ids))
		}
		b.Reopen()
	}
}

func (b *Bench) unlisted() []namespace.ID {
	b.T.Helper()
	ids, err := b.Catalog.Unlisted(b.T.Context(), b.Address)
	if err != nil {
		b.T.Fatal(err)
	}
	return ids
}

// testUnlisted: what is unlisted counts here, and nobody is told of it until it is listed.
func testUnlisted(t *testing.T, b *Bench) {
	ctx := t.Context()
	b.Adopt(b.Document(1, nil))
	first := b.Publication(b.Root, lists("a"))
	second := b.Publication(b.Root, lists("b"))
	third := b.Publication(b.Root, lists("c"))
	for _, raw := range [][]byte{first, second} {
		if added, err := b.Catalog.AddUnlisted(ctx, b.Verify(raw)); err != nil || !added.New || added.Standing.State != trust.Live {
			t.Fatalf("added %+v, %v", added, err)
		}
		b.Clock.Add(time.Second)
	}
	b.Add(third)
	if len(b.Lookup("a")) != 1 || len(b.Lookup("b")) != 1 {
		t.Fatal("what is unlisted is not answered with")
	}
	b.told(third)
	if got := b.unlisted(); !slices.Equal(got, []namespace.ID{b.ID(first), b.ID(second)}) {
		t.Fatalf("unlisted: %v", short(got))
	}
	if st := b.Catalog.Stats(b.Address); st.Publications != 3 || st.Unlisted != 2 {
		t.Fatalf("Stats: %+v", st)
	}
	end, err := b.Catalog.End(ctx, b.Address)
	if err != nil {
		t.Fatal(err)
	}
	changed := b.Catalog.Changed(b.Address)
	if err := b.Catalog.List(ctx, b.Address, b.ID(second), b.ID(third)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Fatal("listing is no change")
	}
	if err := b.Catalog.List(ctx, b.Address, b.ID(first)); err != nil {
		t.Fatal(err)
	}
	ids, _, known, err := b.Catalog.Changes(ctx, b.Address, end, 10)
	if err != nil || !known || !slices.Equal(ids, []namespace.ID{b.ID(second), b.ID(first)}) {
		t.Fatalf("changes in the order of listing: %v, %v, %v", short(ids), known, err)
	}
	b.told(first, second, third)
	if added, err := b.Catalog.AddUnlisted(ctx, b.Verify(first)); err != nil || added.New {
		t.Fatalf("added again: %+v, %v", added, err)
	}
	b.told(first, second, third)
	if err := b.Catalog.Unlist(ctx, b.Address, b.ID(third)); err != nil {
		t.Fatal(err)
	}
	b.told(first, second)
	if err := b.Catalog.List(ctx, b.Address, b.ID(third), namespace.ID{9}); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("listing what is not here: %v", err)
	}
	b.told(first, second)
}

// testUnlistedLives: what is unlisted lives, dies, comes back and goes as any.
func testUnlistedLives(t *testing.T, b *Bench) {
	ctx := t.Context()
	b.Adopt(b.Document(1, nil))
	raw := b.Publication(b.Root, both(lists("a"), dated(b.Start, time.Hour)))
	if _, err := b.Catalog.AddUnlisted(ctx, b.Verify(raw)); err != nil {
		t.Fatal(err)
	}
	b.Clock.Add(2 * time.Hour)
	if got := b.unlisted(); len(got) != 0 || b.Lookup("a") != nil {
		t.Fatalf("expired, and unlisted: %v", short(got))
	}
	renewal := b.Publication(b.Root, both(renews("a", b.ID(raw)), dated(b.Start.Add(2*time.Hour), time.Hour)))
	b.Add(renewal)
	if got := b.unlisted(); !slices.Equal(got, []namespace.ID{b.ID(raw)}) || len(b.Lookup("a")) != 1 {
		t.Fatalf("alive again, unlisted: %v", short(got))
	}
	b.told(renewal)
	b.Clock.Add(2 * time.Hour)
	if err := b.Catalog.Drop(ctx, b.Address, b.ID(raw)); err != nil {
		t.Fatal(err)
	}
	b.Add(raw) // what was forgotten is added as any
	if err := b.Catalog.List(ctx, b.Address, b.ID(raw)); err != nil {
		t.Fatal(err)
	}
	info, err := b.Catalog.PublicationInfo(ctx, b.Address, b.ID(raw))
	if err != nil || !info.Listed {
		t.Fatalf("after it was dropped: %+v, %v", info, err)
	}
}

// testReceived: when a publication came is remembered, whatever becomes of documents and index.
func testReceived(t *testing.T, b *Bench) {
	ctx := t.Context()
	b.Adopt(b.Document(1, nil))
	raw := b.Publication(b.Root, lists("a"))
	came := b.Clock.Now().Truncate(time.Second)
	b.Add(raw)
	check := func(when string) {
		t.Helper()
		info, err := b.Catalog.PublicationInfo(ctx, b.Address, b.ID(raw))
		if err != nil || !info.Received.Equal(came) {
			t.Fatalf("%s: received %v, %v; want %v", when, info.Received, err, came)
		}
	}
	check("at once")
	b.Clock.Add(time.Hour)
	b.Add(raw)
	check("added again")
	b.Reopen()
	check("after a restart")
	b.Adopt(b.Document(2, nil))
	check("under another document")
}

// testAddAll: many at once count as each would alone.
func testAddAll(t *testing.T, b *Bench) {
	ctx := t.Context()
	b.Adopt(b.Document(1, nil))
	var pubs []trust.Publication
	var raws [][]byte
	for _, name := range []string{"a", "b", "c", "d"} {
		raw := b.Publication(b.Root, lists(name))
		raws, pubs = append(raws, raw), append(pubs, b.Verify(raw))
	}
	b.Add(raws[1])
	pubs = append(pubs, trust.Publication{}, pubs[0])
	results, err := b.Catalog.AddAll(ctx, pubs, true)
	if err != nil || len(results) != 6 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for i, want := range []bool{true, false, true, true, false, false} {
		if results[i].New != want || (results[i].Err != nil) != (i == 4) {
			t.Errorf("number %d: %+v", i, results[i])
		}
	}
	b.told(raws...)
	quiet := b.Publication(b.Root, lists("e"))
	if _, err := b.Catalog.AddAll(ctx, []trust.Publication{b.Verify(quiet)}, false); err != nil {
		t.Fatal(err)
	}
	b.told(raws...)
	if got := b.unlisted(); !slices.Equal(got, []namespace.ID{b.ID(quiet)}) {
		t.Fatalf("unlisted: %v", short(got))
	}
}
