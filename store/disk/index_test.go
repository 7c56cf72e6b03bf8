package disk

import (
	"log/slog"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

func openTest(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir(), Options{Reserve: 1, Ballast: -1, Log: slog.New(slog.DiscardHandler), Space: func(string) (durable.Space, error) {
		return durable.Space{Free: 1 << 40, Total: 1 << 40}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A key that is stored a second time lies where it was stored last, and is
// counted once.
func TestIndexMoves(t *testing.T) {
	x := openTest(t).index
	k := store.Key{Kind: store.KindBody, ID: [32]byte{1}}
	first := location{pack: 1, offset: packHeader, stored: 100, raw: 100}
	second := location{pack: 2, offset: 500, stored: 70, raw: 100, encoding: store.Zstd}
	for _, at := range []location{first, second, second} {
		if err := x.add(at.pack, []entry{{k, at}}, 1000); err != nil {
			t.Fatal(err)
		}
		n, live := x.totals()
		if got, ok, err := x.get(k); err != nil || !ok || got != at || n.contents[store.KindBody] != 1 || live != at.size() {
			t.Errorf("%+v, %v, %v; %+v, %d bytes live", got, ok, err, n, live)
		}
	}
	if s := x.states(); s[1] != (packState{1000, 0}) || s[2] != (packState{1000, second.size()}) {
		t.Errorf("%+v", s)
	}
	if err := x.condemn(k, second); err != nil {
		t.Fatal(err)
	}
	n, live := x.totals()
	if _, ok, err := x.get(k); ok || err != nil || n != (counts{damaged: 1}) || live != 0 {
		t.Errorf("condemned: %v, %v, %+v, %d bytes live", ok, err, n, live)
	}
	// What was counted is what is kept.
	y := &index{db: x.db, packs: make(map[uint32]packState)}
	if err := y.load(); err != nil || y.counts != x.counts || len(y.packs) != 2 || y.packs[2] != x.packs[2] {
		t.Errorf("%v, %+v, %+v", err, y.counts, y.packs)
	}
}

// Whoever read damaged bytes condemns where it read them. If the content has
// been stored anew by then, that stays.
func TestCondemnStale(t *testing.T) {
	s := openTest(t)
	k, raw := storetest.Noise(1, 500)
	b, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := store.Receive(t.Context(), b, s.codec, k, raw); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		at, _, _ := s.locate(k)
		stale := at
		stale.offset += 7 // nothing is right there
		if out, err := s.condemn(t.Context(), k, stale); out || err != nil {
			t.Errorf("%s: %v, %v", when, out, err)
		}
		if _, err := store.Get(t.Context(), s, s.codec, k); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("waiting to be committed")
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("committed")
}
