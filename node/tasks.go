package node

import (
	"context"
	"errors"
	"sync"
)

// tasks are the goroutines that outlive the call that started them. They run under the context of Run, which waits
// for all of them; nothing starts before Run or after its end.
type tasks struct {
	mu      sync.Mutex
	ctx     context.Context // nil until open
	running sync.WaitGroup
}

func newTasks() *tasks { return &tasks{} }

func (t *tasks) open(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx != nil {
		return errors.New("node: Run was called twice")
	}
	t.ctx = ctx
	return nil
}

// Go runs f unless the node is not running; it reports whether it did.
func (t *tasks) Go(f func(ctx context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.ctx.Err() != nil {
		return false
	}
	ctx := t.ctx
	t.running.Go(func() { f(ctx) })
	return true
}

// Context returns a context that ends with Run, or by cancel. ok is false when the node is not running.
func (t *tasks) Context() (ctx context.Context, cancel context.CancelFunc, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.ctx.Err() != nil {
		return nil, nil, false
	}
	ctx, cancel = context.WithCancel(t.ctx)
	return ctx, cancel, true
}

// wait returns when every task has ended. The context must have ended before.
func (t *tasks) wait() {
	t.mu.Lock() // no Go is between its check and its Add
	t.mu.Unlock()
	t.running.Wait()
}
