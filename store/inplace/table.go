package inplace

import (
	"hash/maphash"
	"slices"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
)

// placeKey names a place. Two namespaces may cut one path into chunks otherwise: each body of it has a place of its own.
type placeKey struct {
	path nix.StorePath
	body content.BodyID
}

// place is a path that the chunks of a body are read from. It never changes.
type place struct {
	placeKey
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
	places map[placeKey]*place
	bodies map[content.BodyID]int // how many places have it
	paths  map[nix.StorePath]int  // how many places it is
	bytes  uint64                 // of the NARs of paths
	first  map[uint64]ref
	others map[uint64][]ref // where more than one place has it
}

func newTable() *table {
	return &table{seed: maphash.MakeSeed(), places: make(map[placeKey]*place), bodies: make(map[content.BodyID]int), paths: make(map[nix.StorePath]int), first: make(map[uint64]ref), others: make(map[uint64][]ref)}
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

// add puts p in the place of one with the same path and body.
func (t *table) add(p *place, chunks []content.Piece) {
	t.remove(p.placeKey)
	t.places[p.placeKey] = p
	t.bodies[p.body]++
	if t.paths[p.path]++; t.paths[p.path] == 1 {
		t.bytes += p.size
	}
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

// remove takes a place out, if there is such a one.
func (t *table) remove(k placeKey) {
	p := t.places[k]
	if p == nil {
		return
	}
	delete(t.places, k)
	if t.bodies[p.body]--; t.bodies[p.body] == 0 {
		delete(t.bodies, p.body)
	}
	if t.paths[p.path]--; t.paths[p.path] == 0 {
		delete(t.paths, p.path)
		t.bytes -= p.size
	}
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
}
