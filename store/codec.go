package store

import (
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/content"
)

// Codec turns raw bytes into frames and back. One serves a whole process: it
// is safe for concurrent use and lets as many calls run at once as there are
// processors. It holds about 2 MiB a processor once it has encoded, and starts
// no goroutine.
type Codec struct {
	enc     *zstd.Encoder
	dec     *zstd.Decoder
	scratch sync.Pool // of *[]byte: room for one encoded chunk, and for what a store has beside it
}

// NewCodec returns a Codec.
//
// The level is the library's default, near zstd's level 3: on the chunks of a
// real Nix store it saves 5 % over the fastest level, at three quarters of its
// speed. Chunks are encoded once and then stored, read and sent many times.
func NewCodec() *Codec { return newCodec(zstd.SpeedDefault) }

// NewQuickCodec returns a Codec that encodes in two thirds of the time, for
// content that somebody waits for and that can be had again.
func NewQuickCodec() *Codec { return newCodec(zstd.SpeedFastest) }

func newCodec(level zstd.EncoderLevel) *Codec {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithEncoderConcurrency(0),
		zstd.WithWindowSize(content.MaxChunk),
		zstd.WithSingleSegment(true),
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false), // the id is the check
	)
	if err != nil {
		panic("store: zstd encoder: " + err.Error()) // constant options: only a changed library can
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(content.MaxBody),
		zstd.WithDecodeAllCapLimit(true),
	)
	if err != nil {
		panic("store: zstd decoder: " + err.Error()) // as above
	}
	return &Codec{enc: enc, dec: dec, scratch: sync.Pool{New: func() any {
		b := make([]byte, 0, content.MaxChunk+content.MaxChunk/8)
		return &b
	}}}
}

// Encode makes a frame of raw: zstd where that saves at least 1/32, else raw
// itself. The frame's data is appended to buf, or is raw: it is valid as long
// as both stay unchanged.
func (c *Codec) Encode(buf, raw []byte) Frame {
	z := c.enc.EncodeAll(raw, buf)[len(buf):]
	if len(z) > len(raw)-len(raw)/minSaving {
		return Frame{Encoding: Raw, RawLength: len(raw), Data: raw}
	}
	return Frame{Encoding: Zstd, RawLength: len(raw), Data: z}
}

// Decode appends the raw bytes of f to dst and returns the result. It never
// yields more than f.RawLength bytes, whatever the data says, and needs no
// memory beyond dst when dst has room for f.RawLength+16 more. f comes from
// [Frame.Validate], so that RawLength is bounded. Errors wrap [ErrCorrupt].
func (c *Codec) Decode(dst []byte, f Frame) ([]byte, error) {
	switch f.Encoding {
	case Raw:
		if len(f.Data) != f.RawLength {
			return nil, fmt.Errorf("%w: a raw frame of %d bytes that says it has %d", ErrCorrupt, len(f.Data), f.RawLength)
		}
		return append(dst, f.Data...), nil
	case Zstd:
		return c.inflate(dst, f)
	}
	return nil, fmt.Errorf("%w: unknown %v", ErrCorrupt, f.Encoding)
}

func (c *Codec) inflate(dst []byte, f Frame) ([]byte, error) {
	if f.RawLength < 0 || f.RawLength > content.MaxBody {
		return nil, fmt.Errorf("%w: a frame of %d raw bytes", ErrCorrupt, f.RawLength)
	}
	start, room := len(dst), f.RawLength+DecodeSlack
	dst = slices.Grow(dst, room)
	// The decoder writes up to the capacity and no further, so the capacity is
	// the bound on what a hostile frame can expand to.
	out, err := c.dec.DecodeAll(f.Data, dst[:start:start+room])
	if err != nil {
		return nil, fmt.Errorf("%w: zstd: %v", ErrCorrupt, err)
	}
	if len(out)-start != f.RawLength {
		return nil, fmt.Errorf("%w: a frame of %d bytes that says it has %d", ErrCorrupt, len(out)-start, f.RawLength)
	}
	return out[:len(out):len(out)], nil
}
