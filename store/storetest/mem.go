package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/store"
)

// Op names what [Mem] is about to do, for [Mem.Fail].
type Op string

// The operations that can be made to fail.
const (
	OpFrame  Op = "frame"
	OpHas    Op = "has"
	OpBegin  Op = "begin"
	OpPut    Op = "put"
	OpCommit Op = "commit"
)

// Fault decides about one operation: whether it is done, and with which error
// it ends. "Failed" is (false, err), "failed, and yet done" is (true, err).
// k is zero for OpBegin and OpCommit.
type Fault func(op Op, k store.Key) (apply bool, err error)

// Mem is a store in memory. It fails its test when it is misused: content put
// that is not what its key names (something went around the door), a batch
// used after Close or not closed at the end of the test, a collection likewise.
type Mem struct {
	tb    testing.TB
	codec *store.Codec

	mu      sync.Mutex
	durable map[store.Key]store.Frame
	pending map[store.Key]store.Frame
	age     int // grows with each crash: batches do not survive one
	open    map[*memBatch]bool
	fault   Fault
	memLeases
}

var (
	_ store.Collector = (*Mem)(nil)
	_ store.Condemner = (*Mem)(nil)
)

// NewMem returns an empty store that reports misuse to tb.
func NewMem(tb testing.TB) *Mem {
	m := &Mem{
		tb:      tb,
		codec:   store.NewCodec(),
		durable: make(map[store.Key]store.Frame),
		pending: make(map[store.Key]store.Frame),
		open:    make(map[*memBatch]bool),
	}
	tb.Cleanup(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if n := len(m.open); n != 0 {
			tb.Errorf("storetest.Mem: %d batches were never closed", n)
		}
		if m.collecting {
			tb.Error("storetest.Mem: a collection was never closed")
		}
	})
	return m
}

// Fail makes every later operation ask f first; nil ends that.
func (m *Mem) Fail(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Crash forgets all that was not committed, as a loss of power does. Batches
// that are open fail from then on.
func (m *Mem) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.pending)
	m.age++
}

// Len is the number of contents, committed or not.
func (m *Mem) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.durable) + len(m.pending)
}

// Damage flips one bit of what is stored under k. It tells whether k was
// there.
func (m *Mem) Damage(k store.Key) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.lookup(k)
	if ok {
		f.Data[len(f.Data)/2] ^= 1
	}
	return ok
}

// lookup needs mu. The frame's data is the store's own.
func (m *Mem) lookup(k store.Key) (store.Frame, bool) {
	if f, ok := m.pending[k]; ok {
		return f, true
	}
	f, ok := m.durable[k]
	return f, ok
}

// ask needs mu.
func (m *Mem) ask(ctx context.Context, op Op, k store.Key) (apply bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if m.fault == nil {
		return true, nil
	}
	return m.fault(op, k)
}

// Frame implements [store.Reader].
func (m *Mem) Frame(ctx context.Context, k store.Key, room []byte) (store.Frame, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.ask(ctx, OpFrame, k); err != nil {
		return store.Frame{}, err
	}
	f, ok := m.lookup(k)
	if !ok {
		return store.Frame{}, fmt.Errorf("%v: %w", k, store.ErrNotFound)
	}
	f.Data = append(room[:0], f.Data...)
	return f, nil
}

// Has implements [store.Reader].
func (m *Mem) Has(ctx context.Context, k store.Key) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.ask(ctx, OpHas, k); err != nil {
		return false, err
	}
	_, ok := m.lookup(k)
	return ok, nil
}

// Condemn implements [store.Condemner].
func (m *Mem) Condemn(_ context.Context, k store.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.lookup(k)
	if ok && m.verify(k, f) != nil {
		delete(m.pending, k)
		delete(m.durable, k)
		delete(m.orphans, k)
	}
	return nil
}

// verify tells whether f holds what k names.
func (m *Mem) verify(k store.Key, f store.Frame) error {
	if err := f.Validate(k.Kind); err != nil {
		return err
	}
	raw, err := m.codec.Decode(nil, f)
	if err != nil {
		return err
	}
	return store.Check(k, raw)
}

// Begin implements [store.Store].
func (m *Mem) Begin(ctx context.Context) (store.Batch, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if apply, err := m.ask(ctx, OpBegin, store.Key{}); err != nil || !apply {
		return nil, err
	}
	b := &memBatch{m: m, age: m.age, deps: make(map[store.Key]bool), held: make(map[store.Key]bool)}
	m.open[b] = true
	return b, nil
}

// memBatch is guarded by its store's mu.
type memBatch struct {
	m      *Mem
	age    int
	deps   map[store.Key]bool // put or found, not yet committed
	held   map[store.Key]bool // put or found: a lease
	failed error
	closed bool
}

var errCrashed = errors.New("storetest.Mem: the store has crashed since this batch began")

// use needs mu. It polices.
func (b *memBatch) use(op string) error {
	b.m.tb.Helper()
	if b.closed {
		b.m.tb.Errorf("storetest.Mem: %s after Close", op)
		return fmt.Errorf("storetest.Mem: %s after Close", op)
	}
	if b.age != b.m.age {
		return errCrashed
	}
	return nil
}

func (b *memBatch) Has(ctx context.Context, k store.Key) (bool, error) {
	b.m.tb.Helper()
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	if err := b.use("Has"); err != nil {
		return false, err
	}
	if _, err := b.m.ask(ctx, OpHas, k); err != nil {
		return false, err
	}
	_, ok := b.m.lookup(k)
	if ok {
		b.hold(k)
	}
	return ok, nil
}

func (b *memBatch) Put(ctx context.Context, k store.Key, f store.Frame) error {
	b.m.tb.Helper()
	if err := f.Validate(k.Kind); err != nil {
		return err
	}
	if err := b.m.verify(k, f); err != nil {
		b.m.tb.Errorf("storetest.Mem: put around the door: %v", err)
		return err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	if err := b.use("Put"); err != nil {
		return err
	}
	apply, err := b.m.ask(ctx, OpPut, k)
	if !apply {
		return err
	}
	if _, ok := b.m.lookup(k); !ok {
		if used, quota := b.m.used(), b.m.quota; quota > 0 && used+int64(len(f.Data)) > quota {
			return &store.FullError{Used: used, Quota: quota}
		}
		f.Data = slices.Clone(f.Data)
		b.m.pending[k] = f
	}
	if err == nil {
		b.hold(k)
	}
	return err
}

// hold needs mu.
func (b *memBatch) hold(k store.Key) {
	b.deps[k] = true
	b.held[k] = true
}

func (b *memBatch) Commit(ctx context.Context) error {
	b.m.tb.Helper()
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	if err := b.use("Commit"); err != nil {
		return err
	}
	if b.failed != nil {
		return b.failed
	}
	apply, err := b.m.ask(ctx, OpCommit, store.Key{})
	if ctx.Err() != nil {
		return err
	}
	for k := range b.deps {
		f, ok := b.m.pending[k]
		if ok && apply {
			b.m.durable[k] = f
		}
		delete(b.m.pending, k)
		if _, ok := b.m.durable[k]; !ok && err == nil {
			err = fmt.Errorf("%v was lost before it was committed", k)
		}
	}
	if err != nil {
		b.failed = fmt.Errorf("commit: %w", err)
		return b.failed
	}
	clear(b.deps)
	return nil
}

func (b *memBatch) Close() error {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.m.end(b)
	}
	return nil
}
