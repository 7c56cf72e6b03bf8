package content

import (
	"encoding/binary"
	"fmt"
)

// decoder reads the parts of an encoding one after the other. It remembers the
// first defect; from then on every read gives zeros.
type decoder struct {
	raw []byte
	off int
	err error
}

// uvarint reads an integer of minimal length that is at most limit. What names
// it in the error.
func (d *decoder) uvarint(what string, limit uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.raw[d.off:])
	switch {
	case n == 0:
		d.err = fmt.Errorf("it ends in the %s at byte %d", what, d.off)
	case n < 0:
		d.err = fmt.Errorf("the %s at byte %d is beyond 64 bits", what, d.off)
	case n > 1 && d.raw[d.off+n-1] == 0:
		d.err = fmt.Errorf("the %s at byte %d is longer than it need be", what, d.off)
	case v > limit:
		d.err = fmt.Errorf("the %s at byte %d is %d, at most %d is allowed", what, d.off, v, limit)
	default:
		d.off += n
		return v
	}
	return 0
}

// count reads how many things of at least size bytes follow, at most limit, and
// refuses more than there is room for, so that a short encoding cannot make the
// reader allocate much.
func (d *decoder) count(what string, size, limit int) int {
	at := d.off
	n := int(d.uvarint("number of "+what, uint64(limit)))
	if room := (len(d.raw) - d.off) / size; d.err == nil && n > room {
		d.err = fmt.Errorf("the number of %s at byte %d is %d, the rest has room for %d", what, at, n, room)
		return 0
	}
	return n
}

// bytes fills dst.
func (d *decoder) bytes(dst []byte) {
	if d.err != nil {
		return
	}
	n := copy(dst, d.raw[d.off:])
	if n < len(dst) {
		d.err = fmt.Errorf("it ends in %d bytes at byte %d", len(dst), d.off)
		return
	}
	d.off += n
}
