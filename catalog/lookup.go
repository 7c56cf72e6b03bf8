package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// Lookup returns the acceptable entries for a path, the preferred one first:
// those that were proven here, the earliest before others, then the root's
// before writers' in the document's order, then the newest publication's. Of
// entries by one signer that say the same of the content there is one; there are
// at most MaxAnswers.
//
// ErrNotFound says that there is none, or no such namespace. Any other error
// leaves that open.
func (c *Catalog) Lookup(ctx context.Context, a namespace.Address, h nix.PathHash) ([]trust.Verified, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := c.lookup(a, h)
	if err != nil {
		return nil, err
	}
	if len(found.entries) == 0 {
		return nil, ErrNotFound
	}
	return slices.Clone(found.entries), nil
}

// lookup returns the answer for a path, which may be empty.
func (c *Catalog) lookup(a namespace.Address, h nix.PathHash) (*answer, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	key := cacheKey{s.id, h}
	found, ticket := c.cache.get(key)
	stands := found != nil && found.stands(s.policy)
	unlock()
	if stands {
		return found, nil
	}
	if _, err := c.kv.Get(s.id.listedKey(h)); err != nil {
		if errors.Is(err, ErrNotFound) {
			return &answer{}, nil
		}
		return nil, err
	}
	found, err = c.answer(s, h)
	if err != nil {
		return nil, err
	}
	c.cache.put(key, found, ticket)
	return found, nil
}

// candidate is an alive lister's entry on its way into an answer.
type candidate struct {
	id     namespace.ID
	signer nix.PublicKey
	time   int64
	entry  *namespace.Entry
	fact   factID
	proven int64 // when, in nanoseconds; 0: never
	claim  trust.Verified
}

// answer makes the answer for a path from the index. Entries that cannot be read
// count as an error only if nothing else is there to answer with.
func (c *Catalog) answer(s *space, h nix.PathHash) (*answer, error) {
	ids, err := c.listers(s, h)
	if err != nil {
		return nil, err
	}
	a, candidates := c.candidates(s, ids)
	for i := range candidates {
		more := c.read(s, h, &candidates[i])
		err = errors.Join(err, more)
	}
	candidates = slices.DeleteFunc(candidates, func(x candidate) bool { return x.entry == nil })
	if more := c.proofs(s, h, candidates); more != nil {
		return nil, more
	}
	more := a.fill(candidates)
	if err = errors.Join(err, more); err != nil {
		c.log.Error("entry unreadable", "namespace", s.address.String(), "path", h.String(), "err", err)
		if len(a.entries) == 0 {
			return nil, err
		}
	}
	return a, nil
}

// candidates notes how the listers of a path stand, and which are alive.
func (c *Catalog) candidates(s *space, ids []namespace.ID) (*answer, []candidate) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	a := &answer{policy: s.policy}
	var alive []candidate
	if s.policy != nil && s.policy.Upstream() {
		return a, []candidate{{signer: s.address.Key()}}
	}
	for _, id := range ids {
		p := s.graph.pubs[id]
		if p == nil || !p.here() {
			continue // left over by a write that failed, or just being added
		}
		a.listers = append(a.listers, lister{p, p.alive})
		if p.alive {
			alive = append(alive, candidate{id: id, signer: p.signer.key, time: p.time})
		}
	}
	return a, alive
}

// read gives a candidate its entry, unless it was distrusted.
func (c *Catalog) read(s *space, h nix.PathHash, x *candidate) error {
	e, err := c.entry(s, x.id, h)
	if err != nil || e == nil {
		return err
	}
	fact := factOf(e)
	distrusted, err := c.distrusted(s, x.id, h, fact)
	if err != nil || distrusted {
		return err
	}
	x.entry, x.fact = e, fact
	return nil
}

// entry returns the entry for a path in a publication, or nil if that is not
// alive and the index no longer has it.
func (c *Catalog) entry(s *space, id namespace.ID, h nix.PathHash) (*namespace.Entry, error) {
	v, err := c.kv.Get(s.id.entryKey(id, h))
	if errors.Is(err, ErrNotFound) {
		if !c.alive(s, id) {
			return nil, nil
		}
		return nil, fmt.Errorf("%w: publication %s has lost its entry", ErrDamaged, id.Short())
	}
	if err != nil {
		return nil, err
	}
	return decodeEntry(v)
}

// proofs notes when candidates were proven.
func (c *Catalog) proofs(s *space, h nix.PathHash, candidates []candidate) error {
	if len(candidates) < 2 {
		return nil // the order is clear
	}
	return c.kv.Scan(s.id.provensKey(h), nil, func(k, v []byte) (bool, error) {
		var path nix.PathHash
		var fact factID
		if err := fields(k, path[:], fact[:]); err != nil {
			return false, err
		}
		r := reader{rest: v}
		at := int64(r.uint())
		for i := range candidates {
			if candidates[i].fact == fact {
				candidates[i].proven = at
			}
		}
		return true, r.end()
	})
}

// fill verifies candidates and takes them in, in their order.
func (a *answer) fill(candidates []candidate) error {
	// The newest of those that say the same under one key stands for them, so
	// that a publisher who lists a path daily costs one signature check.
	slices.SortFunc(candidates, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(y.time, x.time), x.id.Compare(y.id))
	})
	type same struct {
		signer nix.PublicKey
		fact   factID
	}
	seen := make(map[same]bool, len(candidates))
	var err error
	taken := candidates[:0]
	for _, x := range candidates {
		if seen[same{x.signer, x.fact}] {
			continue
		}
		v, refusal := a.policy.Recall(x.entry, x.id, x.signer)
		if refusal != nil {
			var r *trust.Refusal
			if !errors.As(refusal, &r) || r.Why != trust.Denied {
				err = errors.Join(err, fmt.Errorf("%w: entry of publication %s: %w", ErrDamaged, x.id.Short(), refusal))
			}
			continue
		}
		seen[same{x.signer, x.fact}] = true
		x.claim = v
		taken = append(taken, x)
	}
	slices.SortStableFunc(taken, func(x, y candidate) int {
		return cmp.Or(
			cmp.Compare(uint64(x.proven-1), uint64(y.proven-1)), // never comes last
			cmp.Compare(x.claim.Seniority(), y.claim.Seniority()),
		)
	})
	for _, x := range taken[:min(len(taken), MaxAnswers)] {
		a.entries = append(a.entries, x.claim)
		a.size += sizeOf(x.entry)
	}
	a.size += 200 + 16*len(a.listers)
	return err
}

// sizeOf is about how much memory an entry takes, in bytes.
func sizeOf(e *namespace.Entry) int {
	n := 400 + 20*len(e.Slots) + len(e.Deriver)
	for _, ref := range e.References {
		n += 36 + len(ref.Name())
	}
	for _, sig := range e.Sigs {
		n += 80 + len(sig.Name)
	}
	for _, line := range e.Unknown {
		n += 16 + len(line)
	}
	return n
}

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

func (c *Catalog) alive(s *space, id namespace.ID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return s.lives(id)
}

// lives reports whether the publication is alive; an upstream's entries, which
// stand in none, always are.
func (s *space) lives(id namespace.ID) bool {
	if id.IsZero() {
		return s.policy != nil && s.policy.Upstream()
	}
	p := s.graph.pubs[id]
	return p != nil && p.alive
}

// gives reports whether Lookup of a path would give an entry with that body.
func (c *Catalog) gives(a namespace.Address, h nix.PathHash, b content.BodyID) (bool, error) {
	found, err := c.lookup(a, h)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(found.entries, func(v trust.Verified) bool { return v.Entry().Body == b }), nil
}
