package transfer

import "fmt"

// OfferUpdate is what a peer says of an offer: where it is with taking it. Of
// one offer come any number of updates OfferQueued, then any number OfferHave,
// in which Have grows and Of stays, then one that ends it.
type OfferUpdate struct {
	State OfferState
	// Have and Of, with OfferHave: raw bytes of the chunks that the peer lacked
	// when it began, and how many of them it has.
	Have, Of uint64
	// Receipt, with OfferStored: the signed text, at most
	// namespace.MaxReceipt bytes. Whose it is and what for was not checked.
	Receipt []byte
	// Why, with OfferRefused.
	Why OfferRefusal
	// Used and Quota, with RefusedQuota: bytes that are in use and may not go,
	// and bytes that may be.
	Used, Quota uint64
	// Text, with RefusedByOperator: words for people, at most MaxOfferText bytes.
	// Hearsay: see [Printable].
	Text string
}

// OfferState is how far an offer is.
type OfferState byte

// The states, as they are numbered on the wire.
const (
	OfferQueued  OfferState = 1 // it will be looked at
	OfferHave    OfferState = 2 // the peer fetches what it lacks
	OfferStored  OfferState = 3 // all of it is on the peer's disk
	OfferRefused OfferState = 4 // it is not taken
)

func (s OfferState) String() string {
	switch s {
	case OfferQueued:
		return "queued"
	case OfferHave:
		return "have"
	case OfferStored:
		return "stored"
	case OfferRefused:
		return "refused"
	}
	return fmt.Sprintf("state %d", byte(s))
}

// Ends reports whether nothing follows an update in that state.
func (s OfferState) Ends() bool { return s == OfferStored || s == OfferRefused }

// OfferRefusal is why an offer is not taken. The list is closed: there are no
// others in this version of the protocol.
type OfferRefusal byte

// The reasons, as they are numbered on the wire.
const (
	RefusedQuota      OfferRefusal = 1 // the namespace's quota is full of what may not go
	RefusedDisk       OfferRefusal = 2 // the disk is below its reserve, or failed
	RefusedNotHosted  OfferRefusal = 3 // the namespace is not mirrored here, or not for this peer
	RefusedByOperator OfferRefusal = 4 // the person who runs the peer said so
	RefusedTooLarge   OfferRefusal = 5 // it would not fit if nothing else were there
	RefusedBusy       OfferRefusal = 6 // too much is queued: offer it again later
	RefusedDocument   OfferRefusal = 7 // its signer is not in the document that the peer has
	RefusedUnverified OfferRefusal = 8 // a signature or the content did not verify
)

// String is the reason as people are told it.
func (r OfferRefusal) String() string {
	switch r {
	case RefusedQuota:
		return "quota"
	case RefusedDisk:
		return "disk"
	case RefusedNotHosted:
		return "not hosted here"
	case RefusedByOperator:
		return "refused by operator"
	case RefusedTooLarge:
		return "too large"
	case RefusedBusy:
		return "busy, later"
	case RefusedDocument:
		return "document not accepted"
	case RefusedUnverified:
		return "content did not verify"
	}
	return fmt.Sprintf("reason %d", byte(r))
}

// Temporary reports whether offering the same again later may end otherwise
// without anybody doing something about it.
func (r OfferRefusal) Temporary() bool {
	return r == RefusedBusy || r == RefusedDisk || r == RefusedQuota || r == RefusedDocument
}
