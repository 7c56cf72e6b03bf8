package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// followPeer keeps every namespace of this node in step with r until the peer is gone.
func (n *Node) followPeer(ctx context.Context, r *remote) {
	var all sync.WaitGroup
	defer all.Wait()
	followed := make(map[namespace.Address]context.CancelFunc)
	for {
		changes := n.spaces.changes()
		wanted := make(map[namespace.Address]bool)
		for _, sp := range n.spaces.all() {
			if !n.mayAsk(r, sp) {
				continue
			}
			wanted[sp.Address] = true
			if followed[sp.Address] != nil {
				continue
			}
			one, cancel := context.WithCancel(ctx)
			followed[sp.Address] = cancel
			all.Go(func() { n.follow(one, r, sp.Address) })
		}
		for a, cancel := range followed {
			if !wanted[a] {
				cancel()
				delete(followed, a)
			}
		}
		select {
		case <-ctx.Done():
			for _, cancel := range followed {
				cancel()
			}
			return
		case <-changes:
		}
	}
}

// mayAsk reports whether r may learn that this node cares about sp: of what is meant for the LAN, nobody beyond it.
func (n *Node) mayAsk(r *remote, sp Space) bool {
	return sp.Address.CanPublish() && sp.Origin == "" && (!sp.nearby() || r.conn.LAN())
}

// follow syncs one namespace with one peer, on connection and then whenever the peer has something new.
func (n *Node) follow(ctx context.Context, r *remote, a namespace.Address) {
	defer n.peers.setServes(r, a, false)
	defer n.peers.endPoll(r, a)
	var at position
	hurry := askedPause
	for ctx.Err() == nil {
		begun, asks := n.Now(), n.peers.asking(r, a)
		again, err := n.syncOnce(ctx, r, a, &at)
		if at.round(n.Now().Sub(begun)) {
			pause(ctx, pollInterval)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && again:
			continue
		case err == nil && n.peers.startPoll(r, a):
			continue // the next request is a long poll: it is the wait
		case isLie(err):
			n.ban(r, err.Error())
			return
		case errors.Is(err, errVain):
			n.Log.Info("peer left alone for a while", "peer", r.conn.Peer().Short(), "namespace", a.Name(), "for", pollInterval, "why", err)
			at.idle = false
			n.peers.endPoll(r, a)
			pause(ctx, pollInterval)
			continue
		case busyFor(err) > 0:
			pause(ctx, min(max(busyFor(err), quickRound), pollInterval))
			continue
		case errors.Is(err, transfer.ErrAbsent), errors.Is(err, transfer.ErrRefused):
			n.peers.setServes(r, a, false)
		case err != nil:
			n.Log.Debug("sync failed", "peer", r.conn.Peer().Short(), "namespace", a.Name(), "err", err)
		}
		at.idle = false
		n.peers.endPoll(r, a)
		rest(ctx, asks, hurry)
		if hurry = min(2*hurry, askedPauseMost); err == nil {
			hurry = askedPause
		}
	}
}

// rest waits until it is time to ask a peer again: for pollInterval, or until it has asked itself since it was asked, which says that it
// has come to hold something, perhaps not at once.
func rest(ctx context.Context, asks <-chan struct{}, hurry time.Duration) {
	t := time.NewTimer(pollInterval)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-asks:
		pause(ctx, hurry)
	}
}

// isLie reports whether err is proof that the peer broke the protocol or gave something nobody signed.
func isLie(err error) bool {
	var lie *transfer.MisbehaviourError
	return errors.As(err, &lie)
}

// busyFor is when a peer that has no time wants to be asked again; 0: that is not what err says.
func busyFor(err error) time.Duration {
	var busy *transfer.BusyError
	if errors.As(err, &busy) {
		return busy.RetryAfter
	}
	return 0
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// position is how far this node has followed one peer in one namespace.
type position struct {
	epoch  [16]byte
	cursor uint64

	document namespace.ID // this node's own when everything was compared the last time
	compared time.Time    // when that was

	idle  bool // the last answer had nothing more to take: the next request may wait for news
	news  bool // the last round brought something
	quick int  // rounds in a row that brought nothing and were over at once
}

// rewind goes back to the beginning, so that everything is compared anew, when this node's document is another one than
// the last time, or that is long ago: what could not be taken then may be taken now.
func (p *position) rewind(document namespace.ID, now time.Time) {
	if p.compared.IsZero() || p.document == document && now.Sub(p.compared) < recompareEvery {
		return
	}
	p.epoch, p.cursor, p.idle, p.compared = [16]byte{}, 0, false, time.Time{}
}

// all notes that everything was compared, under the document that was this node's when it asked.
func (p *position) all(document namespace.ID, now time.Time) { p.document, p.compared = document, now }

// round takes note of one round, and reports whether it is time for a pause: the peer says over and over that there is more
// and has nothing, or does not wait when it is asked to.
func (p *position) round(took time.Duration) bool {
	if p.news || took >= quickRound {
		p.quick = 0
		return false
	}
	p.quick++
	return p.quick%quickRounds == 0
}

// syncOnce asks r what is new in a and takes it in. again: there is more, or something to compare once more.
func (n *Node) syncOnce(ctx context.Context, r *remote, a namespace.Address, at *position) (again bool, err error) {
	following := ctx
	ctx, cancel := context.WithTimeout(ctx, syncRoundTimeout)
	defer cancel()
	at.news = false
	document, asked := n.documentID(a), n.Now()
	at.rewind(document, asked)
	var req transfer.SyncRequest // to a stranger: nothing about what is here
	if r.conn.LAN() || n.peers.answersFor(r, a) {
		if req, err = n.syncRequest(ctx, a, at); err != nil {
			return false, err
		}
	}
	answer, err := r.conn.Sync(ctx, a, req)
	if err != nil {
		return false, err
	}
	n.peers.setServes(r, a, true)
	n.peers.setClock(r, answer.Time)
	whole := answer.Equal || !answer.Known
	if err := n.takeDocument(ctx, r, a, answer); err != nil {
		return false, err
	}
	if answer.Equal {
		at.idle, at.epoch, at.cursor = true, answer.Epoch, answer.Cursor
		at.all(document, asked)
		n.markSynced(a)
		return false, nil
	}
	at.idle = false
	took, err := n.takePublications(ctx, r, a, answer.Added)
	if err == nil && !answer.Known && len(answer.Buckets) > 0 {
		var more int
		more, err = n.compareBuckets(ctx, r, a, answer.Buckets)
		took += more
	}
	at.news = took > 0
	if took > 0 && !isLie(err) && ctx.Err() != nil && following.Err() == nil {
		return true, nil // there is more than one round has time for: go on from here at once
	}
	if err != nil {
		return false, err
	}
	at.epoch, at.cursor = answer.Epoch, answer.Cursor
	if whole {
		at.all(document, asked)
	}
	if answer.More || took > 0 {
		return true, nil
	}
	// The peer lacks what this node has, or holds what this node may not take: there is nothing more to learn from it now.
	at.idle = true
	n.markSynced(a)
	return false, nil
}

// markSynced notes that this node has what a peer has of a. Without a document it has nothing, whatever a peer says.
func (n *Node) markSynced(a namespace.Address) {
	if _, ok := n.Catalog.Policy(a); ok {
		n.spaces.markSynced(a, n.Now())
	}
}

func (n *Node) syncRequest(ctx context.Context, a namespace.Address, at *position) (transfer.SyncRequest, error) {
	digest, err := n.Catalog.Digest(ctx, a)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return transfer.SyncRequest{}, err
	}
	req := transfer.SyncRequest{Count: digest.Count, Sum: digest.Sum, Epoch: at.epoch, Cursor: at.cursor, Wait: at.idle}
	if p, ok := n.Catalog.Policy(a); ok {
		if d, ok := p.Document(); ok {
			req.Serial, req.Document = d.Value().Serial, d.ID()
		}
	}
	return req, nil
}

// documentID is the id of a's document here; zero, if there is none.
func (n *Node) documentID(a namespace.Address) namespace.ID {
	if p, ok := n.Catalog.Policy(a); ok {
		if d, ok := p.Document(); ok {
			return d.ID()
		}
	}
	return namespace.ID{}
}

// takeDocument adopts the document in answer, if there is one and it is newer.
func (n *Node) takeDocument(ctx context.Context, r *remote, a namespace.Address, answer *transfer.SyncAnswer) error {
	if len(answer.RawDocument) == 0 {
		return nil
	}
	d, err := trust.VerifyDocument(a, answer.RawDocument)
	if err != nil {
		return lied(fmt.Errorf("document of %s: %w", a.Name(), err))
	}
	lists, err := n.keepLists(ctx, r, a, d, answer.Lists)
	if err != nil {
		return err
	}
	switch err := n.Catalog.Adopt(ctx, d, lists); {
	case err == nil:
		n.Log.Info("document adopted", "namespace", a.Name(), "serial", d.Value().Serial, "from", r.conn.Peer().Short())
	case errors.Is(err, catalog.ErrRollback):
		n.Log.Warn("older document ignored", "namespace", a.Name(), "serial", d.Value().Serial, "from", r.conn.Peer().Short())
	default:
		return err
	}
	return nil
}

// keepLists returns the kept lists that d names: from came, else fetched from r.
func (n *Node) keepLists(ctx context.Context, r *remote, a namespace.Address, d trust.Document, came [][]byte) ([]*namespace.KeepList, error) {
	byID := make(map[namespace.ID]*namespace.KeepList, len(came))
	size := 0
	take := func(raw []byte) error {
		l, err := namespace.ParseKeepList(raw)
		if err != nil {
			return lied(fmt.Errorf("kept list of %s: %w", a.Name(), err))
		}
		if size += len(raw); size > keptListsMost {
			return fmt.Errorf("the kept lists of %s have over %d bytes", a.Name(), keptListsMost)
		}
		byID[l.ID()] = l
		return nil
	}
	for _, raw := range came {
		if err := take(raw); err != nil {
			return nil, err
		}
	}
	var lists []*namespace.KeepList
	for _, c := range d.Value().Closed {
		if c.None {
			continue
		}
		if byID[c.Keep] == nil {
			raw, err := r.conn.Text(ctx, a, transfer.KeepList, c.Keep)
			if err != nil {
				return nil, fmt.Errorf("kept list %s: %w", c.Keep.Short(), err)
			}
			if err := take(raw); err != nil {
				return nil, err
			}
		}
		if byID[c.Keep] == nil {
			return nil, lied(fmt.Errorf("kept list %s: other bytes came", c.Keep.Short()))
		}
		lists = append(lists, byID[c.Keep])
	}
	return lists, nil
}

func lied(err error) error { return &transfer.MisbehaviourError{What: err.Error()} }

// forged reports whether something refused for that reason can only come from somebody who made it up: it was never
// right under any document.
func forged(why trust.Reason) bool {
	switch why {
	case trust.Malformed, trust.TooLarge, trust.BadSignature, trust.NoSignature, trust.WrongNamespace:
		return true
	}
	return false
}

// compareBuckets asks for the ids of the buckets that differ and takes what is new.
func (n *Node) compareBuckets(ctx context.Context, r *remote, a namespace.Address, theirs []transfer.BucketDigest) (int, error) {
	ours, err := n.Catalog.Buckets(ctx, a)
	if err != nil {
		return 0, err
	}
	var differ []byte
	for i, b := range theirs {
		if i < len(ours) && b.Count > 0 && (b.Count != ours[i].Count || b.Sum != ours[i].Sum) {
			differ = append(differ, byte(i))
		}
	}
	took := 0
	for len(differ) > 0 {
		answer, err := r.conn.Sync(ctx, a, transfer.SyncRequest{Buckets: differ[:min(bucketsAtOnce, len(differ))]})
		if err != nil {
			return took, err
		}
		before := len(differ)
		var ids []namespace.ID
		for b, some := range answer.BucketIDs { // perhaps fewer than asked: the rest is asked again
			differ = slices.DeleteFunc(differ, func(d byte) bool { return d == b })
			ids = append(ids, some...)
		}
		if len(differ) == before {
			return took, lied(errors.New("none of the buckets asked for came"))
		}
		more, err := n.takePublications(ctx, r, a, ids)
		took += more
		if err != nil {
			return took, err
		}
	}
	return took, nil
}
