package content

import (
	"errors"
	"fmt"

	"github.com/flurry-nix/flurry/nix"
)

// ErrTooLarge says that a NAR needs more than MaxChunks chunks.
var ErrTooLarge = errors.New("NAR is too large")

// bounds are the counts at which a chunker gives up or stops rewriting. They are
// MaxChunks and MaxRewrites outside tests.
type bounds struct{ chunks, rewrites int }

// chunker is a Splitter's sequential part: it normalises the NAR in its blocks,
// cuts it, and builds the body but for the chunks' ids. It starts no goroutine.
type chunker struct {
	bounds bounds
	// emit is given each chunk: a part of the block, and the piece whose ID is
	// to be set. It must call b.uses.Add for itself.
	emit func(b *block, chunk []byte, piece *Piece)

	match  *matcher
	cut    cutter
	pieces pieceList

	b     *block // the last one; it holds what is not yet emitted
	chunk int    // in b: where the unfinished chunk begins
	done  int    // in b: before here, all is normalised and cut

	size     uint64 // of the NAR before done
	gap      uint64 // from the end of the last rewrite to done
	rewrites []Rewrite
	slots    []nix.PathHash // used so far, in order of first occurrence
	slotOf   []int          // by the matcher's index; -1 is none yet
}

func newChunker(candidates []nix.PathHash, bounds bounds, emit func(*block, []byte, *Piece)) *chunker {
	c := &chunker{bounds: bounds, emit: emit, match: newMatcher(candidates)}
	c.slotOf = make([]int, len(c.match.hashes))
	for i := range c.slotOf {
		c.slotOf[i] = -1
	}
	return c
}

// next goes on with the NAR's next block, which the chunker owns from now on.
// It returns the block before, which it does not need any more, or nil at first.
func (c *chunker) next(b *block) (before *block, err error) {
	start := headroom
	if c.b != nil {
		start -= copy(b.buf[headroom-(c.b.end-c.chunk):], c.b.buf[c.chunk:c.b.end])
	}
	before, c.b = c.b, b
	c.done += start - c.chunk
	c.chunk = start
	return before, c.scan()
}

// finish takes the NAR's end.
func (c *chunker) finish() error {
	if c.b == nil {
		return nil
	}
	if err := c.settle(c.b.end); err != nil {
		return err
	}
	if c.chunk < c.done {
		return c.endChunk()
	}
	return nil
}

// scan normalises and cuts the block as far as it can be known without the
// next one.
func (c *chunker) scan() error {
	for len(c.rewrites) < c.bounds.rewrites {
		at, which := c.match.find(c.b.buf[:c.b.end], c.done)
		if err := c.settle(at); err != nil || which < 0 {
			return err
		}
		copy(c.b.buf[at:], Placeholder)
		c.rewrites = append(c.rewrites, Rewrite{Gap: c.gap, Slot: uint32(c.slot(which))})
		if err := c.settle(at + hashChars); err != nil {
			return err
		}
		c.gap = 0
	}
	return c.settle(c.b.end)
}

// slot returns the slot of the matcher's hash, the next free one at first.
func (c *chunker) slot(which int) int {
	if c.slotOf[which] < 0 {
		c.slotOf[which] = len(c.slots)
		c.slots = append(c.slots, c.match.hashes[which])
	}
	return c.slotOf[which]
}

// settle cuts up to the place to; the bytes before it are normalised.
func (c *chunker) settle(to int) error {
	c.size += uint64(to - c.done)
	c.gap += uint64(to - c.done)
	for c.done < to {
		used, end := c.cut.next(c.b.buf[c.done:to])
		c.done += used
		if end {
			if err := c.endChunk(); err != nil {
				return err
			}
		}
	}
	return nil
}

// endChunk emits what lies between chunk and done.
func (c *chunker) endChunk() error {
	if c.pieces.n == c.bounds.chunks {
		return fmt.Errorf("%w: over %d chunks in its first %d bytes", ErrTooLarge, c.bounds.chunks, c.size)
	}
	chunk := c.b.buf[c.chunk:c.done:c.done]
	piece := c.pieces.add()
	piece.Length = uint32(len(chunk))
	c.chunk = c.done
	c.emit(c.b, chunk, piece)
	return nil
}

// body returns the body. The pieces' ids must have been set by now.
func (c *chunker) body() *Body {
	return &Body{Size: c.size, Chunks: c.pieces.all(), Rewrites: c.rewrites}
}

// pieceList grows without moving its pieces, since workers set their ids.
type pieceList struct {
	n     int
	parts [][]Piece
}

// The first part holds the pieces of an ordinary NAR, the others 144 KiB each.
const (
	firstPart = 16
	laterPart = 4096
)

func (l *pieceList) add() *Piece {
	k := len(l.parts) - 1
	if k < 0 || len(l.parts[k]) == cap(l.parts[k]) {
		size := firstPart
		if k >= 0 {
			size = min(2*cap(l.parts[k]), laterPart)
		}
		l.parts = append(l.parts, make([]Piece, 0, size))
		k++
	}
	l.n++
	l.parts[k] = append(l.parts[k], Piece{})
	return &l.parts[k][len(l.parts[k])-1]
}

func (l *pieceList) all() []Piece {
	if len(l.parts) == 1 {
		return l.parts[0]
	}
	all := make([]Piece, 0, l.n)
	for _, part := range l.parts {
		all = append(all, part...)
	}
	return all
}
