package disk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/flurry-nix/flurry/store"
)

// A pack begins with a header, integers are big-endian:
//
//	 0  8  "flurryP1"
//	 8  4  the pack's number
//	12  8  the pack's mark: random bytes
//	20  4  CRC-32C of the 20 bytes above
//
// Records follow, each a header and the frame's data:
//
//	 0  8  the pack's mark
//	 8  1  kind
//	 9  1  encoding
//	10  2  zero
//	12 32  id
//	44  4  raw length
//	48  4  stored length: bytes of data after the header
//	52  4  CRC-32C of the data
//	56  4  CRC-32C of the 56 bytes above
//
// The header has a checksum of its own so that damaged data does not put the
// records after it out of reach. The mark lets a reader find the next record
// after a damaged header, and since it is random and never leaves the disk, no
// peer can send content that looks like records.
const (
	packMagic    = "flurryP1"
	packHeader   = 24
	recordHeader = 60
	markSize     = 8
)

// mark is the random bytes that begin each record of one pack.
type mark [markSize]byte

// castagnoli computes the CRC-32C of data. The table is made once by hash/crc32
// itself.
func castagnoli(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}

// record is a parsed record header.
type record struct {
	key      store.Key
	encoding store.Encoding
	raw      uint32 // bytes
	stored   uint32 // bytes
	crc      uint32 // of the data
}

// newRecord is the header for f under k. f has passed Validate.
func newRecord(k store.Key, f store.Frame) record {
	return record{key: k, encoding: f.Encoding, raw: uint32(f.RawLength), stored: uint32(len(f.Data)), crc: castagnoli(f.Data)}
}

// size is the record's length with its header, in bytes.
func (r record) size() int64 { return recordHeader + int64(r.stored) }

// append appends the header, for a pack with mark m.
func (r record) append(b []byte, m mark) []byte {
	start := len(b)
	b = append(b, m[:]...)
	b = append(b, byte(r.key.Kind), byte(r.encoding), 0, 0)
	b = append(b, r.key.ID[:]...)
	b = binary.BigEndian.AppendUint32(b, r.raw)
	b = binary.BigEndian.AppendUint32(b, r.stored)
	b = binary.BigEndian.AppendUint32(b, r.crc)
	return binary.BigEndian.AppendUint32(b, castagnoli(b[start:]))
}

// parseRecord reads a header, whatever pack it is from. Errors wrap
// [store.ErrCorrupt].
func parseRecord(b []byte) (mark, record, error) {
	if len(b) < recordHeader {
		return mark{}, record{}, fmt.Errorf("%w: %d bytes, a record's header has %d", store.ErrCorrupt, len(b), recordHeader)
	}
	b = b[:recordHeader]
	if got, want := castagnoli(b[:56]), binary.BigEndian.Uint32(b[56:]); got != want {
		return mark{}, record{}, fmt.Errorf("%w: record header has checksum %08x, not %08x", store.ErrCorrupt, got, want)
	}
	if b[10] != 0 || b[11] != 0 {
		return mark{}, record{}, fmt.Errorf("%w: record header has %x where zeros belong", store.ErrCorrupt, b[10:12])
	}
	r := record{
		key:      store.Key{Kind: store.Kind(b[8]), ID: [32]byte(b[12:44])},
		encoding: store.Encoding(b[9]),
		raw:      binary.BigEndian.Uint32(b[44:]),
		stored:   binary.BigEndian.Uint32(b[48:]),
		crc:      binary.BigEndian.Uint32(b[52:]),
	}
	if err := r.check(); err != nil {
		return mark{}, record{}, err
	}
	return mark(b[:markSize]), r, nil
}

// check tells whether the lengths are ones that a frame of this kind can have,
// so that nobody reads gigabytes on a header's word.
func (r record) check() error {
	limit := uint32(r.key.Kind.MaxRaw())
	switch {
	case limit == 0:
		return fmt.Errorf("%w: record of unknown %v", store.ErrCorrupt, r.key.Kind)
	case r.encoding != store.Raw && r.encoding != store.Zstd:
		return fmt.Errorf("%w: record in unknown %v", store.ErrCorrupt, r.encoding)
	case r.raw < 1 || r.raw > limit:
		return fmt.Errorf("%w: record of a %v with %d bytes, allowed are 1 to %d", store.ErrCorrupt, r.key.Kind, r.raw, limit)
	case r.stored < 1 || r.stored > r.raw || r.encoding == store.Raw && r.stored != r.raw:
		return fmt.Errorf("%w: record stores %d bytes %v in %d", store.ErrCorrupt, r.raw, r.encoding, r.stored)
	}
	return nil
}

// frame makes the frame whose data follows the header, if data is that.
func (r record) frame(data []byte) (store.Frame, error) {
	if uint32(len(data)) != r.stored {
		return store.Frame{}, fmt.Errorf("%w: %v has %d stored bytes, not %d", store.ErrCorrupt, r.key, len(data), r.stored)
	}
	if got := castagnoli(data); got != r.crc {
		return store.Frame{}, fmt.Errorf("%w: %v has checksum %08x, not %08x", store.ErrCorrupt, r.key, got, r.crc)
	}
	return store.Frame{Encoding: r.encoding, RawLength: int(r.raw), Data: data}, nil
}

// appendPackHeader appends the header of pack number id.
func appendPackHeader(b []byte, id uint32, m mark) []byte {
	start := len(b)
	b = append(b, packMagic...)
	b = binary.BigEndian.AppendUint32(b, id)
	b = append(b, m[:]...)
	return binary.BigEndian.AppendUint32(b, castagnoli(b[start:]))
}

// parsePackHeader reads the header of pack number id. Errors wrap
// [store.ErrCorrupt].
func parsePackHeader(b []byte, id uint32) (mark, error) {
	if len(b) < packHeader {
		return mark{}, fmt.Errorf("%w: %d bytes, a pack's header has %d", store.ErrCorrupt, len(b), packHeader)
	}
	b = b[:packHeader]
	m := mark(b[12:20])
	if string(b) != string(appendPackHeader(nil, id, m)) {
		return mark{}, fmt.Errorf("%w: %x does not begin pack %d", store.ErrCorrupt, b, id)
	}
	return m, nil
}

// location is where a record lies. It is comparable; the zero value is
// nowhere.
type location struct {
	pack     uint32
	offset   uint32 // of the record's header
	stored   uint32
	raw      uint32
	encoding store.Encoding
}

// at is the record's place.
func (r record) at(pack uint32, offset int64) location {
	return location{pack: pack, offset: uint32(offset), stored: r.stored, raw: r.raw, encoding: r.encoding}
}

// size is the record's length with its header, in bytes.
func (l location) size() int64 { return recordHeader + int64(l.stored) }

const locationSize = 17

// append appends the location as the index keeps it.
func (l location) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, l.pack)
	b = binary.BigEndian.AppendUint32(b, l.offset)
	b = binary.BigEndian.AppendUint32(b, l.stored)
	b = binary.BigEndian.AppendUint32(b, l.raw)
	return append(b, byte(l.encoding))
}

// parseLocation reads what append wrote.
func parseLocation(b []byte) (location, error) {
	if len(b) != locationSize {
		return location{}, fmt.Errorf("index entry of %d bytes, want %d", len(b), locationSize)
	}
	return location{
		pack:     binary.BigEndian.Uint32(b),
		offset:   binary.BigEndian.Uint32(b[4:]),
		stored:   binary.BigEndian.Uint32(b[8:]),
		raw:      binary.BigEndian.Uint32(b[12:]),
		encoding: store.Encoding(b[16]),
	}, nil
}
