package wire

import (
	"fmt"
	"math"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
)

// syncRequest is SyncRequest of flurry.proto.
type syncRequest struct {
	space namespace.Address
	transfer.SyncRequest
}

func (m *syncRequest) append(b []byte) []byte {
	b = appendBytes(b, 1, m.space.String())
	b = appendUint(b, 2, m.Serial)
	b = appendDigest(b, 3, m.Document)
	b = appendUint(b, 4, m.Count)
	b = appendDigest(b, 5, m.Sum)
	b = appendEpoch(b, 6, m.Epoch)
	b = appendUint(b, 7, m.Cursor)
	b = appendFlag(b, 8, m.Wait)
	return appendBytes(b, 9, m.Buckets)
}

func parseSyncRequest(raw []byte) (m syncRequest, err error) {
	d := decoder{rest: raw}
	for d.next() {
		switch d.num {
		case 1:
			m.space = d.address()
		case 2:
			m.Serial = d.uint(math.MaxUint64)
		case 3:
			m.Document = d.digest()
		case 4:
			m.Count = d.uint(math.MaxUint64)
		case 5:
			m.Sum = d.digest()
		case 6:
			m.Epoch = d.epoch()
		case 7:
			m.Cursor = d.uint(math.MaxUint64)
		case 8:
			m.Wait = d.flag()
		case 9:
			m.Buckets = slices.Clone(d.bytes(transfer.Buckets))
		}
	}
	if d.err != nil {
		return m, d.err
	}
	return m, m.check()
}

func (m *syncRequest) check() error {
	switch {
	case m.space.IsZero():
		return fmt.Errorf("no namespace")
	case (m.Serial == 0) != m.Document.IsZero():
		return fmt.Errorf("serial %d of document %s", m.Serial, m.Document)
	case m.Epoch == [16]byte{} && m.Cursor != 0:
		return fmt.Errorf("cursor %d without an epoch", m.Cursor)
	case !ascending(m.Buckets):
		return fmt.Errorf("buckets not in ascending order")
	}
	return nil
}

// ascending also says that no bucket comes twice.
func ascending(buckets []byte) bool {
	for i := 1; i < len(buckets); i++ {
		if buckets[i-1] >= buckets[i] {
			return false
		}
	}
	return true
}

func appendEpoch(b []byte, num int, e [16]byte) []byte {
	if e == [16]byte{} {
		return b
	}
	return appendBytes(b, num, e[:])
}

// epoch is 16 bytes; all zero is not written.
func (d *decoder) epoch() (e [16]byte) {
	d.exact(e[:])
	if e == [16]byte{} {
		d.fail("field %d is there, and zero", d.num)
	}
	return e
}
