package storetest

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/flurry-nix/flurry/store"
)

// memLeases is the part of [Mem] that collects; guarded by its mu.
type memLeases struct {
	orphans    map[store.Key]time.Time // since when sweeps find them orphaned
	collecting bool
	quota      int64              // bytes of data; 0: no bound
	free       int64              // of the disk
	reserve    int64              // of it
	ended      map[store.Key]bool // held by batches that ended while collecting
}

// end needs mu.
func (m *Mem) end(b *memBatch) {
	delete(m.open, b)
	if m.collecting {
		maps.Copy(m.ended, b.held)
	}
}

// held needs mu.
func (m *Mem) held(k store.Key) bool {
	for b := range m.open {
		if b.held[k] && b.age == m.age {
			return true
		}
	}
	return m.ended[k]
}

// StartCollection implements [store.Collector].
func (m *Mem) StartCollection(ctx context.Context) (store.Collection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.collecting {
		return nil, store.ErrCollecting
	}
	m.collecting, m.ended = true, make(map[store.Key]bool)
	if m.orphans == nil {
		m.orphans = make(map[store.Key]time.Time)
	}
	return &memCollection{m: m}, nil
}

// Stored implements [store.Collector].
func (m *Mem) Stored(ctx context.Context, k store.Key) (bytes int64, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.lookup(k)
	return int64(len(f.Data)), ok, ctx.Err()
}

// Limit bounds what the store may use, in bytes of data; 0: nothing does.
func (m *Mem) Limit(quota int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quota = quota
}

// Disk says what there is of a disk, in bytes: what is free, and of that what is to be left free.
func (m *Mem) Disk(free, reserve int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.reserve = free, reserve
}

// Room implements [store.Collector].
func (m *Mem) Room(ctx context.Context) (store.Room, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return store.Room{Used: m.used(), Live: m.used(), Quota: m.quota, Free: m.free, Reserve: m.reserve}, ctx.Err()
}

// used needs mu.
func (m *Mem) used() (sum int64) {
	for _, contents := range []map[store.Key]store.Frame{m.durable, m.pending} {
		for _, f := range contents {
			sum += int64(len(f.Data))
		}
	}
	return sum
}

// memCollection is guarded by its store's mu.
type memCollection struct {
	m      *Mem
	closed bool
}

// Close implements [store.Collection].
func (c *memCollection) Close() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if !c.closed {
		c.closed, c.m.collecting, c.m.ended = true, false, nil
	}
	return nil
}

// Sweep implements [store.Collection]. What is not committed stays. The store is not locked while fate is asked.
func (c *memCollection) Sweep(ctx context.Context, fate func(store.Key) store.Fate, o store.SweepOptions) (swept store.Swept, err error) {
	c.m.mu.Lock()
	all := maps.Clone(c.m.durable)
	closed := c.closed
	c.m.mu.Unlock()
	if closed {
		return swept, errors.New("storetest.Mem: Sweep after Close")
	}
	var done int64
	for k := range all {
		if err := ctx.Err(); err != nil {
			return swept, err
		}
		f := fate(k)
		c.m.mu.Lock()
		c.m.sweep(&swept, k, f, o)
		c.m.mu.Unlock()
		if done++; o.Progress != nil {
			o.Progress(done, int64(len(all)))
		}
	}
	return swept, nil
}

// sweep needs mu.
func (m *Mem) sweep(swept *store.Swept, k store.Key, f store.Fate, o store.SweepOptions) {
	frame, ok := m.durable[k]
	if !ok {
		return
	}
	size := int64(len(frame.Data))
	count := func(contents, bytes *int64) { *contents, *bytes = *contents+1, *bytes+size }
	goes := f == store.Dead
	if f == store.Orphan {
		since, marked := m.orphans[k]
		goes = o.KeepOrphans == 0 || marked && !since.After(o.Now.Add(-o.KeepOrphans))
		if !goes {
			count(&swept.WaitingContents, &swept.WaitingBytes)
			if !o.DryRun && (!marked || since.After(o.Now)) {
				m.orphans[k] = o.Now
			}
		}
	} else if f == store.Keep && !o.DryRun {
		delete(m.orphans, k)
	}
	if goes && m.held(k) {
		count(&swept.HeldContents, &swept.HeldBytes)
		goes = false
	}
	if !goes {
		count(&swept.KeptContents, &swept.KeptBytes)
		return
	}
	count(&swept.Contents, &swept.Bytes)
	swept.Freed += size
	if !o.DryRun {
		delete(m.durable, k)
		delete(m.orphans, k)
	}
}
