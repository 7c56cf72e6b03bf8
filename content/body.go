package content

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/flurry-nix/flurry/nix"
)

// ErrBody is wrapped by every error that says a body is malformed or does not
// fit its narinfo.
var ErrBody = errors.New("bad body")

// bodyMagic begins the encoding of every body of format version 1.
const bodyMagic = "flurryB1"

// Body says how to build a NAR: which chunks, one after the other, and where in
// them to write hash parts back. It holds no hash part itself; the slots that
// its rewrites number are kept beside it.
//
// Its fields may be set freely. A body that breaks the format's rules is found
// by [NewRewriter] and [ParseBody].
type Body struct {
	Size     uint64 // of the NAR, in bytes: the sum of the chunks' lengths
	Chunks   []Piece
	Rewrites []Rewrite // in the order of their places
}

// Piece is one chunk of a body.
type Piece struct {
	Length uint32 // in bytes, 1 to MaxChunk
	ID     ChunkID
}

// Verify returns an error unless data is the piece: of its length, and named by
// its id. The length is checked because a body may claim any length for a
// chunk that exists.
func (p Piece) Verify(data []byte) error {
	if uint64(len(data)) != uint64(p.Length) {
		return fmt.Errorf("chunk %s has %d bytes, its body says %d", p.ID, len(data), p.Length)
	}
	if !VerifyChunk(p.ID, data) {
		return fmt.Errorf("%d bytes do not hash to chunk %s", len(data), p.ID)
	}
	return nil
}

// Rewrite is one place where the 32 characters of a hash part go.
type Rewrite struct {
	Gap  uint64 // bytes from the end of the rewrite before, the first from the NAR's start
	Slot uint32 // which hash; numbered by first occurrence
}

// ID returns the SHA-256 of the body's encoding.
func (b *Body) ID() BodyID { return sha256.Sum256(b.Append(nil)) }

// Append appends the body's encoding to dst: the magic, then the size, the
// number of chunks, length and id of each, the number of rewrites, gap and slot
// of each. Integers are unsigned LEB128 of minimal length.
func (b *Body) Append(dst []byte) []byte {
	dst = append(dst, bodyMagic...)
	dst = binary.AppendUvarint(dst, b.Size)
	dst = binary.AppendUvarint(dst, uint64(len(b.Chunks)))
	for i := range b.Chunks {
		dst = binary.AppendUvarint(dst, uint64(b.Chunks[i].Length))
		dst = append(dst, b.Chunks[i].ID[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Rewrites)))
	for _, r := range b.Rewrites {
		dst = binary.AppendUvarint(dst, r.Gap)
		dst = binary.AppendUvarint(dst, uint64(r.Slot))
	}
	return dst
}

// ParseBody reads a body's encoding. It accepts exactly what [Body.Append]
// prints for a well-formed body: what it returns prints as raw again. Its memory
// is bounded by the length of raw, which it does not keep.
func ParseBody(raw []byte) (*Body, error) {
	b, err := parseBody(raw)
	if err == nil {
		err = b.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	return b, nil
}

// Slots returns how many slots the rewrites use.
func (b *Body) Slots() int {
	used := 0
	for _, r := range b.Rewrites {
		used = max(used, int(r.Slot)+1)
	}
	return used
}

// Check returns an error unless the body fits a narinfo: its size is narSize,
// slots are exactly the hashes that it uses, each once, and each is allowed,
// that is, the hash part of a reference or of the path itself.
func (b *Body) Check(narSize uint64, slots []nix.PathHash, allowed func(nix.PathHash) bool) error {
	if b.Size != narSize {
		return fmt.Errorf("%w: it is %d bytes long, the NAR %d", ErrBody, b.Size, narSize)
	}
	if used := b.Slots(); used != len(slots) {
		return fmt.Errorf("%w: it uses %d slots, %d are given", ErrBody, used, len(slots))
	}
	seen := make(map[nix.PathHash]bool, len(slots))
	for i, h := range slots {
		if seen[h] {
			return fmt.Errorf("%w: slot %d repeats %s", ErrBody, i, h)
		}
		if !allowed(h) {
			return fmt.Errorf("%w: slot %d is %s, which is neither a reference nor the path itself", ErrBody, i, h)
		}
		seen[h] = true
	}
	return nil
}

// validate checks everything about a body that its encoding does not ensure.
func (b *Body) validate() error {
	if len(b.Chunks) > MaxChunks {
		return fmt.Errorf("%d chunks, at most %d are allowed", len(b.Chunks), MaxChunks)
	}
	if len(b.Rewrites) > MaxRewrites {
		return fmt.Errorf("%d rewrites, at most %d are allowed", len(b.Rewrites), MaxRewrites)
	}
	var sum uint64 // at most MaxChunks * MaxChunk, far from wrapping round
	for i := range b.Chunks {
		n := b.Chunks[i].Length
		if n < 1 || n > MaxChunk {
			return fmt.Errorf("chunk %d is %d bytes long, allowed are 1 to %d", i, n, MaxChunk)
		}
		sum += uint64(n)
	}
	if sum != b.Size {
		return fmt.Errorf("the chunks are %d bytes long together, the size is %d", sum, b.Size)
	}
	return b.validateRewrites()
}

func (b *Body) validateRewrites() error {
	left := b.Size // bytes after the rewrite before; subtracting cannot wrap round, adding gaps could
	var used uint32
	for i, r := range b.Rewrites {
		if left < hashChars || r.Gap > left-hashChars {
			return fmt.Errorf("rewrite %d, %d bytes after the one before, overruns the %d that are left", i, r.Gap, left)
		}
		left -= r.Gap + hashChars
		if r.Slot > used {
			return fmt.Errorf("rewrite %d uses slot %d before slot %d", i, r.Slot, used)
		}
		if r.Slot == used {
			used++
		}
	}
	return nil
}

// parseBody reads the encoding and allocates no more than raw can fill; what
// the numbers mean is for validate.
func parseBody(raw []byte) (*Body, error) {
	if len(raw) > MaxBody {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(raw), MaxBody)
	}
	if len(raw) < len(bodyMagic) || string(raw[:len(bodyMagic)]) != bodyMagic {
		return nil, fmt.Errorf("it begins with %s, want %q", quote(string(raw[:min(len(raw), len(bodyMagic))])), bodyMagic)
	}
	d := decoder{raw: raw, off: len(bodyMagic)}
	b := &Body{Size: d.uvarint("size", math.MaxUint64)}
	b.Chunks = make([]Piece, d.count("chunks", 1+len(ChunkID{}), MaxChunks))
	for i := range b.Chunks {
		b.Chunks[i].Length = uint32(d.uvarint("length", MaxChunk))
		d.bytes(b.Chunks[i].ID[:])
	}
	b.Rewrites = make([]Rewrite, d.count("rewrites", 2, MaxRewrites))
	for i := range b.Rewrites {
		b.Rewrites[i].Gap = d.uvarint("gap", math.MaxUint64)
		b.Rewrites[i].Slot = uint32(d.uvarint("slot", MaxRewrites-1))
	}
	if d.err == nil && d.off != len(raw) {
		d.err = fmt.Errorf("%d bytes follow its end at %d", len(raw)-d.off, d.off)
	}
	return b, d.err
}
