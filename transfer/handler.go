package transfer

import (
	"context"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/peer"
)

// Handler answers what peers ask of this node. Every request that reaches it is
// well formed and within bounds, from is who the handshake proved, and ctx ends
// when the asker went away or its time is over.
//
// A handler says [ErrAbsent] both for what is not here and for what is not
// shown to this peer. Any other error that is not one of this package is
// logged here and told to the peer as busy.
type Handler interface {
	// Lookup answers as [Conn.Lookup] describes. Entries beyond the bounds of
	// an answer are left out, those for references first.
	Lookup(ctx context.Context, from Remote, a namespace.Address, hashes []nix.PathHash) ([]Answer, error)

	// Text returns the bytes with that id, at most k.MaxSize().
	Text(ctx context.Context, from Remote, a namespace.Address, k Kind, id [32]byte) ([]byte, error)

	// Chunks calls send for what is here of the ranges, in their order. It may
	// leave out what is not here, and end early. Data is not kept after send
	// returns. An error of send ends the answer: the peer is gone.
	Chunks(ctx context.Context, from Remote, a namespace.Address, body content.BodyID, ranges []Range, send func(Run) error) error

	// Sync answers r. With r.Wait it may take until MaxWait, or ctx's end, to
	// say that nothing is new.
	Sync(ctx context.Context, from Remote, a namespace.Address, r SyncRequest) (*SyncAnswer, error)

	// Offer takes a publication, or says why not. It calls send for each update,
	// at the latest [OfferBeat] after the one before, in the order that
	// [OfferUpdate] tells, the last one among them. It has [MaxOffer]. An error of
	// send ends the answer: the peer is gone.
	Offer(ctx context.Context, from Remote, a namespace.Address, id namespace.ID, send func(OfferUpdate) error) error
}

// Remote is who asks.
type Remote struct {
	Peer peer.ID
	// LAN is as [Conn.LAN] says, for the connection that the question came over.
	LAN bool
}
