package catalog

import (
	"crypto/sha256"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
)

// Digest stands for a set of publications: two sets are equal when their digests
// are.
type Digest struct {
	Count uint64
	Sum   [sha256.Size]byte // SHA-256 of the ids, 32 bytes each, in rising order
}

func digestOf(sorted []namespace.ID) Digest {
	h := sha256.New()
	for i := range sorted {
		h.Write(sorted[i][:])
	}
	return Digest{Count: uint64(len(sorted)), Sum: [sha256.Size]byte(h.Sum(nil))}
}

// idSet is a set of ids with its digest. The zero value is empty.
type idSet struct {
	ids    []namespace.ID // sorted
	closed bool           // changes are not followed until fill
	digest *Digest        // nil when it has to be made again
}

// close stops following changes, before so many that fill is cheaper.
func (s *idSet) close() { *s = idSet{ids: s.ids[:0], closed: true} }

// fill gives a closed set its ids, in any order, and opens it.
func (s *idSet) fill(ids []namespace.ID) {
	slices.SortFunc(ids, namespace.ID.Compare)
	*s = idSet{ids: ids}
}

func (s *idSet) insert(id namespace.ID) {
	i, found := slices.BinarySearchFunc(s.ids, id, namespace.ID.Compare)
	if !found && !s.closed {
		s.ids = slices.Insert(s.ids, i, id)
		s.digest = nil
	}
}

func (s *idSet) remove(id namespace.ID) {
	i, found := slices.BinarySearchFunc(s.ids, id, namespace.ID.Compare)
	if found && !s.closed {
		s.ids = slices.Delete(s.ids, i, i+1)
		s.digest = nil
	}
}

// sum returns the digest of the whole set.
func (s *idSet) sum() Digest {
	if s.digest == nil {
		d := digestOf(s.ids)
		s.digest = &d
	}
	return *s.digest
}

// bucket returns the ids that begin with that byte. They are the set's own.
func (s *idSet) bucket(first byte) []namespace.ID {
	from, _ := slices.BinarySearchFunc(s.ids, namespace.ID{first}, namespace.ID.Compare)
	rest := s.ids[from:]
	n := len(rest)
	if first < 0xff {
		n, _ = slices.BinarySearchFunc(rest, namespace.ID{first + 1}, namespace.ID.Compare)
	}
	return rest[:n]
}
