package node

import (
	"container/list"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// parsedBody is a body with what is derived from it. It is shared and never changed.
type parsedBody struct {
	id    content.BodyID
	body  *content.Body
	index *content.Index
}

func (b *parsedBody) cost() int { return 48*len(b.body.Chunks) + 16*len(b.body.Rewrites) + 256 }

// bodies keeps the parsed bodies that were used last, within bodyCacheBytes, and which of them are whole on disk.
type bodies struct {
	mu    sync.Mutex
	cost  int
	order *list.List // of *parsedBody, last used first
	byID  map[content.BodyID]*list.Element
	whole map[content.BodyID]bool // every chunk was in the store when last looked at; bounded by wholeMax
}

// wholeMax bounds the memory of whole bodies: 40 bytes each.
const wholeMax = 100_000

func newBodies() *bodies {
	return &bodies{order: list.New(), byID: make(map[content.BodyID]*list.Element), whole: make(map[content.BodyID]bool)}
}

func (c *bodies) get(id content.BodyID) *parsedBody {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byID[id]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*parsedBody)
}

func (c *bodies) put(b *parsedBody) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[b.id]; ok {
		return
	}
	c.byID[b.id] = c.order.PushFront(b)
	c.cost += b.cost()
	for c.cost > bodyCacheBytes && c.order.Len() > 1 {
		last := c.order.Remove(c.order.Back()).(*parsedBody)
		delete(c.byID, last.id)
		c.cost -= last.cost()
	}
}

func (c *bodies) isWhole(id content.BodyID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whole[id]
}

func (c *bodies) setWhole(id content.BodyID, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !whole {
		delete(c.whole, id)
		return
	}
	if len(c.whole) >= wholeMax {
		clear(c.whole)
	}
	c.whole[id] = true
}

// forget forgets everything: the store may have less now.
func (c *bodies) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cost = 0
	c.order.Init()
	clear(c.byID)
	clear(c.whole)
}

// parse makes a parsedBody of raw, which must be the bytes of id.
func parse(id content.BodyID, raw []byte) (*parsedBody, error) {
	body, err := content.ParseBody(raw)
	if err != nil {
		return nil, fmt.Errorf("body %s: %w", id, err)
	}
	return &parsedBody{id: id, body: body, index: body.Index()}, nil
}

// localBody returns the body if it is in the store.
func (n *Node) localBody(ctx context.Context, id content.BodyID) (*parsedBody, error) {
	if b := n.bodies.get(id); b != nil {
		return b, nil
	}
	raw, err := store.Get(ctx, n.Store, n.Codec, store.BodyKey(id))
	if err != nil {
		return nil, err
	}
	b, err := parse(id, raw)
	if err != nil {
		return nil, err
	}
	n.bodies.put(b)
	return b, nil
}

// body returns the body of v, from the store or else from peers, checked against the entry.
func (n *Node) body(ctx context.Context, v trust.Verified) (*parsedBody, error) {
	e := v.Entry()
	b, err := n.localBody(ctx, e.Body)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		b, err = n.bodyOnce(ctx, v)
	}
	if err != nil {
		return nil, err
	}
	allowed := func(h nix.PathHash) bool { return refersTo(v, h) }
	if err := b.body.Check(e.NarSize, e.Slots, allowed); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrWrongNar, v.Path().Base(), err)
	}
	return b, nil
}

func refersTo(v trust.Verified, h nix.PathHash) bool {
	if v.Path().Hash() == h {
		return true
	}
	for _, r := range v.Entry().References {
		if r.Hash() == h {
			return true
		}
	}
	return false
}

// fetchBody asks the peers that serve v's namespace, best first; if that is in vain it looks for others, for at most
// searchTime, and asks each as soon as it is there.
func (n *Node) fetchBody(ctx context.Context, v trust.Verified) (*parsedBody, error) {
	b, err := n.bodyFromAny(ctx, v)
	if !errors.Is(err, ErrNoProvider) {
		return b, err
	}
	sought := make(chan struct{})
	search, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	if !n.tasks.Go(func(context.Context) { defer close(sought); n.seek(search, v.Address(), v.Path().Hash()) }) {
		return nil, ErrOffline
	}
	for {
		changed := n.peers.changes()
		if b, err = n.bodyFromAny(ctx, v); !errors.Is(err, ErrNoProvider) {
			return b, err
		}
		select {
		case <-sought:
			return n.bodyFromAny(ctx, v)
		case <-search.Done():
			return nil, err
		case <-changed:
		}
	}
}

// bodyFromAny asks one peer after the other, the next one as soon as one has failed or been slow, and takes the first
// good answer.
func (n *Node) bodyFromAny(ctx context.Context, v trust.Verified) (*parsedBody, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id := v.Entry().Body
	candidates := n.peers.serving(v.Address(), &id)
	answers := make(chan *parsedBody, len(candidates)) // nil: in vain
	waiting := 0
	for _, r := range candidates {
		waiting++
		running := n.tasks.Go(func(context.Context) {
			b, err := n.bodyFrom(ctx, r, v)
			if err != nil && ctx.Err() == nil {
				n.fault(r, id, err)
				if errors.Is(err, context.DeadlineExceeded) {
					r.content.trip(n.Now())
				}
			}
			answers <- b
		})
		if !running {
			return nil, ErrOffline
		}
		patience := time.NewTimer(bodyPatience)
		select {
		case b := <-answers:
			patience.Stop()
			if waiting--; b != nil {
				return b, nil
			}
		case <-patience.C:
		case <-ctx.Done():
			patience.Stop()
			return nil, ctx.Err()
		}
	}
	for ; waiting > 0; waiting-- {
		select {
		case b := <-answers:
			if b != nil {
				return b, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, fmt.Errorf("%w: body of %s", ErrNoProvider, v.Path().Base())
}

// bodyTime is how long a peer that brings nothing else may take for the body of a NAR of that size, which is a 500th of it or less: as
// long as it may be silent, and what comes by 13 kB/s is waited for.
func bodyTime(narSize uint64) time.Duration {
	return min(hushTime+time.Duration(min(narSize/500, 1<<20))*time.Second/13_000, fetchTextTimeout)
}

// unlessSilent is ctx until r brings nothing for so long, neither this nor what else it was asked for: then it ends as one does whose
// deadline is over.
func (p *peers) unlessSilent(ctx context.Context, r *remote, limit time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	began := time.Now()
	var timer *time.Timer
	var armed sync.Mutex // until timer is known
	armed.Lock()
	defer armed.Unlock()
	timer = time.AfterFunc(limit, func() {
		armed.Lock()
		defer armed.Unlock()
		heard := p.heard(r)
		if heard.Before(began) {
			heard = began
		}
		switch left := limit - time.Since(heard); {
		case ctx.Err() != nil:
		case left > 0:
			timer.Reset(left)
		default:
			cancel(context.DeadlineExceeded)
		}
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// bodyFrom fetches the body from r and keeps it if the store has room.
func (n *Node) bodyFrom(ctx context.Context, r *remote, v trust.Verified) (*parsedBody, error) {
	id := v.Entry().Body
	ctx, cancel := context.WithTimeout(ctx, fetchTextTimeout)
	defer cancel()
	ctx, stop := n.peers.unlessSilent(ctx, r, bodyTime(v.Entry().NarSize))
	defer stop()
	raw, err := r.conn.Text(ctx, v.Address(), transfer.Body, id)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	if content.BodyID(sha256.Sum256(raw)) != id {
		return nil, lied(fmt.Errorf("body %s: other bytes came", id))
	}
	b, err := parse(id, raw)
	if err != nil {
		return nil, err // the namespace's signer named it: not the peer's lie
	}
	if err := n.keepBody(ctx, id, raw); err != nil && !errors.Is(err, store.ErrFull) {
		n.Log.Warn("keeping a body failed; it is used from memory", "body", id, "err", err) // not the peer's fault
	}
	n.bodies.put(b)
	return b, nil
}

func (n *Node) keepBody(ctx context.Context, id content.BodyID, raw []byte) error {
	batch, err := n.Store.Begin(ctx)
	if err != nil {
		return err
	}
	defer batch.Close()
	if err := store.Receive(ctx, batch, n.Codec, store.BodyKey(id), raw); err != nil {
		return err
	}
	return batch.Commit(ctx)
}

// fault draws the conclusion from an error of r about body id.
func (n *Node) fault(r *remote, id content.BodyID, err error) {
	switch {
	case isLie(err):
		n.ban(r, err.Error())
	default:
		n.peers.setAbsent(r, id)
	}
}

// secure makes body and chunks of v durable, whoever put them, and reports whether all of them are here. What Nix has is
// as durable as it gets, where nothing was promised.
func (n *Node) secure(ctx context.Context, v trust.Verified) (bool, error) {
	if n.placed(v.Address(), v.Entry().Body) {
		return n.whole(ctx, v), nil
	}
	b, err := n.localBody(ctx, v.Entry().Body)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	batch, err := n.Store.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer batch.Close()
	// The body may be in memory alone.
	if err := store.Receive(ctx, batch, n.Codec, store.BodyKey(b.id), b.body.Append(nil)); err != nil {
		return false, err
	}
	if has, err := hasAll(ctx, batch, b); err != nil || !has {
		return false, err
	}
	return true, batch.Commit(ctx)
}

// hasAll reports whether the body and all of its chunks are in what is asked: a store, or a batch, which then vouches for
// them. The body is asked for too: it may be in the cache alone.
func hasAll(ctx context.Context, in interface {
	Has(ctx context.Context, k store.Key) (bool, error)
}, b *parsedBody) (bool, error) {
	if has, err := in.Has(ctx, store.BodyKey(b.id)); err != nil || !has {
		return false, err
	}
	for _, c := range b.body.Chunks {
		if has, err := in.Has(ctx, store.ChunkKey(c.ID)); err != nil || !has {
			return false, err
		}
	}
	return true, nil
}

// provenHere reports whether the NAR of v was once assembled here with the right NarHash and is whole on disk.
func (n *Node) provenHere(ctx context.Context, v trust.Verified) bool {
	proven, err := n.Catalog.Proven(ctx, v)
	return err == nil && proven && n.whole(ctx, v)
}
