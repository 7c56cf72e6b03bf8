package catalog

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/flurry-nix/flurry/trust"
)

// AddResult is what became of one of many.
type AddResult struct {
	Added
	Err error // as of Add
}

// AddAll adds many publications, unlisted or not, in their order. What one of them
// is refused for does not stop the others. All are on the disk when it returns;
// its own error says that they may not be, and that all may be added again. It
// takes the disk's time once, and not once for each.
func (c *Catalog) AddAll(ctx context.Context, pubs []trust.Publication, listed bool) ([]AddResult, error) {
	results := make([]AddResult, len(pubs))
	all := make([]*facts, len(pubs))
	var todo []int
	for i, p := range pubs {
		if p.IsZero() {
			results[i].Err = fmt.Errorf("add publication: %w", trust.ErrUntrusted)
			continue
		}
		all[i] = factsOf(p)
		added, here, err := c.admit(p, all[i])
		if results[i] = (AddResult{added, err}); err == nil && !here {
			todo = append(todo, i)
		}
	}
	if err := c.putAll(ctx, pubs, todo); err != nil {
		return results, fmt.Errorf("add %d publications: %w", len(pubs), err)
	}
	if len(todo) == 0 && !c.unsynced.Load() {
		return results, nil
	}
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return results, err
	}
	defer unlock()
	c.unsynced.Store(true)
	for _, i := range todo {
		added, here, err := c.admit(pubs[i], all[i])
		if err == nil && !here {
			added, err = c.write(pubs[i], all[i], false, manner{quiet: !listed})
		}
		if results[i] = (AddResult{added, err}); err != nil {
			results[i].Err = fmt.Errorf("add publication %s: %w", pubs[i].ID().Short(), err)
		}
	}
	return results, c.syncIndex()
}

// putAll puts the texts, textWriters at a time: they share what the disk does.
func (c *Catalog) putAll(ctx context.Context, pubs []trust.Publication, todo []int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var writers sync.WaitGroup
	for range min(textWriters, len(todo)) {
		writers.Go(func() {
			for ctx.Err() == nil {
				k := int(next.Add(1)) - 1
				if k >= len(todo) {
					return
				}
				if err := c.texts.PutText(ctx, TextPublication, pubs[todo[k]].Raw()); err != nil {
					cancel(err)
				}
			}
		})
	}
	writers.Wait()
	return context.Cause(ctx)
}

// syncIndex brings to the disk what was applied without. The caller holds
// writing.
func (c *Catalog) syncIndex() error {
	var w writer
	w.uint(indexFormat)
	if err := c.kv.Apply([]Op{put(makeKey(keyFormat), w)}, true); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	c.unsynced.Store(false)
	return nil
}
