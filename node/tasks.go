package node

import (
	"context"
	"errors"
	"sync"
)

// tasks are the goroutines that outlive the call that started them. They run under the context of Start, and Wait
// waits for all of them; nothing starts before Start or after its end.
type tasks struct {
	mu      sync.Mutex
	ctx     context.Context // nil until open
	ended   bool
	running sync.WaitGroup
}

func newTasks() *tasks { return &tasks{} }

func (t *tasks) open(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx != nil {
		return errors.New("node: Start was called twice")
	}
	t.ctx = ctx
	return nil
}

// Go runs f unless the node is not running; it reports whether it did.
func (t *tasks) Go(f func(ctx context.Context)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.ctx.Err() != nil || t.ended {
		return false
	}
	ctx := t.ctx
	t.running.Go(func() { f(ctx) })
	return true
}

// Context returns a context that ends with the node, or by cancel. ok is false when the node is not running.
func (t *tasks) Context() (ctx context.Context, cancel context.CancelFunc, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil || t.ctx.Err() != nil {
		return nil, nil, false
	}
	ctx, cancel = context.WithCancel(t.ctx)
	return ctx, cancel, true
}

// wait returns when the context has ended and every task with it.
func (t *tasks) wait() {
	t.mu.Lock()
	ctx := t.ctx
	t.mu.Unlock()
	if ctx == nil {
		return
	}
	<-ctx.Done()
	t.mu.Lock()
	t.ended = true // nobody is between Go's check and its start when this lock is had
	t.mu.Unlock()
	t.running.Wait()
}
