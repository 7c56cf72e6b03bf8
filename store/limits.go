package store

import (
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
)

// minSaving is the least part of the raw bytes that zstd must save for content
// to be kept compressed: 1/32. Below it, reading would pay for decoding and
// nobody would gain.
const minSaving = 32

// DecodeSlack is the room, in bytes, beyond the raw length that the decoder's
// fast path wants to write into. It is never part of a result.
const DecodeSlack = 16

// MaxRaw is the most bytes that content of this kind has, uncompressed; 0 for
// what is not a kind. Nothing larger enters a store or is decoded.
func (k Kind) MaxRaw() int {
	switch k {
	case KindChunk:
		return content.MaxChunk
	case KindBody:
		return content.MaxBody
	case KindDocument:
		return namespace.MaxDocument
	case KindPublication:
		return namespace.MaxPublication
	case KindKeepList:
		return namespace.MaxKeepList
	}
	return 0
}
