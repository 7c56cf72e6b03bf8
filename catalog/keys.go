package catalog

import (
	"fmt"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// The index. A key is one letter and then fields of fixed width, so that every
// prefix below is a whole number of fields. All of a namespace's keys but the
// first begin with letter and space. Values are in record.go.
//
//	c                            format version of the index
//	n space                      namespace record
//	p space publication          facts of a publication: signer, times, sizes, uses
//	d space publication          details of a publication that are only shown: roots, pins
//	e space publication path     text of the entry
//	u space publication          empty: it is not listed, see AddUnlisted
//	a space publication          time: when its text first came here
//	r space publication seed     receipt: its signed text
//	w space publication          how many copies are wanted elsewhere
//	t space body                 when the content was asked for last, in hours
//	i space path publication     listing: who lists a path, and the entry's references
//	h space path                 empty: somebody lists the path. One Get, and a bloom
//	                             filter, answer for most paths, which nobody lists
//	b space body publication path    empty: whose content a body is
//	v space path fact            time: the body of that fact gave its NarHash here
//	x space publication path fact    reason: it did not
//
// What belongs to a publication is keyed by its id and written in one batch:
// writing it again changes nothing, whatever became of the first attempt.
const (
	keyFormat    = 'c'
	keyNamespace = 'n'
	keyFacts     = 'p'
	keyDetails   = 'd'
	keyEntry     = 'e'
	keyUnlisted  = 'u'
	keyReceived  = 'a'
	keyReceipt   = 'r'
	keyWanted    = 'w'
	keyTouched   = 't'
	keyLister    = 'i'
	keyListed    = 'h'
	keyBody      = 'b'
	keyProven    = 'v'
	keyDistrust  = 'x'
)

// spaceKinds are the letters of what goes when a namespace goes.
const spaceKinds = "pdeihbvxuarwt"

// spaceID is the first half of the SHA-256 of a namespace's address. Two
// namespaces with one spaceID would be mixed up; that takes 2⁶⁴ addresses to
// find, and Adopt refuses the second.
type spaceID [16]byte

func spaceOf(a namespace.Address) spaceID {
	h := a.Hash()
	return spaceID(h[:16])
}

// factID names what a proof is about: that a body, with these slots, gives this
// NarHash.
type factID [16]byte

func makeKey(kind byte, fields ...[]byte) []byte {
	n := 1
	for _, f := range fields {
		n += len(f)
	}
	k := append(make([]byte, 0, n), kind)
	for _, f := range fields {
		k = append(k, f...)
	}
	return k
}

func (s spaceID) key(kind byte) []byte { return makeKey(kind, s[:]) }

func (s spaceID) factsKey(id namespace.ID) []byte { return makeKey(keyFacts, s[:], id[:]) }

func (s spaceID) detailsKey(id namespace.ID) []byte { return makeKey(keyDetails, s[:], id[:]) }

func (s spaceID) unlistedKey(id namespace.ID) []byte { return makeKey(keyUnlisted, s[:], id[:]) }

func (s spaceID) receivedKey(id namespace.ID) []byte { return makeKey(keyReceived, s[:], id[:]) }

func (s spaceID) receiptsKey(id namespace.ID) []byte { return makeKey(keyReceipt, s[:], id[:]) }

func (s spaceID) receiptKey(id namespace.ID, seed [32]byte) []byte {
	return makeKey(keyReceipt, s[:], id[:], seed[:])
}

func (s spaceID) wantedKey(id namespace.ID) []byte { return makeKey(keyWanted, s[:], id[:]) }

func (s spaceID) touchedKey(b content.BodyID) []byte { return makeKey(keyTouched, s[:], b[:]) }

func (s spaceID) entriesKey(id namespace.ID) []byte { return makeKey(keyEntry, s[:], id[:]) }

func (s spaceID) entryKey(id namespace.ID, h nix.PathHash) []byte {
	return makeKey(keyEntry, s[:], id[:], h[:])
}

func (s spaceID) listersKey(h nix.PathHash) []byte { return makeKey(keyLister, s[:], h[:]) }

func (s spaceID) listerKey(h nix.PathHash, id namespace.ID) []byte {
	return makeKey(keyLister, s[:], h[:], id[:])
}

func (s spaceID) listedKey(h nix.PathHash) []byte { return makeKey(keyListed, s[:], h[:]) }

func (s spaceID) bodiesKey(b content.BodyID) []byte { return makeKey(keyBody, s[:], b[:]) }

func (s spaceID) bodyKey(b content.BodyID, id namespace.ID, h nix.PathHash) []byte {
	return makeKey(keyBody, s[:], b[:], id[:], h[:])
}

func (s spaceID) provensKey(h nix.PathHash) []byte { return makeKey(keyProven, s[:], h[:]) }

func (s spaceID) provenKey(h nix.PathHash, f factID) []byte {
	return makeKey(keyProven, s[:], h[:], f[:])
}

func (s spaceID) distrustKey(id namespace.ID, h nix.PathHash, f factID) []byte {
	return makeKey(keyDistrust, s[:], id[:], h[:], f[:])
}

// fields takes a key apart that begins with a letter and a space: into parts of
// the widths of dst, filling them.
func fields(key []byte, dst ...[]byte) error {
	want := 1 + len(spaceID{})
	for _, d := range dst {
		want += len(d)
	}
	if len(key) != want {
		return fmt.Errorf("%w: key %x has %d bytes, want %d", ErrDamaged, key, len(key), want)
	}
	rest := key[1+len(spaceID{}):]
	for _, d := range dst {
		rest = rest[copy(d, rest):]
	}
	return nil
}
