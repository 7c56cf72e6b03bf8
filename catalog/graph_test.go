package catalog

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// rules is a policy for graphs: verdicts by id, and when held ones are due.
type rules struct {
	verdicts map[namespace.ID]verdict
	due      map[namespace.ID]int64
}

func (r *rules) judge(p *publication, now int64) (verdict, int64) {
	if due := r.due[p.id]; due > now {
		return held, due
	}
	if v, ok := r.verdicts[p.id]; ok {
		return v, 0
	}
	return valid, 0
}

func idOf(n int) (id namespace.ID) {
	binary.BigEndian.PutUint16(id[:], uint16(n*2654435))
	binary.BigEndian.PutUint16(id[2:], uint16(n))
	return id
}

func signerOf(n int) nix.PublicKey { return nix.PublicKey{Name: fmt.Sprint("signer", n)} }

// naiveLife is the definition: the latest expiry among p and its users, through
// valid ones, found by going round until nothing changes.
func naiveLife(all map[namespace.ID]*facts, r *rules, now int64) map[namespace.ID]int64 {
	life := make(map[namespace.ID]int64)
	counts := func(f *facts) bool {
		v, _ := r.judge(&publication{id: f.id}, now)
		return v == valid
	}
	for id, f := range all {
		if counts(f) {
			life[id] = f.expires
		}
	}
	for grew := true; grew; {
		grew = false
		for id, f := range all {
			for _, used := range f.uses {
				if life[id] > life[used] && all[used] != nil && counts(all[used]) {
					life[used], grew = life[id], true
				}
			}
		}
	}
	return life
}

// checkGraph compares g with the definition, and everything that g keeps with
// what it follows from.
func checkGraph(t *testing.T, g *graph, all map[namespace.ID]*facts, r *rules) {
	t.Helper()
	life := naiveLife(all, r, g.now)
	var alive []namespace.ID
	signers := make(map[nix.PublicKey]totals)
	var sum totals
	for id, f := range all {
		p := g.pubs[id]
		if p == nil || !p.here() {
			t.Fatalf("%s is not here", id.Short())
		}
		// Of the dead, a life may tell of a user that was removed meanwhile.
		if max(p.life, g.now) != max(life[id], g.now) {
			t.Fatalf("%s lives until %d, want %d", id.Short(), p.life, life[id])
		}
		if want := life[id] > g.now; p.alive != want {
			t.Fatalf("%s is alive: %v, want %v", id.Short(), p.alive, want)
		}
		if p.alive {
			alive = append(alive, id)
		}
		want := totalsOf(f)
		for _, used := range f.uses {
			if all[used] == nil {
				want.missing++
			}
		}
		s := signers[f.signer]
		s.add(want)
		signers[f.signer] = s
		sum.add(want)
	}
	slices.SortFunc(alive, namespace.ID.Compare)
	if !slices.Equal(g.set.ids, alive) {
		t.Fatalf("the set is %v, want %v", g.set.ids, alive)
	}
	if got := g.set.sum(); got != digestOf(alive) {
		t.Fatalf("the digest is %v, want %v", got, digestOf(alive))
	}
	if g.all != sum {
		t.Fatalf("totals %+v, want %+v", g.all, sum)
	}
	for k, s := range g.signers {
		if s.has != signers[k] {
			t.Fatalf("totals of %s %+v, want %+v", k.Name, s.has, signers[k])
		}
		delete(signers, k)
	}
	if len(signers) != 0 {
		t.Fatalf("no totals of %v", signers)
	}
	for id, p := range g.pubs {
		if !p.here() && len(p.users) == 0 {
			t.Fatalf("%s is kept for nobody", id.Short())
		}
	}
	told, next := g.order.since(0, 1<<20)
	slices.SortFunc(told, namespace.ID.Compare)
	if !slices.Equal(told, alive) || next != g.order.last {
		t.Fatalf("the order of arrival has %v, want %v", told, alive)
	}
}

// TestGraph does random things to random graphs, circles included, which hashes
// forbid but which must not hang.
func TestGraph(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 7))
			const n, span = 40, 200
			r := &rules{verdicts: make(map[namespace.ID]verdict), due: make(map[namespace.ID]int64)}
			world := make([]*facts, n)
			for i := range world {
				f := &facts{id: idOf(i), signer: signerOf(rng.IntN(3)), time: int64(i), expires: 1 + rng.Int64N(span), entries: uint64(rng.IntN(4)), text: 10, nar: 5}
				used := make(map[int]bool)
				for range rng.IntN(4) {
					used[rng.IntN(n)] = true
				}
				for _, j := range slices.Sorted(maps.Keys(used)) {
					f.uses = append(f.uses, idOf(j))
				}
				if rng.IntN(4) == 0 {
					r.due[f.id] = rng.Int64N(span)
				}
				world[i] = f
			}
			g := newGraph(r.judge)
			all := make(map[namespace.ID]*facts)
			for range 150 {
				f := world[rng.IntN(n)]
				switch rng.IntN(10) {
				case 0, 1, 2, 3, 4:
					if all[f.id] == nil {
						all[f.id] = f
						g.settle(g.insert(f))
					}
				case 5, 6, 7:
					g.advance(g.now + rng.Int64N(6))
				case 8:
					if p := g.pubs[f.id]; p != nil && p.here() && !p.alive && p.verdict != held {
						g.remove(p)
						delete(all, f.id)
					}
				case 9:
					switch rng.IntN(3) {
					case 0:
						r.verdicts[f.id] = verdict(rng.IntN(int(held)))
						delete(r.due, f.id)
					case 1:
						clear(r.verdicts)
					}
					g.reassess(max(0, g.now+rng.Int64N(40)-20))
				}
				checkGraph(t, g, all, r)
			}
		})
	}
}

// TestGraphVersion: the version grows exactly when what is alive changes, losses
// when something goes.
func TestGraphVersion(t *testing.T) {
	r := &rules{}
	g := newGraph(r.judge)
	g.settle(g.insert(&facts{id: idOf(1), signer: signerOf(1), expires: 10, uses: []namespace.ID{idOf(2)}}))
	at := func(version, losses uint64) {
		t.Helper()
		if g.version != version || g.losses != losses {
			t.Fatalf("version %d, losses %d; want %d, %d", g.version, g.losses, version, losses)
		}
	}
	at(1, 0)
	g.settle(g.insert(&facts{id: idOf(2), signer: signerOf(1), expires: 5}))
	at(2, 0)
	g.advance(9)
	at(2, 0)
	g.reassess(9)
	at(2, 0)
	g.advance(10)
	at(4, 2)
	if first := g.line.first(); first != 1<<63-1 {
		t.Fatalf("the dead are waited for until %d", first)
	}
}

// TestGraphTimeline: no question has to be asked before the next moment.
func TestGraphTimeline(t *testing.T) {
	r := &rules{due: map[namespace.ID]int64{idOf(1): 7}}
	g := newGraph(r.judge)
	g.settle(g.insert(&facts{id: idOf(1), signer: signerOf(1), expires: 20, uses: []namespace.ID{idOf(2)}}))
	g.settle(g.insert(&facts{id: idOf(2), signer: signerOf(1), expires: 9}))
	var moments []int64
	for g.line.first() < 1<<62 {
		before := g.version
		moment := g.line.first()
		g.advance(moment - 1)
		if g.version != before {
			t.Fatalf("something changed before %d", moment)
		}
		g.advance(moment)
		if g.version != before {
			moments = append(moments, moment)
		}
	}
	if !slices.Equal(moments, []int64{7, 20}) {
		t.Fatalf("changes at %v", moments)
	}
}

// TestArrivalsStayShort: what died does not fill the order of arrival.
func TestArrivalsStayShort(t *testing.T) {
	r := &rules{verdicts: make(map[namespace.ID]verdict)}
	g := newGraph(r.judge)
	for i := range 100 {
		g.settle(g.insert(&facts{id: idOf(i), signer: signerOf(1), expires: 10}))
	}
	for range 50 {
		for i := range 100 {
			r.verdicts[idOf(i)] = refused
		}
		g.reassess(1)
		clear(r.verdicts)
		g.reassess(1)
	}
	if n := len(g.order.log); n > 300 {
		t.Fatalf("%d places for 100 publications", n)
	}
	if g.order.last != 51*100 {
		t.Fatalf("numbers went up to %d, want %d", g.order.last, 51*100)
	}
}
