package catalog

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// HasBody reports whether a body belongs to an acceptable entry of a namespace:
// whether who may ask about the namespace may have it.
func (c *Catalog) HasBody(ctx context.Context, a namespace.Address, b content.BodyID) (bool, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	unlock()
	for from := []byte(nil); ; {
		page, next, err := c.listersOfBody(s, b, from)
		if err != nil {
			return false, err
		}
		for _, x := range page {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if has, err := c.gives(a, x, b); err != nil || has {
				return has, err
			}
		}
		if next == nil {
			return false, nil
		}
		from = next
	}
}

// listersOfBody returns a page of the paths whose content a body is, and which
// publications that are alive say so; next is nil at the end.
func (c *Catalog) listersOfBody(s *space, b content.BodyID, from []byte) (page []nix.PathHash, next []byte, err error) {
	n := 0
	var ids []namespace.ID
	err = c.kv.Scan(s.id.bodiesKey(b), from, func(k, _ []byte) (bool, error) {
		if n++; n > pageSize {
			next = slices.Clone(k)
			return false, nil
		}
		var body content.BodyID
		var id namespace.ID
		var path nix.PathHash
		err := fields(k, body[:], id[:], path[:])
		ids, page = append(ids, id), append(page, path)
		return true, err
	})
	c.mu.RLock()
	defer c.mu.RUnlock()
	alive := page[:0]
	for i, id := range ids {
		if s.lives(id) {
			alive = append(alive, page[i])
		}
	}
	return alive, next, err
}

// gives reports whether Lookup of a path would give an entry with that body.
func (c *Catalog) gives(a namespace.Address, h nix.PathHash, b content.BodyID) (bool, error) {
	found, err := c.lookup(a, h)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(found.entries, func(v trust.Verified) bool { return v.Entry().Body == b }), nil
}

// BodyUse is one reason to keep a body.
type BodyUse struct {
	Body        content.BodyID
	Path        nix.PathHash
	Publication namespace.ID
	Lives       time.Time // of the publication; past: it expired then; zero: it is refused, or its time has not come
	Alive       bool
}

// Bodies yields all bodies that entries of a namespace name, with what says so,
// once for each entry. The uses of one body come together. An error ends the
// sequence.
func (c *Catalog) Bodies(ctx context.Context, a namespace.Address) iter.Seq2[BodyUse, error] {
	return func(yield func(BodyUse, error) bool) {
		s, unlock, err := c.reading(a)
		if err != nil {
			yield(BodyUse{}, err)
			return
		}
		unlock()
		for from := []byte(nil); ; {
			page, next, err := c.bodyPage(s, from)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(BodyUse{}, err)
				return
			}
			for _, use := range page {
				if !yield(use, nil) {
					return
				}
			}
			if next == nil {
				return
			}
			from = next
		}
	}
}

func (c *Catalog) bodyPage(s *space, from []byte) (page []BodyUse, next []byte, err error) {
	var ids []namespace.ID
	err = c.kv.Scan(s.id.key(keyBody), from, func(k, _ []byte) (bool, error) {
		if len(page) == pageSize {
			next = slices.Clone(k)
			return false, nil
		}
		var use BodyUse
		err := fields(k, use.Body[:], use.Publication[:], use.Path[:])
		page, ids = append(page, use), append(ids, use.Publication)
		return true, err
	})
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i, id := range ids {
		page[i].Alive = s.lives(id)
		if p := s.graph.pubs[id]; p != nil && p.life > 0 {
			page[i].Lives = time.Unix(p.life, 0).UTC()
		}
	}
	return page, next, err
}
