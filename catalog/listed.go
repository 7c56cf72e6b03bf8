package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// List makes others be told of publications that were added unlisted, durably.
// Those that are listed are passed over; ErrNotFound says that one is not here,
// and then none is changed.
func (c *Catalog) List(ctx context.Context, a namespace.Address, ids ...namespace.ID) error {
	return c.setQuiet(ctx, a, ids, false)
}

// Unlist is the opposite of List: others are told of these publications no more.
func (c *Catalog) Unlist(ctx context.Context, a namespace.Address, ids ...namespace.ID) error {
	return c.setQuiet(ctx, a, ids, true)
}

func (c *Catalog) setQuiet(ctx context.Context, a namespace.Address, ids []namespace.ID, quiet bool) error {
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, unread, err := c.reading(a)
	if err != nil {
		return err
	}
	var ops []Op
	for _, id := range ids {
		p := s.graph.pubs[id]
		if p == nil || !p.here() {
			unread()
			return fmt.Errorf("list publication %s: %w", id.Short(), ErrNotFound)
		}
		switch {
		case p.quiet == quiet:
		case quiet:
			ops = append(ops, put(s.id.unlistedKey(id), nil))
		default:
			ops = append(ops, remove(s.id.unlistedKey(id)))
		}
	}
	unread()
	if len(ops) == 0 {
		return nil
	}
	if err := c.kv.Apply(ops, true); err != nil {
		return fmt.Errorf("list publications: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := s.graph.version
	for _, id := range ids {
		if p := s.graph.pubs[id]; p != nil && p.here() {
			p.quiet = quiet
			if s.graph.tell(p) {
				s.graph.version++
			}
		}
	}
	if s.graph.version != before {
		c.changed(s)
	}
	return nil
}

// Unlisted returns the publications that are alive and unlisted, those that came
// first before others.
func (c *Catalog) Unlisted(ctx context.Context, a namespace.Address) ([]namespace.ID, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s.graph.living == len(s.graph.set.ids) {
		return nil, nil
	}
	var quiet []*publication
	for _, p := range s.graph.pubs {
		if p.alive && p.quiet {
			quiet = append(quiet, p)
		}
	}
	slices.SortFunc(quiet, func(a, b *publication) int {
		return cmp.Or(cmp.Compare(a.received, b.received), cmp.Compare(a.time, b.time), a.id.Compare(b.id))
	})
	ids := make([]namespace.ID, len(quiet))
	for i, p := range quiet {
		ids[i] = p.id
	}
	return ids, nil
}

// loadUnlisted notes what the index says to be unlisted.
func (c *Catalog) loadUnlisted(s *space) error {
	return c.kv.Scan(s.id.key(keyUnlisted), nil, func(k, _ []byte) (bool, error) {
		var id namespace.ID
		if err := fields(k, id[:]); err != nil {
			return false, err
		}
		if p := s.graph.pubs[id]; p != nil && p.here() {
			p.quiet = true
		}
		return true, nil
	})
}

// loadReceived notes when publications came.
func (c *Catalog) loadReceived(s *space) error {
	return c.kv.Scan(s.id.key(keyReceived), nil, func(k, v []byte) (bool, error) {
		var id namespace.ID
		if err := fields(k, id[:]); err != nil {
			return false, err
		}
		r := reader{rest: v}
		at := int64(r.uint())
		if p := s.graph.pubs[id]; p != nil && p.here() {
			p.received = at
		}
		return true, r.end()
	})
}

// Users returns the publications here that use one.
func (c *Catalog) Users(ctx context.Context, a namespace.Address, id namespace.ID) ([]namespace.ID, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p := s.graph.pubs[id]
	if p == nil {
		return nil, nil
	}
	ids := make([]namespace.ID, len(p.users))
	for i, user := range p.users {
		ids[i] = user.id
	}
	return ids, nil
}

// PublicationEntries returns the entries of a publication that is alive, but for
// those that the document denies. Each is verified. ErrDistrusted says that the
// content of one was found wrong here.
func (c *Catalog) PublicationEntries(ctx context.Context, a namespace.Address, id namespace.ID) ([]trust.Verified, error) {
	raw, err := c.Publication(ctx, a, id)
	if err != nil {
		return nil, err
	}
	policy, ok := c.Policy(a)
	if !ok {
		return nil, errNoDocument(a)
	}
	p, err := policy.VerifyPublication(raw)
	if err != nil {
		return nil, fmt.Errorf("publication %s: %w", id.Short(), err)
	}
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	unlock()
	entries := make([]trust.Verified, 0, len(p.Entries()))
	for _, v := range p.Entries() {
		bad, err := c.distrusted(s, id, v.Path().Hash(), factOf(v.Entry()))
		if err != nil {
			return nil, err
		}
		if bad {
			return nil, fmt.Errorf("%w: %s in publication %s", ErrDistrusted, v.Path().Base(), id.Short())
		}
		entries = append(entries, v)
	}
	return entries, nil
}

// RawPublication returns the text of a publication, whatever it counts for: for
// this node's own use.
func (c *Catalog) RawPublication(ctx context.Context, a namespace.Address, id namespace.ID) ([]byte, error) {
	if known, err := c.Knows(ctx, a, id); err != nil || !known {
		return nil, fmt.Errorf("publication %s: %w", id.Short(), cmp.Or(err, ErrNotFound))
	}
	return c.texts.Text(ctx, TextPublication, id)
}

// Documents returns the text of the document in force and, when the root signed
// another one with the same serial, of that: nil when it is not here.
func (c *Catalog) Documents(ctx context.Context, a namespace.Address) (followed, rival []byte, err error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, nil, err
	}
	record := s.record
	unlock()
	if followed, err = c.texts.Text(ctx, TextDocument, record.document); err != nil || record.rival.IsZero() {
		return followed, nil, err
	}
	rival, err = c.texts.Text(ctx, TextDocument, record.rival)
	if err != nil {
		return followed, nil, nil // it was seen, and not kept
	}
	return followed, rival, nil
}
