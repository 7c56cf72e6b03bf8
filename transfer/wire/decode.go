package wire

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// The wire types of protobuf that the messages use.
const (
	typeVarint = 0
	typeBytes  = 2
)

// decoder reads the fields of one protobuf message in its one accepted form.
// After an error it stays at it and yields zeros.
type decoder struct {
	rest []byte
	num  uint64 // of the current field; 0 before the first
	wire byte   // its type
	v    uint64 // its value, of typeVarint
	data []byte // its value, of typeBytes; shares the message's memory
	used bool   // the value was taken
	err  error
}

// next goes to the next field, and says whether there is one.
func (d *decoder) next() bool {
	if d.num != 0 && !d.used {
		d.fail("field %d is not known", d.num)
	}
	if d.err != nil || len(d.rest) == 0 {
		return false
	}
	tag := d.varint()
	num, wire := tag>>3, byte(tag&7)
	switch {
	case d.err != nil:
		return false
	case num == 0:
		d.fail("field 0")
	case num <= d.num:
		d.fail("field %d after field %d", num, d.num)
	}
	d.num, d.wire, d.used = num, wire, false
	switch wire {
	case typeVarint:
		if d.v = d.varint(); d.v == 0 {
			d.fail("field %d is there, and zero", num)
		}
	case typeBytes:
		d.data = d.take()
	default:
		d.fail("field %d has wire type %d", num, wire)
	}
	return d.err == nil
}

// take reads a length and that many bytes.
func (d *decoder) take() []byte {
	n := d.varint()
	switch {
	case d.err != nil:
	case n == 0:
		d.fail("field %d is there, and empty", d.num)
	case n > uint64(len(d.rest)):
		d.fail("field %d: %d bytes of %d", d.num, len(d.rest), n)
	default:
		data := d.rest[:n:n]
		d.rest = d.rest[n:]
		return data
	}
	return nil
}

// varint reads an integer in its shortest form.
func (d *decoder) varint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || n != varintLen(v) {
		d.fail("not an integer in its shortest form, %d bytes from the end", len(d.rest))
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func varintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
		d.rest = nil
	}
}

// expect marks the current field as known and says whether it has the type.
func (d *decoder) expect(wire byte) bool {
	d.used = true
	if d.wire != wire {
		d.fail("field %d has wire type %d", d.num, d.wire)
	}
	return d.err == nil
}

// uint is an integer of at most limit.
func (d *decoder) uint(limit uint64) uint64 {
	if !d.expect(typeVarint) {
		return 0
	}
	if d.v > limit {
		d.fail("field %d is %d, at most %d", d.num, d.v, limit)
		return 0
	}
	return d.v
}

// flag is a bool; false is not written.
func (d *decoder) flag() bool { return d.uint(1) == 1 }

// bytes is 1 to limit bytes.
func (d *decoder) bytes(limit int) []byte {
	if !d.expect(typeBytes) {
		return nil
	}
	if len(d.data) > limit {
		d.fail("field %d has %d bytes, at most %d", d.num, len(d.data), limit)
		return nil
	}
	return d.data
}

// text is a string of 1 to limit bytes.
func (d *decoder) text(limit int) string {
	b := d.bytes(limit)
	if !utf8.Valid(b) {
		d.fail("field %d is not UTF-8", d.num)
		return ""
	}
	return string(b)
}

// exact fills dst with exactly as many bytes.
func (d *decoder) exact(dst []byte) {
	b := d.bytes(len(dst))
	if d.err == nil && len(b) != len(dst) {
		d.fail("field %d has %d bytes, not %d", d.num, len(b), len(dst))
		return
	}
	copy(dst, b)
}

// digest is 32 bytes; all zero is not written.
func (d *decoder) digest() (id [32]byte) {
	d.exact(id[:])
	if id == [32]byte{} {
		d.fail("field %d is there, and zero", d.num)
	}
	return id
}

// records is 1 to limit pieces of size bytes each, in one.
func (d *decoder) records(size, limit int) []byte {
	b := d.bytes(size * limit)
	if len(b)%size != 0 {
		d.fail("field %d has %d bytes, not a multiple of %d", d.num, len(b), size)
		return nil
	}
	return b
}

// packed is 1 to limit integers of at most most.
func (d *decoder) packed(limit int, most uint64) []uint64 {
	b := d.bytes(limit * binary.MaxVarintLen64)
	if d.err != nil {
		return nil
	}
	list := make([]uint64, 0, min(limit, len(b)))
	inner := decoder{rest: b}
	for len(inner.rest) > 0 {
		v := inner.varint()
		switch {
		case inner.err != nil:
		case len(list) == limit:
			inner.fail("more than %d integers", limit)
		case v > most:
			inner.fail("%d, at most %d", v, most)
		}
		list = append(list, v)
	}
	if inner.err != nil {
		d.fail("field %d: %w", d.num, inner.err)
		return nil
	}
	return list
}
