package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// errNoReceipts says that this node has no key to sign receipts with.
var errNoReceipts = errors.New("this node signs no receipts")

func (n *Node) signReceipt() ReceiptSigner {
	if l := n.online.Load(); l != nil {
		return l.sign
	}
	return nil
}

// storedAt returns when this node first had all of a publication; zero: it never had. It is remembered by a receipt that
// the node gave itself.
func (n *Node) storedAt(ctx context.Context, a namespace.Address, id namespace.ID) (time.Time, error) {
	all, err := n.Catalog.Receipts(ctx, a, id)
	if err != nil {
		return time.Time{}, err
	}
	self := string(n.network().Self().ID)
	for _, r := range all {
		if r.Seed() == self {
			return r.Value().Time, nil
		}
	}
	return time.Time{}, nil
}

// keepOwnReceipt remembers that all of a publication is here, unless that is remembered.
func (n *Node) keepOwnReceipt(ctx context.Context, a namespace.Address, id namespace.ID) error {
	at, err := n.storedAt(ctx, a, id)
	if err != nil || !at.IsZero() {
		return err
	}
	r, err := n.receiptAt(a, id, n.Now(), namespace.Promise{})
	if err != nil {
		return err
	}
	return n.Catalog.KeepReceipt(ctx, r)
}

// receipt is this node's word about a publication that is all here.
func (n *Node) receipt(ctx context.Context, sp Space, info catalog.PublicationInfo) (trust.Receipt, error) {
	at, err := n.storedAt(ctx, sp.Address, info.ID)
	if err != nil {
		return trust.Receipt{}, err
	}
	if at.IsZero() {
		return trust.Receipt{}, fmt.Errorf("publication %s is listed and was never all here", info.ID.Short())
	}
	pinned, err := n.pinned(ctx, sp.Address)
	if err != nil {
		return trust.Receipt{}, err
	}
	promise := namespace.Promise{}
	switch {
	case pinned[info.ID]:
		promise.Kind = namespace.PromisePinned
	case sp.Promise > 0:
		promise = namespace.Promise{Kind: namespace.PromiseUntil, Until: at.Add(sp.Promise)}
		if info.Lives.After(promise.Until) {
			promise.Until = info.Lives
		}
	}
	return n.receiptAt(sp.Address, info.ID, at, promise)
}

// Promised is until when receipts of this node say that what it mirrors of a namespace is kept; zero: they promise nothing.
func (n *Node) Promised(ctx context.Context, alias string) (time.Time, error) {
	sp, err := n.space(alias)
	if err != nil {
		return time.Time{}, err
	}
	var until time.Time
	pinned, err := n.pinned(ctx, sp.Address)
	if err != nil {
		return until, err
	}
	for info, err := range n.Catalog.Publications(ctx, sp.Address) {
		if errors.Is(err, catalog.ErrNotFound) {
			return until, nil
		}
		if err != nil {
			return until, err
		}
		if !info.Listed || info.Standing.State != trust.Live {
			continue
		}
		at, err := n.storedAt(ctx, sp.Address, info.ID)
		if err != nil {
			return until, err
		}
		if end := at.Add(sp.Promise); sp.Promise > 0 && !at.IsZero() && end.After(until) {
			until = end
		}
		if (sp.Promise > 0 || pinned[info.ID]) && info.Lives.After(until) {
			until = info.Lives
		}
	}
	return until, nil
}

func (n *Node) receiptAt(a namespace.Address, id namespace.ID, at time.Time, p namespace.Promise) (trust.Receipt, error) {
	sign := n.signReceipt()
	if sign == nil {
		return trust.Receipt{}, errNoReceipts
	}
	p.Until = p.Until.UTC().Truncate(time.Second)
	raw, err := sign(&namespace.Receipt{Namespace: a, Publication: id, Time: at.UTC().Truncate(time.Second), Promise: p})
	if err != nil {
		return trust.Receipt{}, err
	}
	return trust.VerifyReceipt(raw)
}

// takeReceipt judges what r gave for a publication that it was offered, and keeps it. One that is not r's word about that
// publication is a lie.
func (n *Node) takeReceipt(ctx context.Context, r *remote, a namespace.Address, id namespace.ID, raw []byte) (trust.Receipt, error) {
	receipt, err := trust.VerifyReceipt(raw)
	if err != nil {
		return receipt, lied(fmt.Errorf("receipt for %s: %w", id.Short(), err))
	}
	v := receipt.Value()
	if peer.ID(receipt.Seed()) != r.conn.Peer() || v.Namespace != a || v.Publication != id {
		return trust.Receipt{}, lied(fmt.Errorf("receipt of %s for %s of %s, asked was for %s of %s", receipt.Seed(), v.Publication.Short(), v.Namespace.Name(), id.Short(), a.Name()))
	}
	if err := n.Catalog.KeepReceipt(ctx, receipt); err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, catalog.ErrLimit) {
		return receipt, err
	}
	return receipt, nil
}

// copyOf is a receipt as people are shown it.
func copyOf(r trust.Receipt, name string) report.Copy {
	v := r.Value()
	c := report.Copy{Node: name, Peer: r.Seed(), Time: v.Time, Pinned: v.Promise.Kind == namespace.PromisePinned}
	if v.Promise.Kind == namespace.PromiseUntil {
		until := v.Promise.Until
		c.Until = &until
	}
	return c
}
