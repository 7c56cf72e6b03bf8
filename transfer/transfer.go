// Package transfer is one question to one peer, and its answer: which entries
// are there for these paths, give me that text, those chunks, what is new.
//
// It owns the words of the conversation: what may be asked, what an answer
// must look like, the bounds of both, and the errors that tell an honest "no"
// from a lie. It will not choose a peer or judge one, retry, cache, or verify
// content: what comes out of here is bytes of the right shape from somebody,
// and store and trust decide what they are worth. Connections are elsewhere:
// transfer/stream makes them of libp2p streams, transfer/transfertest within
// one process.
package transfer

import (
	"context"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/peer"
)

// Conn asks one peer one thing at a time; its methods may be called
// concurrently, and an ended ctx ends a call at once. It stays usable when the
// connection under it is replaced.
//
// Errors are [ErrAbsent], [*BusyError], [ErrRefused], [*BadRequestError],
// [*MisbehaviourError] (the answer breaks the protocol), an error of ctx,
// [ErrStalled], [ErrDisconnected], or an error of the transport: the peer went
// away meanwhile.
type Conn interface {
	// Peer is who answers, as the handshake proved.
	Peer() peer.ID

	// LAN says that the peer is on this machine or on a network that this
	// machine is directly attached to.
	LAN() bool

	// Lookup asks for the entries of 1 to MaxLookup path hashes, each different.
	// The answers for those come first, in the order asked, without entries
	// where the peer has none; then may come answers for references of the
	// entries, in which nothing is absent. Every entry is for the hash of its
	// answer; whether it is true is not known.
	Lookup(ctx context.Context, a namespace.Address, hashes []nix.PathHash) ([]Answer, error)

	// Text asks for a publication, document, kept list or body. The bytes are
	// at most k.MaxSize() and are not checked against id.
	Text(ctx context.Context, a namespace.Address, k Kind, id [32]byte) ([]byte, error)

	// Chunks asks for ranges of a body's chunks, which must not overlap, and
	// gives recv each run as it comes: in the order asked, none beyond what was
	// asked, none twice. Runs may leave gaps, where the peer lacks something;
	// the error is then ErrAbsent after all that is there has come. An error
	// of recv ends the call and is returned.
	Chunks(ctx context.Context, a namespace.Address, body content.BodyID, ranges []Range, recv func(Run) error) error

	// Sync asks what the peer has that we lack in a namespace.
	Sync(ctx context.Context, a namespace.Address, r SyncRequest) (*SyncAnswer, error)

	// Offer says "here is a publication", and gives recv what the peer says of it
	// as it comes, in the order that [OfferUpdate] tells, until the peer has
	// stored or refused it: then the error is nil. The peer fetches what it lacks
	// meanwhile, over whatever connections it has, this one too. An error of recv
	// ends the call and is returned.
	Offer(ctx context.Context, a namespace.Address, id namespace.ID, recv func(OfferUpdate) error) error
}
