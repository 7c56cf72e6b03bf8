package catalog

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// Keep remembers a verified entry of an upstream namespace, which has no
// publications, so that Lookup finds it. There is one entry for a path; one that
// was proven is not replaced. It is a cache: a crash may lose the last ones, and
// beyond MaxKept others make room, taken by chance.
func (c *Catalog) Keep(ctx context.Context, v trust.Verified) error {
	if v.IsZero() {
		return fmt.Errorf("keep entry: %w", trust.ErrUntrusted)
	}
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.keep(v); err != nil {
		return fmt.Errorf("keep %s of %s: %w", v.Path().Base(), v.Address().Name(), err)
	}
	return nil
}

func (c *Catalog) keep(v trust.Verified) error {
	s, ops, err := c.upstream(v.Address())
	if err != nil {
		return err
	}
	begins := ops != nil
	h := v.Path().Hash()
	old, keeps, err := c.replaceOps(s, h)
	if err != nil || keeps {
		return err
	}
	ops = append(ops, old...)
	ops = append(ops, s.id.entryOps(namespace.ID{}, v.Entry(), nil)...)
	if err := c.kv.Apply(ops, begins); err != nil {
		return err
	}
	if begins {
		c.install(s, trust.NewUpstreamPolicy(s.address), namespaceRecord{address: s.address, upstream: true})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old == nil && s.kept > 0 {
		s.kept++
	}
	s.graph.version++
	s.sketch.add(h)
	c.cache.drop(s.id, h)
	c.changed(s)
	return nil
}

// upstream returns the space of an upstream namespace, with room in it, and, if
// there was none, what begins it in the index.
func (c *Catalog) upstream(a namespace.Address) (*space, []Op, error) {
	s, r, err := c.place(a)
	switch {
	case err != nil:
		return nil, nil, err
	case r.serial > 0:
		return nil, nil, fmt.Errorf("it has a document: entries stand in publications there")
	case s.policy != nil:
		return s, nil, c.trim(s)
	}
	r.upstream, r.left = true, false
	return s, []Op{put(s.id.key(keyNamespace), r.encode())}, nil
}

// replaceOps take out the entry that is kept for a path, if there is one, unless
// it keeps its place.
func (c *Catalog) replaceOps(s *space, h nix.PathHash) (ops []Op, keeps bool, err error) {
	if kept, err := c.has(s.id.listedKey(h)); err != nil || !kept {
		return nil, false, err
	}
	old, err := c.entry(s, namespace.ID{}, h)
	if err != nil {
		return nil, false, err
	}
	if proven, err := c.has(s.id.provenKey(h, factOf(old))); err != nil || proven {
		return nil, proven, err
	}
	ops, err = c.unlistOps(s, namespace.ID{}, old, true)
	return ops, false, err
}

// trim makes room in a full upstream namespace: a page of entries from some
// place in the order of their hashes goes.
func (c *Catalog) trim(s *space) error {
	if err := c.countKept(s); err != nil {
		return err
	}
	if s.kept < c.limits.kept {
		return nil
	}
	var some nix.PathHash
	rand.Read(some[:])
	gone, err := c.keptFrom(s, some)
	if err == nil && len(gone) == 0 {
		gone, err = c.keptFrom(s, nix.PathHash{})
	}
	if err != nil {
		return err
	}
	var ops []Op
	for _, e := range gone {
		more, err := c.unlistOps(s, namespace.ID{}, e, false)
		if err != nil {
			return err
		}
		ops = append(ops, more...)
	}
	if err := c.kv.Apply(ops, false); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.kept -= len(gone)
	s.graph.version++
	s.graph.losses++
	for _, e := range gone {
		c.cache.drop(s.id, e.Path.Hash())
	}
	c.changed(s)
	return nil
}

// countKept counts the entries of an upstream namespace, once.
func (c *Catalog) countKept(s *space) error {
	if s.kept != 0 {
		return nil
	}
	n := 0
	for _, err := range c.paths(s) {
		if err != nil {
			return err
		}
		n++
	}
	s.kept = n
	return nil
}

// keptFrom returns a page of the kept entries from a hash on.
func (c *Catalog) keptFrom(s *space, from nix.PathHash) ([]*namespace.Entry, error) {
	var page []*namespace.Entry
	none := namespace.ID{}
	err := c.kv.Scan(s.id.entriesKey(none), s.id.entryKey(none, from), func(_, v []byte) (bool, error) {
		e, err := decodeEntry(v)
		page = append(page, e)
		return len(page) < min(pageSize, 1+c.limits.kept/8), err
	})
	return page, err
}
