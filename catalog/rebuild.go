package catalog

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// Rebuild makes the index from texts, all that there are of each kind: it adopts
// the documents and adds the publications, verifying everything, some 10,000
// entries a second. What is indexed already is written again, so that damage is
// repaired, and a rebuild that was interrupted can be begun anew. Nothing is
// taken out. Texts that do not count, or are of a namespace that was forgotten,
// are passed over; an error of a sequence ends it.
func (c *Catalog) Rebuild(ctx context.Context, docs, lists, pubs iter.Seq2[[]byte, error]) error {
	known := make(map[namespace.ID]*namespace.KeepList)
	for raw, err := range lists {
		if err != nil {
			return fmt.Errorf("rebuild catalog: kept lists: %w", err)
		}
		list, err := namespace.ParseKeepList(raw)
		if err != nil {
			c.log.Warn("kept list passed over", "err", err)
			continue
		}
		known[list.ID()] = list
	}
	err := c.eachText(ctx, docs, func(raw []byte) error { return c.rebuildDocument(ctx, raw, known) })
	if err == nil {
		err = c.eachText(ctx, pubs, func(raw []byte) error { return c.rebuildPublication(ctx, raw) })
	}
	if err != nil {
		return fmt.Errorf("rebuild catalog: %w", err)
	}
	return nil
}

// eachText calls fn for each text, and goes on after those that do not count.
func (c *Catalog) eachText(ctx context.Context, texts iter.Seq2[[]byte, error], fn func([]byte) error) error {
	for raw, err := range texts {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		switch err := fn(raw); {
		case errors.Is(err, trust.ErrUntrusted), errors.Is(err, ErrRollback), errors.Is(err, ErrNotFound), errors.Is(err, ErrLimit):
			c.log.Warn("text passed over", "err", err)
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *Catalog) rebuildDocument(ctx context.Context, raw []byte, known map[namespace.ID]*namespace.KeepList) error {
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", trust.ErrUntrusted, err)
	}
	value, err := namespace.ParseDocument(note.Text)
	if err != nil {
		return fmt.Errorf("%w: %w", trust.ErrUntrusted, err)
	}
	c.mu.RLock()
	_, left := c.left[value.Namespace]
	c.mu.RUnlock()
	if left {
		return nil
	}
	d, err := trust.VerifyDocument(value.Namespace, raw)
	if err != nil {
		return err
	}
	var lists []*namespace.KeepList
	for _, closed := range value.Closed {
		if list := known[closed.Keep]; list != nil && !closed.None {
			lists = append(lists, list)
		}
	}
	return c.Adopt(ctx, d, lists)
}

func (c *Catalog) rebuildPublication(ctx context.Context, raw []byte) error {
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", trust.ErrUntrusted, err)
	}
	value, err := namespace.ParsePublication(note.Text)
	if err != nil {
		return fmt.Errorf("%w: %w", trust.ErrUntrusted, err)
	}
	policy, ok := c.Policy(value.Namespace)
	if !ok {
		return errNoNamespace(value.Namespace)
	}
	p, err := policy.VerifyPublication(raw)
	if err != nil {
		return err
	}
	_, err = c.add(ctx, p, manner{again: true, sync: true})
	return err
}
