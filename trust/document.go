package trust

import (
	"bytes"
	"time"

	"github.com/flurry-nix/flurry/namespace"
)

// Document is a namespace document that its root signed. Only [VerifyDocument]
// makes one; the zero value is none.
type Document struct {
	value *namespace.Document
	id    namespace.ID
	raw   []byte
}

// VerifyDocument checks that raw is a document of namespace a, signed by its
// root, and by nobody else. It does not judge its date or serial: see
// [Document.HeldUntil] and [Document.Supersedes].
func VerifyDocument(a namespace.Address, raw []byte) (Document, error) {
	if len(raw) > namespace.MaxDocument {
		return Document{}, refuse(TooLarge, "document of %d bytes, at most %d are allowed", len(raw), namespace.MaxDocument)
	}
	raw = bytes.Clone(raw)
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return Document{}, refuseBecause(Malformed, err)
	}
	if !note.SignedBy(a.Key()) {
		return Document{}, refuse(BadSignature, "document %s is not signed by %s", note.ID().Short(), a)
	}
	d, err := namespace.ParseDocument(note.Text)
	if err != nil {
		return Document{}, refuseBecause(Malformed, err)
	}
	if d.Namespace != a {
		return Document{}, refuse(WrongNamespace, "document %s is of %s, not of %s", note.ID().Short(), d.Namespace, a)
	}
	return Document{value: d, id: note.ID(), raw: raw}, nil
}

// IsZero reports whether d is the zero value, which is no document.
func (d Document) IsZero() bool { return d.value == nil }

// Value returns what the document says, to be read only.
func (d Document) Value() *namespace.Document { return d.value }

// ID returns the SHA-256 of the signed text.
func (d Document) ID() namespace.ID { return d.id }

// Raw returns the signed form, to be read only.
func (d Document) Raw() []byte { return d.raw }

// Alarm is something about two documents that people have to be told.
type Alarm int

const (
	NoAlarm    Alarm = iota
	SameSerial       // the root signed two documents with one serial
)

// Supersedes reports whether d is to be followed instead of old, a document of
// the same namespace or the zero value. The higher serial wins; of two with one
// serial the larger id does, and there is an alarm, whichever of them came
// first. A document that does not supersede the one accepted is refused for
// ever.
func (d Document) Supersedes(old Document) (bool, Alarm) {
	switch {
	case d.IsZero():
		return false, NoAlarm
	case old.IsZero():
		return true, NoAlarm
	case d.value.Namespace != old.value.Namespace || d.id == old.id:
		return false, NoAlarm
	case d.value.Serial != old.value.Serial:
		return d.value.Serial > old.value.Serial, NoAlarm
	}
	return d.id.Compare(old.id) > 0, SameSerial
}

// HeldUntil returns whether d is dated too far ahead of now to be adopted, and
// from when on it is not. Adopting it early would move the namespace's time.
func (d Document) HeldUntil(now time.Time) (until time.Time, held bool) {
	until = d.value.Issued.Add(-MaxAhead)
	return until, now.Before(until)
}

// Expired reports whether the document's expiry has passed: what was accepted
// stays, and what writers date later does not count.
func (d Document) Expired(now time.Time) bool { return !now.Before(d.value.Expires) }
