package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// Adopt makes a namespace follow d, with the kept lists that d names, and judges
// all publications anew. It is durable when it returns. The document in force
// may be adopted again.
//
// A document with a lower serial than one that was ever adopted is refused with
// ErrRollback, also after a restart and after Forget. Of two documents with one
// serial the larger id is followed, the other one refused with ErrRollback, and
// either way [Stats] shows the rival until a higher serial comes. A document
// dated too far ahead is refused as trust refuses what is FutureDated: adopting
// it would move the namespace's time.
func (c *Catalog) Adopt(ctx context.Context, d trust.Document, lists []*namespace.KeepList) error {
	policy, err := trust.NewPolicy(d, lists)
	if err != nil {
		return fmt.Errorf("adopt document: %w", err)
	}
	if err := c.adopt(ctx, d, policy, lists); err != nil {
		return fmt.Errorf("adopt document %s of %s: %w", d.ID().Short(), policy.Address().Name(), err)
	}
	return nil
}

func (c *Catalog) adopt(ctx context.Context, d trust.Document, policy *trust.Policy, lists []*namespace.KeepList) error {
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	c.tick()
	s, old, err := c.place(policy.Address())
	if err != nil {
		return err
	}
	next, follow, err := succeed(old, d)
	if err != nil {
		return err
	}
	if !follow {
		// It is kept, too, to be shown to people: the last one of its serial.
		if err := c.texts.PutText(ctx, TextDocument, d.Raw()); err != nil {
			return err
		}
		return c.noteRival(s, next)
	}
	if next.equal(old) && s.policy != nil {
		return nil
	}
	if err := c.early(s, d); err != nil {
		return err
	}
	next.lists, err = c.putDocument(ctx, d, lists)
	if err != nil {
		return err
	}
	ops := []Op{put(s.id.key(keyNamespace), next.encode())}
	if old.upstream { // a document makes it a namespace of publications
		ops = append(s.wipe(), ops...)
	}
	if err := c.kv.Apply(ops, true); err != nil {
		return err
	}
	c.install(s, policy, next)
	return nil
}

// place returns the space of a, which is a new one when there is none, and what
// is recorded of it.
func (c *Catalog) place(a namespace.Address) (*space, namespaceRecord, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.spaces[a]; s != nil {
		return s, s.record, nil
	}
	if len(c.spaces) >= MaxNamespaces {
		return nil, namespaceRecord{}, fmt.Errorf("%w: %d namespaces are here", ErrLimit, MaxNamespaces)
	}
	r, known := c.left[a]
	if !known {
		r = namespaceRecord{address: a}
	}
	s := newSpace(r)
	for other := range c.spaces {
		if other != a && spaceOf(other) == s.id {
			return nil, r, fmt.Errorf("%w: its hash begins like that of %s", ErrLimit, other)
		}
	}
	return s, r, nil
}

// early refuses a document that is dated too far ahead.
func (c *Catalog) early(s *space, d trust.Document) error {
	c.mu.RLock()
	now := time.Unix(s.time(c.clock()), 0)
	c.mu.RUnlock()
	if until, held := d.HeldUntil(now); held {
		return &trust.Refusal{
			Why:    trust.FutureDated,
			Detail: fmt.Sprintf("it is issued %s, and can be adopted from %s on", d.Value().Issued.Format(time.RFC3339), until.Format(time.RFC3339)),
		}
	}
	return nil
}

// succeed says whether d is to be followed after what old records, and what is
// recorded then. It is the rule of [trust.Document.Supersedes], told of a
// document that need not be here any more.
func succeed(old namespaceRecord, d trust.Document) (next namespaceRecord, follow bool, err error) {
	id, serial := d.ID(), d.Value().Serial
	next = old
	next.left, next.upstream = false, false
	switch {
	case serial < old.serial:
		return old, false, fmt.Errorf("%w: serial %d, %d was seen", ErrRollback, serial, old.serial)
	case serial > old.serial:
		next.serial, next.document, next.rival = serial, id, namespace.ID{}
		return next, true, nil
	case id == old.document:
		return next, true, nil
	case id.Compare(old.document) > 0:
		next.rival, next.document = old.document, id
		return next, true, nil
	}
	next.left = old.left
	next.rival = id
	return next, false, nil
}

// noteRival records a document of the same serial that is not followed.
func (c *Catalog) noteRival(s *space, next namespaceRecord) error {
	if err := c.kv.Apply([]Op{put(s.id.key(keyNamespace), next.encode())}, true); err != nil {
		return err
	}
	c.mu.Lock()
	if next.left {
		c.left[s.address] = next
	} else {
		s.record = next
	}
	c.mu.Unlock()
	c.warn(next)
	return fmt.Errorf("%w: %s has the same serial %d and is followed", ErrRollback, next.document.Short(), next.serial)
}

func (c *Catalog) warn(r namespaceRecord) {
	if !r.rival.IsZero() {
		c.log.Warn("two documents have one serial: whoever holds the root key signed both",
			"namespace", r.address.String(), "serial", r.serial, "followed", r.document.String(), "rival", r.rival.String())
	}
}

// putDocument keeps d and those of the lists that it names.
func (c *Catalog) putDocument(ctx context.Context, d trust.Document, lists []*namespace.KeepList) ([]namespace.ID, error) {
	named := make(map[namespace.ID]bool)
	for _, closed := range d.Value().Closed {
		named[closed.Keep] = !closed.None
	}
	var ids []namespace.ID
	for _, list := range lists {
		id := list.ID()
		if !named[id] {
			continue
		}
		named[id] = false
		if err := c.texts.PutText(ctx, TextKeepList, list.Append(nil)); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, c.texts.PutText(ctx, TextDocument, d.Raw())
}

// install makes memory follow what was written.
func (c *Catalog) install(s *space, policy *trust.Policy, r namespaceRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock()
	s.follow(policy, r, now)
	if c.spaces[s.address] == nil {
		c.spaces[s.address] = s
		delete(c.left, s.address)
		close(c.born)
		c.born = make(chan struct{})
	}
	c.changed(s)
	c.bound(now)
	c.warn(r)
}
