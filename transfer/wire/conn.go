package wire

import (
	"context"
	"fmt"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
)

// Protocol is what a stream is for. There is one name on the wire for each.
type Protocol int

// The protocols.
const (
	Lookup Protocol = iota
	Fetch
	Sync
	Offer
	Protocols // how many there are
)

func (p Protocol) String() string {
	switch p {
	case Lookup:
		return "lookup"
	case Fetch:
		return "fetch"
	case Sync:
		return "sync"
	case Offer:
		return "offer"
	}
	return fmt.Sprintf("protocol %d", int(p))
}

// Conn is the questions of a [transfer.Conn], each on a stream of its own.
type Conn struct {
	Asker *Asker
	// Open opens a stream. bulk says that much is about to come.
	Open func(ctx context.Context, p Protocol, bulk bool) (Stream, error)
}

// Lookup is [transfer.Conn]'s.
func (c *Conn) Lookup(ctx context.Context, a namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
	s, err := c.Open(ctx, Lookup, false)
	if err != nil {
		return nil, err
	}
	return c.Asker.Lookup(ctx, s, a, hashes)
}

// Text is [transfer.Conn]'s.
func (c *Conn) Text(ctx context.Context, a namespace.Address, k transfer.Kind, id [32]byte) ([]byte, error) {
	s, err := c.Open(ctx, Fetch, k == transfer.Body)
	if err != nil {
		return nil, err
	}
	return c.Asker.Text(ctx, s, a, k, id)
}

// Chunks is [transfer.Conn]'s.
func (c *Conn) Chunks(ctx context.Context, a namespace.Address, body content.BodyID, ranges []transfer.Range, recv func(transfer.Run) error) error {
	s, err := c.Open(ctx, Fetch, true)
	if err != nil {
		return err
	}
	return c.Asker.Chunks(ctx, s, a, body, ranges, recv)
}

// Sync is [transfer.Conn]'s.
func (c *Conn) Sync(ctx context.Context, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	s, err := c.Open(ctx, Sync, false)
	if err != nil {
		return nil, err
	}
	return c.Asker.Sync(ctx, s, a, r)
}

// Offer is [transfer.Conn]'s.
func (c *Conn) Offer(ctx context.Context, a namespace.Address, id namespace.ID, recv func(transfer.OfferUpdate) error) error {
	s, err := c.Open(ctx, Offer, false)
	if err != nil {
		return err
	}
	return c.Asker.Offer(ctx, s, a, id, recv)
}
