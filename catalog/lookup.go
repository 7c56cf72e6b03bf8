package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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
	if !s.sketch.has(h) {
		unlock()
		return &answer{}, nil
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
	listing
	signer nix.PublicKey
	time   int64
	proven int64 // when, in nanoseconds; 0: never
	claim  trust.Verified
}

// never comes last when proofs are compared.
func (x *candidate) provenAt() uint64 { return uint64(x.proven - 1) }

// answer makes the answer for a path from the index. However often somebody
// lists a path, few entries are read and few signatures checked.
func (c *Catalog) answer(s *space, h nix.PathHash) (*answer, error) {
	raw, err := c.rawListings(s, h)
	if err != nil {
		return nil, err
	}
	a, candidates, err := c.candidates(s, raw)
	if err != nil {
		return nil, err
	}
	if err := c.proofs(s, h, candidates); err != nil {
		return nil, err
	}
	taken, err := c.choose(s, a.policy, candidates)
	if err != nil {
		// Something else may be there to answer with.
		c.log.Error("entry unreadable", "namespace", s.address.String(), "path", h.String(), "err", err)
		if len(taken) == 0 {
			return nil, err
		}
	}
	slices.SortStableFunc(taken, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.provenAt(), y.provenAt()), cmp.Compare(x.claim.Seniority(), y.claim.Seniority()))
	})
	a.take(taken[:min(len(taken), MaxAnswers)])
	return a, nil
}

// candidates notes how the listers of a path stand, and returns what those say
// that are alive.
func (c *Catalog) candidates(s *space, raw []rawListing) (*answer, []candidate, error) {
	c.mu.RLock()
	a := &answer{policy: s.policy}
	all := make([]candidate, 0, len(raw))
	values := make([][]byte, 0, len(raw))
	for _, l := range raw {
		x := candidate{listing: l.listing, signer: s.address.Key()}
		if p := s.graph.pubs[l.id]; p != nil && p.here() {
			a.listers = append(a.listers, lister{p, p.alive})
			x.signer, x.time = p.signer.key, p.time
		}
		if s.lives(l.id) { // if not, it may also be left over by a write that failed
			all, values = append(all, x), append(values, l.value)
		}
	}
	c.mu.RUnlock()
	for i, v := range values {
		if err := all[i].decode(v); err != nil {
			return nil, nil, err
		}
	}
	return a, all, nil
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

// choose verifies candidates: for each signer up to MaxAnswers that differ in
// what they say of the content, those proven before others, then the newest. The
// newest of those that say the same stands for them. The error is of entries
// that could not be read, and were left out.
func (c *Catalog) choose(s *space, policy *trust.Policy, candidates []candidate) (taken []candidate, err error) {
	slices.SortFunc(candidates, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(x.provenAt(), y.provenAt()), cmp.Compare(y.time, x.time), x.id.Compare(y.id))
	})
	type statement struct {
		signer nix.PublicKey
		fact   factID
	}
	said := make(map[statement]bool, len(candidates))
	count := make(map[nix.PublicKey]int)
	for _, x := range candidates {
		if said[statement{x.signer, x.fact}] || count[x.signer] == MaxAnswers {
			continue
		}
		usable, more := c.verify(s, policy, &x)
		err = errors.Join(err, more)
		if usable {
			said[statement{x.signer, x.fact}] = true
			count[x.signer]++
			taken = append(taken, x)
		}
	}
	return taken, err
}

// verify reads a candidate's entry and lets trust judge it, unless it is denied
// or distrusted.
func (c *Catalog) verify(s *space, policy *trust.Policy, x *candidate) (usable bool, err error) {
	if usable, err := c.usable(s, &x.listing); err != nil || !usable {
		return false, err
	}
	e, err := c.entry(s, x.id, x.path)
	if err != nil || e == nil {
		return false, err
	}
	if factOf(e) != x.fact {
		return false, fmt.Errorf("%w: publication %s lists another entry than it has", ErrDamaged, x.id.Short())
	}
	x.claim, err = policy.Recall(e, x.id, x.signer)
	var refusal *trust.Refusal
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &refusal) && refusal.Why == trust.Denied:
		return false, nil
	}
	return false, fmt.Errorf("%w: entry of publication %s: %w", ErrDamaged, x.id.Short(), err)
}

// usable reports whether an entry is neither denied nor distrusted. Its signature
// was checked when it came, and will be when it is served.
func (c *Catalog) usable(s *space, l *listing) (bool, error) {
	c.mu.RLock()
	denied := s.denied[denial{l.path, l.hash}]
	c.mu.RUnlock()
	if denied {
		return false, nil
	}
	distrusted, err := c.distrusted(s, l.id, l.path, l.fact)
	return !distrusted, err
}

// take fills an answer.
func (a *answer) take(taken []candidate) {
	a.size = 200 + 16*len(a.listers)
	for _, x := range taken {
		a.entries = append(a.entries, x.claim)
		a.size += sizeOf(x.claim.Entry())
	}
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
