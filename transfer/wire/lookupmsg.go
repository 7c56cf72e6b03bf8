package wire

import (
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
)

const hashSize = len(nix.PathHash{})

// lookupRequest is LookupRequest of flurry.proto.
type lookupRequest struct {
	space  namespace.Address
	hashes []nix.PathHash
}

func (m *lookupRequest) append(b []byte) []byte {
	b = appendBytes(b, 1, m.space.String())
	b = appendLength(b, 2, len(m.hashes)*hashSize)
	for i := range m.hashes {
		b = append(b, m.hashes[i][:]...)
	}
	return b
}

func parseLookupRequest(raw []byte) (m lookupRequest, err error) {
	d := decoder{rest: raw}
	for d.next() {
		switch d.num {
		case 1:
			m.space = d.address()
		case 2:
			for b := d.records(hashSize, transfer.MaxLookup); len(b) > 0; b = b[hashSize:] {
				m.hashes = append(m.hashes, nix.PathHash(b[:hashSize]))
			}
		}
	}
	if d.err != nil {
		return m, d.err
	}
	return m, m.check()
}

func (m *lookupRequest) check() error {
	if m.space.IsZero() {
		return fmt.Errorf("no namespace")
	}
	if len(m.hashes) == 0 || len(m.hashes) > transfer.MaxLookup {
		return fmt.Errorf("%d hashes, not 1 to %d", len(m.hashes), transfer.MaxLookup)
	}
	seen := make(map[nix.PathHash]struct{}, len(m.hashes))
	for _, h := range m.hashes {
		if _, twice := seen[h]; twice {
			return fmt.Errorf("%s is asked for twice", h)
		}
		seen[h] = struct{}{}
	}
	return nil
}

// address is a namespace address.
func (d *decoder) address() namespace.Address {
	s := d.text(maxAddress)
	if d.err != nil {
		return namespace.Address{}
	}
	a, err := namespace.ParseAddress(s)
	if err != nil {
		d.fail("field %d: %w", d.num, err)
	}
	return a
}

// lookupAnswer is LookupAnswer of flurry.proto: one entry of one answer, or that
// there is none, or that this was all.
type lookupAnswer struct {
	status
	hash        nix.PathHash
	entry       []byte // a namespace.Entry's text; shares the message's memory
	publication namespace.ID
	last        bool
}

func (m *lookupAnswer) append(b []byte) []byte {
	b = m.status.append(b)
	if m.code == codeOK && !m.last {
		b = appendBytes(b, 4, m.hash[:])
		b = appendBytes(b, 5, m.entry)
		b = appendDigest(b, 6, m.publication)
	}
	return appendFlag(b, 7, m.last)
}

func parseLookupAnswer(raw []byte) (m lookupAnswer, err error) {
	d := decoder{rest: raw}
	hashed := false
	for d.next() {
		switch {
		case m.status.parse(&d):
		case d.num == 4:
			d.exact(m.hash[:])
			hashed = true
		case d.num == 5:
			m.entry = d.bytes(namespace.MaxPublication)
		case d.num == 6:
			m.publication = d.digest()
		case d.num == 7:
			m.last = d.flag()
		}
	}
	switch {
	case d.err != nil:
		return m, d.err
	case m.code == codeOK && hashed == m.last:
		return m, fmt.Errorf("neither one answer nor the end of all")
	case m.entry != nil && !hashed, !m.publication.IsZero() && m.entry == nil:
		return m, fmt.Errorf("an entry without a hash, or a publication without an entry")
	}
	return m, m.check(d.num)
}
