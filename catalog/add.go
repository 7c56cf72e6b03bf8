package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// Added is what became of a publication.
type Added struct {
	New      bool           // it was not here before
	Standing trust.Standing // what it counts for now; Live, until when, also if others keep it alive
	Missing  []namespace.ID // what it uses and is not here; ask for it, unless the document withdrew it
}

// Add takes a verified publication in, durably. It counts at once, as far as its
// standing goes: what it uses may come later, and until then only the closures
// that lead there are incomplete. One that is held, frozen or expired is kept,
// invisible, and appears when its time comes, when the document changes, or when
// a publication that uses it comes.
//
// What the present policy refuses is refused with its error, and what is over a
// bound with ErrLimit.
func (c *Catalog) Add(ctx context.Context, p trust.Publication) (Added, error) {
	return c.addAs(ctx, p, false)
}

// AddUnlisted is Add for a node that tells others only of what it holds. Here the
// publication counts as any. But Digest, Buckets, IDs and Changes do not know of
// it before [Catalog.List]. One that is listed already stays so.
func (c *Catalog) AddUnlisted(ctx context.Context, p trust.Publication) (Added, error) {
	return c.addAs(ctx, p, true)
}

func (c *Catalog) addAs(ctx context.Context, p trust.Publication, quiet bool) (Added, error) {
	if p.IsZero() {
		return Added{}, fmt.Errorf("add publication: %w", trust.ErrUntrusted)
	}
	added, err := c.add(ctx, p, manner{quiet: quiet, sync: true})
	if err != nil {
		return Added{}, fmt.Errorf("add publication %s: %w", p.ID().Short(), err)
	}
	return added, nil
}

// manner is how a publication is added.
type manner struct {
	again bool // one that is here is indexed anew
	quiet bool // it is not listed
	sync  bool // the index is on the disk when it is done
}

// add is Add.
func (c *Catalog) add(ctx context.Context, p trust.Publication, m manner) (Added, error) {
	f := factsOf(p)
	// The text is put before it is this publication's turn, so that several can
	// share the disk's time. One that is refused in between is left over, as
	// one that expires later is.
	if added, here, err := c.admit(p, f); err != nil || here && !m.again && !c.unsynced.Load() {
		return added, err
	}
	if err := c.texts.PutText(ctx, TextPublication, p.Raw()); err != nil {
		return Added{}, err
	}
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return Added{}, err
	}
	defer unlock()
	added, here, err := c.admit(p, f)
	if err != nil {
		return added, err
	}
	if here && !m.again {
		if c.unsynced.Load() {
			err = c.syncIndex()
		}
		return added, err
	}
	return c.write(p, f, here, m)
}

// admit says whether a publication may be added, and what is known when it is
// here already.
func (c *Catalog) admit(p trust.Publication, f *facts) (added Added, here bool, err error) {
	s, unlock, err := c.reading(p.Value().Namespace)
	if err != nil {
		return Added{}, false, err
	}
	defer unlock()
	if old := s.graph.pubs[f.id]; old != nil && old.here() {
		return s.added(old), true, nil
	}
	if s.policy == nil {
		return Added{}, false, errNoDocument(s.address)
	}
	if standing := p.Standing(s.policy, c.clock()); standing.State == trust.Refused {
		return Added{}, false, standing.Err
	}
	_, err = s.graph.room(f, c.limits)
	return Added{}, false, err
}

// write puts an admitted publication into the index, then into memory. The
// caller holds writing, so that nothing changes meanwhile but the time.
func (c *Catalog) write(p trust.Publication, f *facts, here bool, m manner) (Added, error) {
	s, unlock, err := c.reading(p.Value().Namespace)
	if err != nil {
		return Added{}, err
	}
	var gone []*publication
	f.received = c.clock().Unix()
	if here {
		f.received = s.graph.pubs[f.id].received
	} else {
		gone, err = s.graph.room(f, c.limits)
	}
	unlock()
	if err != nil {
		return Added{}, err
	}
	ops, err := c.unindexOps(s, gone, p.Value())
	if err != nil {
		return Added{}, err
	}
	ops = append(ops, s.id.indexOps(p, f)...)
	if f.received > 0 {
		var w writer
		w.uint(uint64(f.received))
		ops = append(ops, put(s.id.receivedKey(f.id), w))
	}
	quiet := m.quiet && !here
	if quiet {
		ops = append(ops, put(s.id.unlistedKey(f.id), nil))
	}
	if err := c.kv.Apply(ops, m.sync); err != nil {
		return Added{}, err
	}
	return c.remember(s, p, f, gone, here, quiet), nil
}

// remember makes memory follow what was written.
func (c *Catalog) remember(s *space, p trust.Publication, f *facts, gone []*publication, here, quiet bool) Added {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := s.graph.version
	for _, g := range gone {
		s.graph.remove(g)
	}
	added := Added{}
	if here {
		added = s.added(s.graph.pubs[f.id])
	} else {
		n := s.graph.insert(f)
		n.quiet = quiet
		s.graph.settle(n)
		added = s.added(n)
		added.New = true
	}
	for i := range p.Value().Entries {
		h := p.Value().Entries[i].Path.Hash()
		s.sketch.add(h)
		c.cache.drop(s.id, h)
	}
	if s.graph.version != before {
		c.changed(s)
	}
	c.bound(c.clock())
	return added
}

// added says how a publication that is here stands.
func (s *space) added(p *publication) Added {
	a := Added{Standing: s.standing(p)}
	for _, used := range p.uses {
		if !used.here() && !s.withdrawn(used.id) {
			a.Missing = append(a.Missing, used.id)
		}
	}
	return a
}

func (s *space) withdrawn(id namespace.ID) bool {
	if s.policy == nil {
		return false
	}
	d, ok := s.policy.Document()
	if !ok {
		return false
	}
	_, found := slices.BinarySearchFunc(d.Value().Withdrawn, id, func(w namespace.Withdrawal, id namespace.ID) int {
		return w.Publication.Compare(id)
	})
	return found
}
