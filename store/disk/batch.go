package disk

import (
	"context"
	"fmt"
	"sync"

	"github.com/flurry-nix/flurry/store"
)

// batch is a store.Batch. What it has to do to commit is settle each pack in
// which something lies that it put, or found put by another.
type batch struct {
	s *Store

	// held is the hashes of what the batch has put or found: some 20 bytes for
	// each. It changes under s.leases.sweeping, held for reading, and mu.
	held map[uint64]struct{}

	mu     sync.Mutex
	writer *writer         // from the first Put on
	deps   map[*pack]int64 // settle each up to there
	closed bool
}

var _ store.Batch = (*batch)(nil)

// Has implements [store.Batch].
func (b *batch) Has(ctx context.Context, k store.Key) (bool, error) {
	if err := b.enter(ctx); err != nil {
		return false, err
	}
	defer b.s.leave()
	b.s.leases.sweeping.RLock()
	defer b.s.leases.sweeping.RUnlock()
	return b.hold(k)
}

// Put implements [store.Batch].
func (b *batch) Put(ctx context.Context, k store.Key, f store.Frame) error {
	if err := f.Validate(k.Kind); err != nil {
		return err
	}
	rec := newRecord(k, f)
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.s.leave()
	p, end, err := b.put(rec, f.Data)
	if err != nil {
		return fmt.Errorf("put %v: %w", k, err)
	}
	if p != nil && p.behind() {
		return p.settle(ctx, end)
	}
	return nil
}

// put appends the record unless its key is there. p is nil if it is.
func (b *batch) put(rec record, data []byte) (p *pack, end int64, err error) {
	b.s.leases.sweeping.RLock()
	defer b.s.leases.sweeping.RUnlock()
	stripe := b.s.stripe(rec.key)
	stripe.Lock()
	defer stripe.Unlock()
	if have, err := b.hold(rec.key); have || err != nil {
		return nil, 0, err
	}
	if err := b.s.room.admit(rec.key.Kind, rec.size()); err != nil {
		return nil, 0, err
	}
	p, end, err = b.useWriter().append(rec, data)
	if err != nil {
		b.s.room.release(rec.size())
		return nil, 0, err
	}
	b.need(p, end)
	b.lease(rec.key)
	return p, end, nil
}

// hold tells whether k is there; if so it stays while the batch is open, and if
// it is not durable yet the batch will see to it. The caller has
// leases.sweeping.
func (b *batch) hold(k store.Key) (bool, error) {
	for {
		at, ok := b.s.pending.find(k)
		if !ok {
			_, ok, err := b.s.index.get(k)
			if ok {
				b.lease(k)
			}
			return ok, err
		}
		if p := b.s.writers.find(at.pack); p != nil {
			b.need(p, int64(at.offset)+at.size())
			b.lease(k)
			return true, nil
		}
		// It was settled between the two questions.
	}
}

func (b *batch) lease(k store.Key) {
	h := b.s.leases.hash(k)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[h] = struct{}{}
}

func (b *batch) need(p *pack, end int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deps[p] = max(b.deps[p], end)
}

func (b *batch) useWriter() *writer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer == nil {
		b.writer = b.s.writers.join()
	}
	return b.writer
}

// Commit implements [store.Batch].
func (b *batch) Commit(ctx context.Context) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.s.leave()
	for p, end := range b.needs() {
		if err := p.settle(ctx, end); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		b.met(p, end)
	}
	return nil
}

func (b *batch) needs() map[*pack]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	deps := make(map[*pack]int64, len(b.deps))
	for p, end := range b.deps {
		deps[p] = end
	}
	return deps
}

// met drops a need, unless it has grown since. A need that was not met stays,
// and so a batch that lost something never commits again.
func (b *batch) met(p *pack, end int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.deps[p] == end {
		delete(b.deps, p)
	}
}

// Close implements [store.Batch]. What was not committed stays, and becomes
// durable with what others commit.
func (b *batch) Close() error {
	if b.finish() {
		b.s.leases.end(b, b.held)
	}
	return nil
}

// finish is true once.
func (b *batch) finish() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed = true
	if b.writer != nil {
		b.s.writers.leave(b.writer)
	}
	return true
}

// enter begins a use of the store, which ends with s.leave.
func (b *batch) enter(ctx context.Context) error {
	b.mu.Lock()
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return fmt.Errorf("batch: %w", ErrClosed)
	}
	return b.s.enter(ctx)
}
