package transfer

import (
	"fmt"
)

// Range is Count chunks of a body from the chunk with index First, counted
// from 0.
type Range struct {
	First, Count uint32
}

// End is the index after the range's last chunk.
func (r Range) End() uint64 { return uint64(r.First) + uint64(r.Count) }

// Encoding is how the bytes of a run are encoded. The numbers are those of the
// wire and of package store.
type Encoding byte

// The encodings of a run.
const (
	Raw  Encoding = 0 // the chunks' bytes, one chunk after the other
	Zstd Encoding = 1 // one or more Zstandard frames that decode to those
)

func (e Encoding) String() string {
	switch e {
	case Raw:
		return "raw"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("encoding %d", byte(e))
}

// Run is successive chunks of a body. Senders make one frame of each chunk, so
// that receivers can keep each as it came ([SplitFrames]); receivers accept any
// framing.
type Run struct {
	// First is the index of the first chunk, Count how many there are.
	First, Count uint32
	Encoding     Encoding
	// RawLength is the sum of the chunks' lengths as the sender claims it: 1 to
	// MaxRunRaw. Nothing beyond it must be decoded.
	RawLength int
	// Data is at most MaxRunData bytes, and belongs to who made the Run: it is
	// valid until the function that it was given to returns.
	Data []byte
}
