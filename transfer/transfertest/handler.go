package transfertest

import (
	"context"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
)

// Handler is a [transfer.Handler] of functions. What is nil is absent.
type Handler struct {
	OnLookup func(ctx context.Context, from transfer.Remote, a namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error)
	OnText   func(ctx context.Context, from transfer.Remote, a namespace.Address, k transfer.Kind, id [32]byte) ([]byte, error)
	OnChunks func(ctx context.Context, from transfer.Remote, a namespace.Address, body content.BodyID, ranges []transfer.Range, send func(transfer.Run) error) error
	OnOffer  func(ctx context.Context, from transfer.Remote, a namespace.Address, id namespace.ID, send func(transfer.OfferUpdate) error) error
	OnSync   func(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error)
}

var _ transfer.Handler = Handler{}

// Lookup implements [transfer.Handler].
func (h Handler) Lookup(ctx context.Context, from transfer.Remote, a namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
	if h.OnLookup == nil {
		return nil, transfer.ErrAbsent
	}
	return h.OnLookup(ctx, from, a, hashes)
}

// Text implements [transfer.Handler].
func (h Handler) Text(ctx context.Context, from transfer.Remote, a namespace.Address, k transfer.Kind, id [32]byte) ([]byte, error) {
	if h.OnText == nil {
		return nil, transfer.ErrAbsent
	}
	return h.OnText(ctx, from, a, k, id)
}

// Chunks implements [transfer.Handler].
func (h Handler) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, body content.BodyID, ranges []transfer.Range, send func(transfer.Run) error) error {
	if h.OnChunks == nil {
		return transfer.ErrAbsent
	}
	return h.OnChunks(ctx, from, a, body, ranges, send)
}

// Sync implements [transfer.Handler].
func (h Handler) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	if h.OnSync == nil {
		return nil, transfer.ErrAbsent
	}
	return h.OnSync(ctx, from, a, r)
}

// Offer implements [transfer.Handler].
func (h Handler) Offer(ctx context.Context, from transfer.Remote, a namespace.Address, id namespace.ID, send func(transfer.OfferUpdate) error) error {
	if h.OnOffer == nil {
		return send(transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedNotHosted})
	}
	return h.OnOffer(ctx, from, a, id, send)
}
