package disk

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/flurry-nix/flurry/store"
)

// Report is what a check found.
type Report struct {
	Contents int64       // read
	Bytes    int64       // of their records
	Damaged  []store.Key // found damaged by this check; they are out of use now
}

// Check reads all that is durable, front to back through the packs, checks it
// against its ids, and puts what is damaged out of use. progress, when not nil,
// is called now and then with the bytes that are done and the bytes there are;
// not from two goroutines at once. The store can be used meanwhile.
func (s *Store) Check(ctx context.Context, progress func(done, total int64)) (Report, error) {
	c := &check{s: s, progress: progress}
	if err := c.plan(ctx); err != nil {
		return Report{}, err
	}
	for _, packs := range c.windows {
		if err := c.window(ctx, packs); err != nil {
			return c.report, err
		}
	}
	return c.report, nil
}

// check is one run of Check.
type check struct {
	s        *Store
	progress func(done, total int64)
	total    int64
	windows  []map[uint32]bool // packs that are read together, in order

	mu     sync.Mutex
	report Report
}

// plan counts the records of each pack and puts neighbours together so that a
// window's entries fit into memory.
func (c *check) plan(ctx context.Context) error {
	count := make(map[uint32]int)
	err := c.entries(ctx, func(e entry) {
		count[e.at.pack]++
		c.total += e.at.size()
	})
	ids := make([]uint32, 0, len(count))
	for id := range count {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	sum := 0
	for i, id := range ids {
		if i == 0 || sum+count[id] > checkWindow {
			c.windows = append(c.windows, make(map[uint32]bool))
			sum = 0
		}
		c.windows[len(c.windows)-1][id] = true
		sum += count[id]
	}
	return err
}

// entries calls fn for all that is in the index.
func (c *check) entries(ctx context.Context, fn func(entry)) error {
	if err := c.s.enter(ctx); err != nil {
		return err
	}
	defer c.s.leave()
	n := 0
	return c.s.index.scan([]byte{prefixContent}, []byte{prefixContent + 1}, func(key, value []byte) (bool, error) {
		if n++; n%pageKeys == 0 && ctx.Err() != nil {
			return false, ctx.Err()
		}
		k, err := parseIndexKey(key)
		if err != nil {
			return false, err
		}
		at, err := parseLocation(value)
		if err != nil {
			return false, err
		}
		fn(entry{k, at})
		return true, nil
	})
}

// window reads the records of some packs, in the order in which they lie, on
// all processors.
func (c *check) window(ctx context.Context, packs map[uint32]bool) error {
	var list []entry
	if err := c.entries(ctx, func(e entry) {
		if packs[e.at.pack] {
			list = append(list, e)
		}
	}); err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at.pack, b.at.pack), cmp.Compare(a.at.offset, b.at.offset))
	})
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan entry)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for e := range work {
				if err := c.one(ctx, e); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, e := range list {
		if ctx.Err() != nil {
			break
		}
		work <- e
	}
	close(work)
	wg.Wait()
	return context.Cause(ctx)
}

// one checks one record.
func (c *check) one(ctx context.Context, e entry) error {
	if err := c.s.enter(ctx); err != nil {
		return err
	}
	defer c.s.leave()
	damaged := false
	if err := c.s.verify(e.key, e.at); errors.Is(err, store.ErrCorrupt) {
		if damaged, err = c.s.condemn(ctx, e.key, e.at); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Contents++
	c.report.Bytes += e.at.size()
	if damaged {
		c.report.Damaged = append(c.report.Damaged, e.key)
	}
	if c.progress != nil {
		c.progress(c.report.Bytes, c.total)
	}
	return nil
}
