package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// Cursor is a place in a catalog's order of arrival.
type Cursor struct {
	Epoch [16]byte // random, of one opening of one catalog: numbers of another mean nothing
	Seq   uint64
}

// Digest stands for the publications that are alive in a namespace: those that
// the policy accepts, whose time has come, and that have not expired or are kept
// alive by others. Nodes that hold the same texts and the same document have the
// same set, in whatever order the texts came.
func (c *Catalog) Digest(ctx context.Context, a namespace.Address) (Digest, error) {
	c.tick()
	c.mu.Lock() // the set remembers its digest
	defer c.mu.Unlock()
	s := c.spaces[a]
	if s == nil {
		return Digest{}, errNoNamespace(a)
	}
	return s.graph.set.sum(), nil
}

// Buckets returns the digests of the set's parts, by the first byte of the ids.
func (c *Catalog) Buckets(ctx context.Context, a namespace.Address) (buckets [256]Digest, err error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return buckets, err
	}
	defer unlock()
	for b := range buckets {
		buckets[b] = digestOf(s.graph.set.bucket(byte(b)))
	}
	return buckets, nil
}

// IDs returns the set's ids that begin with bucket, in rising order.
func (c *Catalog) IDs(ctx context.Context, a namespace.Address, bucket byte) ([]namespace.ID, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return slices.Clone(s.graph.set.bucket(bucket)), nil
}

// Changes returns up to limit ids of publications that became alive after since,
// in that order, and the cursor to go on from. known is false when since is not
// of this catalog's present epoch; then there are no ids, and next is where the
// order ends now. What stopped being alive is not told: documents and the time
// say so to everybody.
func (c *Catalog) Changes(ctx context.Context, a namespace.Address, since Cursor, limit int) (ids []namespace.ID, next Cursor, known bool, err error) {
	if limit < 1 {
		return nil, Cursor{}, false, fmt.Errorf("changes: a limit of %d", limit)
	}
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, Cursor{}, false, err
	}
	defer unlock()
	end := s.graph.order.last
	if since.Epoch != c.epoch || since.Seq > end {
		return nil, Cursor{c.epoch, end}, false, nil
	}
	ids, seq := s.graph.order.since(since.Seq, limit)
	return ids, Cursor{c.epoch, seq}, true, nil
}

// End returns where the order of arrival ends now.
func (c *Catalog) End(ctx context.Context, a namespace.Address) (Cursor, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return Cursor{}, err
	}
	defer unlock()
	return Cursor{c.epoch, s.graph.order.last}, nil
}

// Knows reports whether a publication is here, whatever it counts for: whether
// there is no need to fetch it.
func (c *Catalog) Knows(ctx context.Context, a namespace.Address, id namespace.ID) (bool, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return false, err
	}
	defer unlock()
	p := s.graph.pubs[id]
	return p != nil && p.here(), nil
}

// Publication returns the text of a publication that is alive, with its
// signature. Of others it says ErrNotFound.
func (c *Catalog) Publication(ctx context.Context, a namespace.Address, id namespace.ID) ([]byte, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	alive := !id.IsZero() && s.lives(id)
	unlock()
	if !alive {
		return nil, fmt.Errorf("publication %s: %w", id.Short(), ErrNotFound)
	}
	return c.texts.Text(ctx, TextPublication, id)
}

// KeepList returns the text of a kept list that the namespace's document names.
// Of others it says ErrNotFound.
func (c *Catalog) KeepList(ctx context.Context, a namespace.Address, id namespace.ID) ([]byte, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	named := slices.Contains(s.record.lists, id)
	unlock()
	if !named {
		return nil, fmt.Errorf("kept list %s: %w", id.Short(), ErrNotFound)
	}
	return c.texts.Text(ctx, TextKeepList, id)
}

// LivesUntil returns when an entry's publication will expire, if no other that
// uses it comes. ErrNotFound says that it is not alive.
func (c *Catalog) LivesUntil(v trust.Verified) (time.Time, error) {
	if v.IsZero() {
		return time.Time{}, trust.ErrUntrusted
	}
	s, unlock, err := c.reading(v.Address())
	if err != nil {
		return time.Time{}, err
	}
	defer unlock()
	p := s.graph.pubs[v.Publication()]
	if p == nil || !p.alive {
		return time.Time{}, fmt.Errorf("publication %s: %w", v.Publication().Short(), ErrNotFound)
	}
	return time.Unix(p.life, 0).UTC(), nil
}
