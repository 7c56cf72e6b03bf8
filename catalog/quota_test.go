package catalog

import (
	"errors"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
)

// small bounds everything at 3, or at 30 where that counts bytes.
func small() limits {
	t := totals{publications: 3, entries: 3, text: 30, uses: 3, missing: 3}
	return limits{signer: t, namespace: totals{publications: 5, entries: 5, text: 50, uses: 5, missing: 5}, kept: 3}
}

// TestRoomBounds: each bound holds, to the last one allowed, for a signer and
// for all together.
func TestRoomBounds(t *testing.T) {
	for name, f := range map[string]*facts{
		"publications": {},
		"entries":      {entries: 1},
		"text":         {text: 10},
		"uses":         {uses: []namespace.ID{idOf(0)}}, // idOf(0) is here
		"missing":      {uses: []namespace.ID{idOf(999)}},
	} {
		t.Run(name, func(t *testing.T) {
			l := small()
			if name == "missing" {
				l.signer.uses, l.namespace.uses = 100, 100
			}
			if name != "publications" {
				l.signer.publications, l.namespace.publications = 100, 100
			}
			g := newGraph((&rules{}).judge)
			had := 0
			if name == "uses" {
				g.settle(g.insert(&facts{id: idOf(0), signer: signerOf(9), expires: 100}))
			}
			add := func(signer int) error {
				had++
				f := *f
				f.id, f.signer, f.expires = idOf(had), signerOf(signer), 100
				gone, err := g.room(&f, l)
				if err == nil {
					if gone != nil {
						t.Fatalf("%d of the living would go", len(gone))
					}
					g.settle(g.insert(&f))
				} else if !errors.Is(err, ErrLimit) {
					t.Fatal(err)
				}
				return err
			}
			for range 3 {
				if err := add(1); err != nil {
					t.Fatal(err)
				}
			}
			if add(1) == nil {
				t.Fatal("one signer has more than its share")
			}
			for range 2 {
				if err := add(2); err != nil {
					t.Fatal(err)
				}
			}
			if add(2) == nil {
				t.Fatal("all together have more than their share")
			}
		})
	}
}

// TestRoomEvicts: the dead make room, in order, and only for what is worth it.
func TestRoomEvicts(t *testing.T) {
	r := &rules{verdicts: map[namespace.ID]verdict{}, due: map[namespace.ID]int64{}}
	g := newGraph(r.judge)
	add := func(n int, signer int, expires int64, uses ...namespace.ID) {
		g.settle(g.insert(&facts{id: idOf(n), signer: signerOf(signer), expires: expires, uses: uses}))
	}
	add(1, 1, 10)
	add(2, 1, 20)
	add(3, 1, 30)
	add(4, 2, 5)
	g.advance(25) // 1, 2 and 4 are dead
	room := func(expires int64, uses ...namespace.ID) []namespace.ID {
		t.Helper()
		gone, err := g.room(&facts{id: idOf(100), signer: signerOf(1), expires: expires, uses: uses}, small())
		if err != nil {
			if !errors.Is(err, ErrLimit) || gone != nil {
				t.Fatalf("%v, %v", gone, err)
			}
			return nil
		}
		var ids []namespace.ID
		for _, p := range gone {
			ids = append(ids, p.id)
		}
		if len(ids) != 1 {
			t.Fatalf("%d would go, 1 is enough", len(ids))
		}
		return ids
	}
	first := func(expires int64, want int, uses ...namespace.ID) {
		t.Helper()
		got := room(expires, uses...)
		if want == 0 && got == nil {
			return
		}
		if got == nil || got[0] != idOf(want) {
			t.Fatalf("%v would go, want %v", got, idOf(want))
		}
	}
	first(100, 1)
	first(100, 2, idOf(1))
	first(100, 0, idOf(1), idOf(2))
	first(20, 1) // dead as well, but it died later
	first(10, 0)
	add(5, 2, 1000, idOf(100))
	first(10, 1) // dead by itself, but 5 keeps it alive
	g.reassess(25)
	r.verdicts[idOf(2)] = refused
	g.reassess(25)
	first(100, 2)
	r.due[idOf(1)], r.verdicts[idOf(2)] = 1000, frozen // what may still come stays
	g.reassess(25)
	first(100, 0)
}

// TestRemoveAlive: the clock may have gone back since somebody was found dead.
func TestRemoveAlive(t *testing.T) {
	g := newGraph((&rules{}).judge)
	g.settle(g.insert(&facts{id: idOf(1), signer: signerOf(1), expires: 10}))
	g.remove(g.pubs[idOf(1)])
	checkGraph(t, g, map[namespace.ID]*facts{}, &rules{})
}
