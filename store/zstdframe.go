package store

import (
	"encoding/binary"
	"math"
)

// Fields of a zstd frame, RFC 8878 section 3.1.1.
const (
	zstdMagic       = 0xFD2FB528
	zstdBlockHeader = 3 // bytes

	descSingleSegment = 1 << 5
	descReserved      = 1 << 3
	descChecksum      = 1 << 2
	descDictionary    = 3

	blockRLE      = 1
	blockReserved = 3
)

// isSingleFrame tells whether data is one zstd frame and nothing more, made
// without a dictionary, whose header states a content size of rawLength. It
// reads headers only and vouches for nothing inside the blocks.
//
// Frames are kept and sent on end to end. One that brought skippable frames or
// a second frame along would shift the borders for whoever receives it next.
func isSingleFrame(data []byte, rawLength int) bool {
	if len(data) < 5 || binary.LittleEndian.Uint32(data) != zstdMagic {
		return false
	}
	desc, rest := data[4], data[5:]
	if desc&(descReserved|descDictionary) != 0 {
		return false
	}
	if desc&descSingleSegment == 0 {
		if len(rest) == 0 {
			return false
		}
		rest = rest[1:] // window descriptor
	}
	size, rest, ok := contentSize(desc, rest)
	if !ok || size != uint64(rawLength) {
		return false
	}
	rest, ok = skipBlocks(rest)
	if !ok {
		return false
	}
	if desc&descChecksum != 0 {
		return len(rest) == 4
	}
	return len(rest) == 0
}

// contentSize reads the frame content size field. ok is false when the frame
// does not state its size.
func contentSize(desc byte, b []byte) (size uint64, rest []byte, ok bool) {
	width := 1 << (desc >> 6) // 1, 2, 4 or 8 bytes
	if width == 1 && desc&descSingleSegment == 0 {
		return 0, nil, false
	}
	if len(b) < width {
		return 0, nil, false
	}
	var buf [8]byte
	copy(buf[:], b[:width])
	size = binary.LittleEndian.Uint64(buf[:])
	if width == 2 {
		size += 256
	}
	return size, b[width:], size <= math.MaxInt32
}

// skipBlocks walks the blocks of a frame and returns what follows the last.
func skipBlocks(b []byte) (rest []byte, ok bool) {
	for {
		if len(b) < zstdBlockHeader {
			return nil, false
		}
		h := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last, kind, size := h&1 == 1, h>>1&3, int(h>>3)
		b = b[zstdBlockHeader:]
		switch kind {
		case blockRLE:
			size = 1
		case blockReserved:
			return nil, false
		}
		if size > len(b) {
			return nil, false
		}
		b = b[size:]
		if last {
			return b, true
		}
	}
}
