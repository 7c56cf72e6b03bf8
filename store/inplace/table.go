package inplace

import (
	"hash/maphash"
	"slices"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
)

// place is a path that chunks are read from. It never changes.
type place struct {
	path   nix.StorePath
	body   content.BodyID
	size   uint64 // of its NAR
	stamp  uint64
	hashes []uint64 // of its chunks, each once
}

// ref is where a chunk is.
type ref struct {
	place *place
	chunk uint32 // which of the body's
}

// table finds chunks. They are remembered by a 64-bit hash under a random seed: two that fall together cost a look at the body,
// and nobody can make them do so.
type table struct {
	seed   maphash.Seed
	places map[nix.StorePath]*place
	bodies map[content.BodyID]int // how many places have it
	bytes  uint64
	first  map[uint64]ref
	others map[uint64][]ref // where more than one place has it
}

func newTable() *table {
	return &table{seed: maphash.MakeSeed(), places: make(map[nix.StorePath]*place), bodies: make(map[content.BodyID]int), first: make(map[uint64]ref), others: make(map[uint64][]ref)}
}

func (t *table) hash(id content.ChunkID) uint64 { return maphash.Comparable(t.seed, id) }

func (t *table) has(id content.ChunkID) bool {
	_, ok := t.first[t.hash(id)]
	return ok
}

// find is where a chunk may be.
func (t *table) find(id content.ChunkID) []ref {
	h := t.hash(id)
	r, ok := t.first[h]
	if !ok {
		return nil
	}
	return append([]ref{r}, t.others[h]...)
}

// add puts p in the place of one with the same path.
func (t *table) add(p *place, chunks []content.Piece) {
	t.remove(p.path)
	t.places[p.path] = p
	t.bodies[p.body]++
	t.bytes += p.size
	p.hashes = make([]uint64, 0, len(chunks))
	for i, c := range chunks {
		h, r := t.hash(c.ID), ref{p, uint32(i)}
		old, ok := t.first[h]
		switch {
		case !ok:
			t.first[h] = r
		case old.place == p || slices.ContainsFunc(t.others[h], func(o ref) bool { return o.place == p }):
			continue // a chunk that the NAR has more than once
		default:
			t.others[h] = append(t.others[h], r)
		}
		p.hashes = append(p.hashes, h)
	}
}

// remove takes a path out, and returns what was there.
func (t *table) remove(path nix.StorePath) *place {
	p := t.places[path]
	if p == nil {
		return nil
	}
	delete(t.places, path)
	if t.bodies[p.body]--; t.bodies[p.body] == 0 {
		delete(t.bodies, p.body)
	}
	t.bytes -= p.size
	for _, h := range p.hashes {
		rest := slices.DeleteFunc(append([]ref{t.first[h]}, t.others[h]...), func(r ref) bool { return r.place == p })
		delete(t.others, h)
		if len(rest) == 0 {
			delete(t.first, h)
			continue
		}
		if t.first[h] = rest[0]; len(rest) > 1 {
			t.others[h] = rest[1:]
		}
	}
	return p
}
