package trust

import (
	"errors"
	"fmt"
)

// ErrUntrusted is what every refusal of this package wraps.
var ErrUntrusted = errors.New("not trusted")

// Reason says in one word why something is refused. The words are stable: they
// are shown and logged.
type Reason string

const (
	Malformed       Reason = "malformed"        // not in the form that its kind has
	TooLarge        Reason = "too-large"        // more bytes than its kind may have
	BadSignature    Reason = "bad-signature"    // the signature does not fit the text
	NoSignature     Reason = "no-signature"     // an entry without a signature by the key it needs
	NotAWriter      Reason = "not-a-writer"     // signed by a key that the document does not know
	WriterExpired   Reason = "writer-expired"   // dated after the writer's until
	WriterClosed    Reason = "writer-closed"    // the writer is closed, and its kept list does not name this
	Withdrawn       Reason = "withdrawn"        // the document withdraws the publication
	Denied          Reason = "denied"           // the document denies this content of the path
	Void            Reason = "void"             // a line that this version would have to know
	Suspended       Reason = "suspended"        // the document has such a line
	WrongNamespace  Reason = "wrong-namespace"  // made for another namespace
	NoDocument      Reason = "no-document"      // publications need a namespace with a document
	NoPublication   Reason = "no-publication"   // entries of a namespace with a document need a publication
	MissingList     Reason = "missing-list"     // a kept list that the document names is not here
	FutureDated     Reason = "future-dated"     // held until its time comes
	DocumentExpired Reason = "document-expired" // a writer dated it after the document's expiry
	PastExpiry      Reason = "past-expiry"      // its own expiry has passed
)

// Refusal is the error for everything that is not trusted.
type Refusal struct {
	Why    Reason
	Detail string // what was wrong, with the value
	cause  error
}

func (r *Refusal) Error() string { return string(r.Why) + ": " + r.Detail }

// Unwrap gives ErrUntrusted and, where a text could not be read, why.
func (r *Refusal) Unwrap() []error {
	if r.cause == nil {
		return []error{ErrUntrusted}
	}
	return []error{ErrUntrusted, r.cause}
}

func refuse(why Reason, format string, args ...any) *Refusal {
	return &Refusal{Why: why, Detail: fmt.Sprintf(format, args...)}
}

func refuseBecause(why Reason, cause error) *Refusal {
	return &Refusal{Why: why, Detail: cause.Error(), cause: cause}
}
