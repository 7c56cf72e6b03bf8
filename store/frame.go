package store

import "fmt"

// Encoding says how a frame holds its bytes. The values are part of the pack
// format and of the peer protocol.
type Encoding byte

// The encodings.
const (
	Raw  Encoding = 0 // the bytes themselves
	Zstd Encoding = 1 // exactly one zstd frame (RFC 8878), no dictionary, its content size stated
)

// String is the encoding's name in messages.
func (e Encoding) String() string {
	switch e {
	case Raw:
		return "raw"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("encoding %d", byte(e))
}

// Frame is content in the form in which it lies on a disk and travels between
// peers. It says nothing about whether the bytes are right.
type Frame struct {
	Encoding  Encoding
	RawLength int // bytes once decoded
	Data      []byte
}

// Validate tells whether f may hold content of kind k, as far as can be told
// without decoding. Stores refuse a frame that does not pass. Errors wrap
// [ErrCorrupt].
func (f Frame) Validate(k Kind) error {
	switch {
	case !k.Valid():
		return fmt.Errorf("%w: unknown %v", ErrCorrupt, k)
	case f.RawLength < 1 || f.RawLength > k.MaxRaw():
		return fmt.Errorf("%w: a %v of %d bytes, allowed are 1 to %d", ErrCorrupt, k, f.RawLength, k.MaxRaw())
	case f.Encoding == Raw && len(f.Data) != f.RawLength:
		return fmt.Errorf("%w: a raw frame of %d bytes that says it has %d", ErrCorrupt, len(f.Data), f.RawLength)
	case f.Encoding == Zstd && len(f.Data) > f.RawLength:
		return fmt.Errorf("%w: a zstd frame of %d bytes for %d raw ones", ErrCorrupt, len(f.Data), f.RawLength)
	case f.Encoding != Raw && f.Encoding != Zstd:
		return fmt.Errorf("%w: unknown %v", ErrCorrupt, f.Encoding)
	}
	return nil
}
