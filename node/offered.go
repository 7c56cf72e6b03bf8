package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// Offer takes a publication of a namespace that is mirrored here, and tells the peer how far that is until it is stored or
// refused. What it lacks it fetches from whoever has it, the peer among others.
func (s *Server) Offer(ctx context.Context, from transfer.Remote, a namespace.Address, id namespace.ID, send func(transfer.OfferUpdate) error) error {
	n := s.node
	refuse := func(why transfer.OfferRefusal) error {
		return send(transfer.OfferUpdate{State: transfer.OfferRefused, Why: why})
	}
	sp, known := n.spaces.get(a)
	if !known || !sp.Seed || !s.shared(from, a) {
		return refuse(transfer.RefusedNotHosted)
	}
	m := n.mirrors.opening(ctx, a)
	if m == nil {
		return refuse(transfer.RefusedNotHosted)
	}
	if err := send(transfer.OfferUpdate{State: transfer.OfferQueued}); err != nil {
		return err
	}
	why, err := n.whileQueued(ctx, send, func(ctx context.Context) (transfer.OfferRefusal, error) { return n.learn(ctx, from.Peer, a, id) })
	if err != nil {
		return err
	}
	if why != 0 {
		return refuse(why)
	}
	return n.tellOffer(ctx, m, id, send)
}

// whileQueued runs f and says meanwhile, at every beat, that the offer is queued.
func (n *Node) whileQueued(ctx context.Context, send func(transfer.OfferUpdate) error, f func(context.Context) (transfer.OfferRefusal, error)) (transfer.OfferRefusal, error) {
	type outcome struct {
		why transfer.OfferRefusal
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan outcome, 1)
	if !n.tasks.Go(func(context.Context) { why, err := f(ctx); done <- outcome{why, err} }) {
		return 0, ErrOffline
	}
	beat := time.NewTicker(transfer.OfferBeat / 2)
	defer beat.Stop()
	for {
		select {
		case o := <-done:
			return o.why, o.err
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-beat.C:
			if err := send(transfer.OfferUpdate{State: transfer.OfferQueued}); err != nil {
				return 0, err
			}
		}
	}
}

// learn makes this node know a publication that a peer offers: by its document and, if need be, its text. why is not 0
// when it is refused.
func (n *Node) learn(ctx context.Context, from peer.ID, a namespace.Address, id namespace.ID) (why transfer.OfferRefusal, err error) {
	if known, err := n.knows(ctx, a, id); err != nil || known {
		return 0, err
	}
	r := n.introduced(ctx, from)
	if r == nil {
		return transfer.RefusedBusy, ctx.Err()
	}
	if ids, err := n.Catalog.Unlisted(ctx, a); err == nil && len(ids) >= offersQueued {
		return transfer.RefusedBusy, nil
	}
	// Its document first: it may name the writer. What else it has that is new comes along.
	if _, err := n.syncOnce(ctx, r, a, &position{}); isLie(err) {
		n.ban(r, err.Error())
		return transfer.RefusedUnverified, nil
	}
	if known, err := n.knows(ctx, a, id); err != nil || known {
		return 0, err
	}
	return n.learnText(ctx, r, a, id)
}

// knows reports whether a publication is here; of a namespace without a document nothing is.
func (n *Node) knows(ctx context.Context, a namespace.Address, id namespace.ID) (bool, error) {
	known, err := n.Catalog.Knows(ctx, a, id)
	if errors.Is(err, catalog.ErrNotFound) {
		return false, nil
	}
	return known, err
}

// learnText fetches the text of a publication from r and takes it in.
func (n *Node) learnText(ctx context.Context, r *remote, a namespace.Address, id namespace.ID) (transfer.OfferRefusal, error) {
	policy, ok := n.Catalog.Policy(a)
	if !ok {
		return transfer.RefusedDocument, nil
	}
	raw, err := n.fetchText(ctx, r, a, id)
	if err != nil && !isLie(err) {
		return transfer.RefusedBusy, nil // it does not give what it offers: another time
	}
	if err == nil {
		err = checkText(raw, id)
	}
	if err != nil {
		n.ban(r, err.Error())
		return transfer.RefusedUnverified, nil
	}
	pub, err := policy.VerifyPublication(raw)
	if err == nil {
		_, err = n.accept(ctx, pub)
	}
	var refusal *trust.Refusal
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &refusal) && forged(refusal.Why):
		n.ban(r, fmt.Sprintf("publication %s: %v", id.Short(), err))
		return transfer.RefusedUnverified, nil
	case errors.As(err, &refusal):
		return transfer.RefusedDocument, nil
	case errors.Is(err, catalog.ErrLimit):
		return transfer.RefusedQuota, nil
	case errors.Is(err, store.ErrFull):
		return transfer.RefusedDisk, nil
	}
	return 0, err
}

// introduced returns the peer with that id, if it is known or makes itself known in a moment: a stream may be here before
// the news of its connection.
func (n *Node) introduced(ctx context.Context, id peer.ID) *remote {
	patience := time.NewTimer(meetTime)
	defer patience.Stop()
	for {
		changed := n.peers.changes()
		if r := n.peers.named(id); r != nil {
			return r
		}
		select {
		case <-changed:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// tellOffer tells how far a publication is until that ends: at every change, but not all the time, and at every beat.
func (n *Node) tellOffer(ctx context.Context, m *mirror, id namespace.ID, send func(transfer.OfferUpdate) error) error {
	last, sent := transfer.OfferUpdate{State: transfer.OfferQueued}, time.Now()
	for {
		moved, changed := m.changes(), n.Catalog.Changed(m.address)
		update, err := n.offerUpdate(ctx, m, id)
		if err != nil {
			return err
		}
		if update.State == transfer.OfferQueued && last.State == transfer.OfferHave {
			update = last // it is tried again
		}
		if update.State != last.State || update.Have != last.Have || time.Since(sent) >= transfer.OfferBeat/2 {
			if err := send(update); err != nil || update.State.Ends() {
				return err
			}
			last, sent = update, time.Now()
		}
		beat := time.NewTimer(transfer.OfferBeat/2 - time.Since(sent))
		select {
		case <-moved:
			pause(ctx, offerStep)
		case <-changed:
		case <-beat.C:
		case <-ctx.Done():
		}
		beat.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// offerStep is the least time between two updates of an offer that is being fetched.
const offerStep = time.Second / 2

// offerUpdate is how far a publication is.
func (n *Node) offerUpdate(ctx context.Context, m *mirror, id namespace.ID) (transfer.OfferUpdate, error) {
	refused := transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedDocument}
	info, err := n.Catalog.PublicationInfo(ctx, m.address, id)
	if errors.Is(err, catalog.ErrNotFound) || err == nil && info.Standing.State != trust.Live {
		return refused, nil // withdrawn, expired, frozen or dated ahead
	}
	if err != nil {
		return refused, err
	}
	if !info.Listed {
		update, open := m.update(id)
		if !open {
			refused.Why = transfer.RefusedNotHosted
			return refused, nil
		}
		return update, nil
	}
	sp, _ := n.spaces.get(m.address)
	receipt, err := n.receipt(ctx, sp, info)
	if err != nil {
		return refused, err
	}
	return transfer.OfferUpdate{State: transfer.OfferStored, Receipt: receipt.Raw()}, nil
}
