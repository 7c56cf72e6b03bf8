package content

import (
	"fmt"
	"sort"

	"github.com/flurry-nix/flurry/nix"
)

// Rewriter turns a body's normalised chunks into the bytes of the NAR by
// writing the hash parts back. It never changes, and so any number of
// goroutines may use it. It takes 8 bytes a chunk and 12 a rewrite.
type Rewriter struct {
	chunks *Index
	places []uint64 // of each rewrite in the NAR, ascending
	slots  []uint32 // which text goes there
	texts  [][hashChars]byte
}

// NewRewriter returns a Rewriter that fills the body's slots, in order. It
// returns an error when the body is malformed or does not use exactly that
// many slots. Whether the hashes are the right ones is [Body.Check]'s matter, and
// in the end NarHash's.
func NewRewriter(b *Body, slots []nix.PathHash) (*Rewriter, error) {
	if err := b.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	if used := b.Slots(); used != len(slots) {
		return nil, fmt.Errorf("%w: it uses %d slots, %d are given", ErrBody, used, len(slots))
	}
	r := &Rewriter{
		chunks: b.Index(),
		places: make([]uint64, len(b.Rewrites)),
		slots:  make([]uint32, len(b.Rewrites)),
		texts:  make([][hashChars]byte, len(slots)),
	}
	var end uint64
	for i, w := range b.Rewrites {
		r.places[i] = end + w.Gap
		r.slots[i] = w.Slot
		end = r.places[i] + hashChars
	}
	for i, h := range slots {
		h.AppendTo(r.texts[i][:0])
	}
	return r, nil
}

// Chunk overwrites the normalised bytes of chunk i with the NAR's, in place,
// and returns them. The caller owns the buffer, and has verified it with
// [Piece.Verify]; bytes beyond the piece's length stay as they are. Chunks may come
// in any order, and a rewrite that straddles two of them is done half in each.
// It panics when the body has no chunk i.
func (r *Rewriter) Chunk(i int, normalised []byte) []byte {
	return r.overwrite(i, normalised, func(k int) []byte { return r.texts[r.slots[k]][:] })
}

// Normalise is the inverse of Chunk: it overwrites the NAR's bytes of chunk i, in
// place, with the normalised ones, whatever stood where hash parts go, and
// returns them. That they are the chunk is for the caller to verify.
func (r *Rewriter) Normalise(i int, nar []byte) []byte {
	placeholder := []byte(Placeholder)
	return r.overwrite(i, nar, func(int) []byte { return placeholder })
}

// overwrite writes text(k) to the place of each rewrite k that touches chunk i.
func (r *Rewriter) overwrite(i int, data []byte, text func(k int) []byte) []byte {
	start, end := r.chunks.Start(i), r.chunks.Start(i+1)
	end = min(end, start+uint64(len(data)))
	first := sort.Search(len(r.places), func(k int) bool { return r.places[k]+hashChars > start })
	for k := first; k < len(r.places) && r.places[k] < end; k++ {
		place := r.places[k]
		from, to := max(place, start), min(place+hashChars, end)
		copy(data[from-start:to-start], text(k)[from-place:])
	}
	return data
}
