package catalogtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// receipt is one by the seed of that name.
func (b *Bench) receipt(seed string, id namespace.ID, at time.Time) trust.Receipt {
	b.T.Helper()
	sum := sha256.Sum256([]byte(seed))
	raw, err := trust.SignReceipt(&namespace.Receipt{Namespace: b.Address, Publication: id, Time: at}, ed25519.NewKeyFromSeed(sum[:]))
	if err != nil {
		b.T.Fatal(err)
	}
	r, err := trust.VerifyReceipt(raw)
	if err != nil {
		b.T.Fatal(err)
	}
	return r
}

func (b *Bench) receipts(id namespace.ID) int {
	b.T.Helper()
	all, err := b.Catalog.Receipts(b.T.Context(), b.Address, id)
	if err != nil {
		b.T.Fatal(err)
	}
	return len(all)
}

// testReceipts: one of each seed stays, as long as its publication.
func testReceipts(t *testing.T, b *Bench) {
	ctx := t.Context()
	b.Adopt(b.Document(1, nil))
	raw := b.Publication(b.Root, both(lists("a"), dated(b.Start, time.Hour)))
	id := b.ID(raw)
	if err := b.Catalog.KeepReceipt(ctx, b.receipt("one", id, b.Start)); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("for what is not here: %v", err)
	}
	if err := b.Catalog.KeepReceipt(ctx, trust.Receipt{}); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("none: %v", err)
	}
	b.Add(raw)
	for _, seed := range []string{"one", "two", "one"} {
		if err := b.Catalog.KeepReceipt(ctx, b.receipt(seed, id, b.Start)); err != nil {
			t.Fatal(err)
		}
	}
	later := b.receipt("one", id, b.Start.Add(time.Minute))
	if err := b.Catalog.KeepReceipt(ctx, later); err != nil {
		t.Fatal(err)
	}
	b.Reopen()
	all, err := b.Catalog.Receipts(ctx, b.Address, id)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d receipts, %v", len(all), err)
	}
	for _, r := range all {
		if r.Seed() == later.Seed() && !r.Value().Time.Equal(later.Value().Time) {
			t.Errorf("the older receipt stayed: %v", r.Value().Time)
		}
	}
	for i := len(all); i < catalog.MaxReceipts; i++ {
		if err := b.Catalog.KeepReceipt(ctx, b.receipt(fmt.Sprint("seed ", i), id, b.Start)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Catalog.KeepReceipt(ctx, b.receipt("one too many", id, b.Start)); !errors.Is(err, catalog.ErrLimit) {
		t.Fatalf("one too many: %v", err)
	}
	if err := b.Catalog.KeepReceipt(ctx, b.receipt("one", id, b.Start)); err != nil {
		t.Fatalf("in the place of its own: %v", err)
	}
	b.Clock.Add(2 * time.Hour)
	if err := b.Catalog.Drop(ctx, b.Address, id); err != nil {
		t.Fatal(err)
	}
	b.Add(raw)
	if n := b.receipts(id); n != 0 {
		t.Errorf("%d receipts outlived their publication", n)
	}
}

// testWanted: wishes are kept until they are taken back or pointless.
func testWanted(t *testing.T, b *Bench) {
	ctx := t.Context()
	b.Adopt(b.Document(1, nil))
	one, two := b.Publication(b.Root, both(lists("a"), dated(b.Start, time.Hour))), b.Publication(b.Root, lists("b"))
	if err := b.Catalog.Want(ctx, b.Address, b.ID(one), 1); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("of what is not here: %v", err)
	}
	b.Add(one)
	b.Add(two)
	want := func(raw []byte, n int) {
		t.Helper()
		if err := b.Catalog.Want(ctx, b.Address, b.ID(raw), n); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want map[namespace.ID]int) {
		t.Helper()
		got := map[namespace.ID]int{}
		for w, err := range b.Catalog.Wanted(ctx, b.Address) {
			if err != nil {
				t.Fatal(err)
			}
			got[w.Publication] = w.Copies
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("wanted: %v, want %v", got, want)
		}
	}
	want(one, 2)
	want(two, 1)
	want(two, 3)
	b.Reopen()
	check(map[namespace.ID]int{b.ID(one): 2, b.ID(two): 3})
	want(two, 0)
	check(map[namespace.ID]int{b.ID(one): 2})
	b.Clock.Add(2 * time.Hour)
	if err := b.Catalog.Drop(ctx, b.Address, b.ID(one)); err != nil {
		t.Fatal(err)
	}
	check(map[namespace.ID]int{})
}

// testTouched: to the hour, and only forward.
func testTouched(t *testing.T, b *Bench) {
	ctx := t.Context()
	b.Adopt(b.Document(1, nil))
	body := content.BodyID{1}
	if at, err := b.Catalog.Touched(ctx, b.Address, body); err != nil || !at.IsZero() {
		t.Fatalf("before it was: %v, %v", at, err)
	}
	for range 3 {
		b.Clock.Add(50 * time.Minute)
		if err := b.Catalog.Touch(ctx, b.Address, body); err != nil {
			t.Fatal(err)
		}
		b.Reopen()
		if at, err := b.Catalog.Touched(ctx, b.Address, body); err != nil || !at.Equal(b.Clock.Now().UTC().Truncate(time.Hour)) {
			t.Fatalf("touched %v, %v; want %v", at, err, b.Clock.Now().Truncate(time.Hour))
		}
	}
}
