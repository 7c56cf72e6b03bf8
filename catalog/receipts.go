package catalog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// KeepReceipt keeps a seed's receipt for a publication that is here, durably,
// instead of an older one by the same seed. Receipts go with their publication.
// Of one publication at most [MaxReceipts] are kept: ErrLimit.
func (c *Catalog) KeepReceipt(ctx context.Context, r trust.Receipt) error {
	if r.IsZero() {
		return fmt.Errorf("keep receipt: %w", trust.ErrUntrusted)
	}
	v := r.Value()
	key, err := namespace.SeedKey(r.Seed())
	if err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := c.withPublication(v.Namespace, v.Publication)
	if err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	all, err := c.receipts(s, v.Publication)
	if err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	others := 0
	for _, old := range all {
		switch {
		case old.Seed() != r.Seed():
			others++
		case string(old.Raw()) == string(r.Raw()):
			return nil
		}
	}
	if others >= MaxReceipts {
		return fmt.Errorf("keep receipt: %w: %d for %s", ErrLimit, others, v.Publication.Short())
	}
	at := s.id.receiptKey(v.Publication, [32]byte(key))
	if err := c.kv.Apply([]Op{put(at, r.Raw())}, true); err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	return nil
}

// withPublication returns the space in which a publication is.
func (c *Catalog) withPublication(a namespace.Address, id namespace.ID) (*space, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if p := s.graph.pubs[id]; p == nil || !p.here() {
		return nil, fmt.Errorf("publication %s: %w", id.Short(), ErrNotFound)
	}
	return s, nil
}

// Receipts returns the receipts that are kept for a publication.
func (c *Catalog) Receipts(ctx context.Context, a namespace.Address, id namespace.ID) ([]trust.Receipt, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	unlock()
	return c.receipts(s, id)
}

func (c *Catalog) receipts(s *space, id namespace.ID) (all []trust.Receipt, err error) {
	err = c.kv.Scan(s.id.receiptsKey(id), nil, func(_, v []byte) (bool, error) {
		r, err := trust.VerifyReceipt(v)
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		all = append(all, r)
		return true, nil
	})
	return all, err
}

// Want notes, durably, that so many copies of a publication are wanted on other
// machines; 0: none any more.
func (c *Catalog) Want(ctx context.Context, a namespace.Address, id namespace.ID, copies int) error {
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := c.withPublication(a, id)
	if err != nil {
		return fmt.Errorf("want copies: %w", err)
	}
	op := remove(s.id.wantedKey(id))
	if copies > 0 {
		var w writer
		w.uint(uint64(copies))
		op = put(s.id.wantedKey(id), w)
	}
	if err := c.kv.Apply([]Op{op}, true); err != nil {
		return fmt.Errorf("want copies: %w", err)
	}
	return nil
}

// Wanted yields the publications of which copies are wanted, and how many. An
// error ends the sequence.
func (c *Catalog) Wanted(ctx context.Context, a namespace.Address) iter.Seq2[Wanted, error] {
	return func(yield func(Wanted, error) bool) {
		all, err := c.wanted(a)
		if err != nil {
			yield(Wanted{}, err)
			return
		}
		for _, w := range all {
			err := ctx.Err()
			if !yield(w, err) || err != nil {
				return
			}
		}
	}
}

// Wanted is how many copies of a publication are wanted.
type Wanted struct {
	Publication namespace.ID
	Copies      int
}

func (c *Catalog) wanted(a namespace.Address) (all []Wanted, err error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	unlock()
	err = c.kv.Scan(s.id.key(keyWanted), nil, func(k, v []byte) (bool, error) {
		var w Wanted
		if err := fields(k, w.Publication[:]); err != nil {
			return false, err
		}
		r := reader{rest: v}
		w.Copies = int(r.uint())
		all = append(all, w)
		return true, r.end()
	})
	return all, err
}

// Touch notes that content of a namespace was asked for now. It keeps the hour,
// and what a crash loses of that is no harm.
func (c *Catalog) Touch(ctx context.Context, a namespace.Address, b content.BodyID) error {
	last, err := c.Touched(ctx, a, b)
	now := c.clock().Truncate(time.Hour)
	if err != nil || !last.Before(now) {
		return err
	}
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	var w writer
	w.uint(uint64(now.Unix() / 3600))
	if err := c.kv.Apply([]Op{put(spaceOf(a).touchedKey(b), w)}, false); err != nil {
		return fmt.Errorf("touch %s: %w", b, err)
	}
	return nil
}

// Touched returns when content was asked for last, to the hour; zero: never, as
// far as is known.
func (c *Catalog) Touched(ctx context.Context, a namespace.Address, b content.BodyID) (time.Time, error) {
	v, err := c.kv.Get(spaceOf(a).touchedKey(b))
	if errors.Is(err, ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	r := reader{rest: v}
	hours := r.uint()
	if err := r.end(); err != nil {
		return time.Time{}, err
	}
	return time.Unix(int64(hours)*3600, 0).UTC(), nil
}
