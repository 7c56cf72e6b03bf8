package catalog

import (
	"context"
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
)

// Forget takes a namespace out of the catalog, durably, and with it all that was
// proven or distrusted there. The highest serial stays on record, so that an
// older document is refused even if the namespace comes back. The texts are the
// store's to collect.
func (c *Catalog) Forget(ctx context.Context, a namespace.Address) error {
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, unread, err := c.reading(a)
	if err != nil {
		return err
	}
	unread()
	r := s.record
	r.left = true
	r.lists = nil
	if err := c.kv.Apply(append(s.wipe(), put(s.id.key(keyNamespace), r.encode())), true); err != nil {
		return fmt.Errorf("forget %s: %w", a, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.spaces, a)
	c.left[a] = r
	s.policy = nil // for those who still hold it
	s.graph = newGraph(s.judge)
	c.changed(s)
	return nil
}

// Drop takes a publication that is not alive out of the index, durably: an
// expired one whose time of grace is over, or one that the document refuses. If
// another publication uses it, it will be asked for again. It is an error to
// drop one that is alive or held, and none to drop what is not here.
func (c *Catalog) Drop(ctx context.Context, a namespace.Address, id namespace.ID) error {
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, unread, err := c.reading(a)
	if err != nil {
		return err
	}
	p := s.graph.pubs[id]
	here := p != nil && p.here()
	keeps := here && (p.alive || p.verdict == held || p.verdict == frozen)
	unread()
	if keeps {
		return fmt.Errorf("drop publication %s: it is alive, or will be", id.Short())
	}
	if !here {
		return nil
	}
	ops, err := c.unindexOps(s, []*publication{p}, nil)
	if err != nil {
		return err
	}
	if err := c.kv.Apply(ops, true); err != nil {
		return fmt.Errorf("drop publication %s: %w", id.Short(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := s.graph.version
	s.graph.remove(p)
	if s.graph.version != before {
		c.changed(s)
	}
	return nil
}
