package transfer

import (
	"encoding/binary"
	"fmt"
)

// Zstandard's framing (RFC 8878, 3.1.1).
const (
	zstdMagic        = 0xFD2FB528
	zstdMaxBlock     = 128 << 10
	zstdBlockHeader  = 3
	zstdChecksum     = 4
	zstdBlockRLE     = 1
	zstdBlockNone    = 3 // reserved
	zstdSingleFlag   = 1 << 5
	zstdReservedFlag = 1 << 3
	zstdSumFlag      = 1 << 2
)

// SplitFrames cuts the data of a [Zstd] run into its Zstandard frames, which
// share data's memory and together are all of it. It walks the headers of frames
// and blocks and decodes nothing, so a frame that it returns may still be
// malformed inside. It refuses frames that need a dictionary, skippable frames,
// and more than [MaxRunChunks] frames: no sender has a use for them.
func SplitFrames(data []byte) ([][]byte, error) {
	var frames [][]byte
	for at := 0; at < len(data); {
		if len(frames) == MaxRunChunks {
			return nil, fmt.Errorf("zstd: more than %d frames", MaxRunChunks)
		}
		n, err := frameLength(data[at:])
		if err != nil {
			return nil, fmt.Errorf("zstd: frame at byte %d of %d: %w", at, len(data), err)
		}
		frames = append(frames, data[at:at+n:at+n])
		at += n
	}
	return frames, nil
}

// frameLength is the number of bytes of the frame that b begins with.
func frameLength(b []byte) (int, error) {
	at, checksum, err := frameHeader(b)
	if err != nil {
		return 0, err
	}
	for last := false; !last; {
		if len(b)-at < zstdBlockHeader {
			return 0, fmt.Errorf("cut off in a block header")
		}
		h := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16
		at += zstdBlockHeader
		last = h&1 == 1
		size := int(h >> 3)
		switch kind := h >> 1 & 3; {
		case kind == zstdBlockNone:
			return 0, fmt.Errorf("block of the reserved type")
		case size > zstdMaxBlock:
			return 0, fmt.Errorf("block of %d bytes, at most %d", size, zstdMaxBlock)
		case kind == zstdBlockRLE:
			size = 1
		}
		if len(b)-at < size {
			return 0, fmt.Errorf("cut off in a block")
		}
		at += size
	}
	if checksum {
		if len(b)-at < zstdChecksum {
			return 0, fmt.Errorf("cut off in the checksum")
		}
		at += zstdChecksum
	}
	return at, nil
}

// frameHeader is the length of the frame header that b begins with, and whether
// a checksum ends the frame.
func frameHeader(b []byte) (n int, checksum bool, err error) {
	if len(b) < 5 {
		return 0, false, fmt.Errorf("cut off in the frame header")
	}
	if m := binary.LittleEndian.Uint32(b); m != zstdMagic {
		return 0, false, fmt.Errorf("begins with %#08x, not %#08x", m, uint32(zstdMagic))
	}
	d := b[4]
	single := d&zstdSingleFlag != 0
	n = 5
	switch {
	case d&zstdReservedFlag != 0:
		return 0, false, fmt.Errorf("a reserved bit is set")
	case d&3 != 0:
		return 0, false, fmt.Errorf("needs a dictionary")
	case !single:
		n++ // the window descriptor
	}
	switch d >> 6 { // the length of the content size
	case 0:
		if single {
			n++
		}
	case 1:
		n += 2
	case 2:
		n += 4
	case 3:
		n += 8
	}
	if len(b) < n {
		return 0, false, fmt.Errorf("cut off in the frame header")
	}
	return n, d&zstdSumFlag != 0, nil
}
