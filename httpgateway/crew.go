package httpgateway

import (
	"context"
	"fmt"
	"sync"
)

// crew runs work that may outlive the request that began it: calls of a Cache
// that does not heed its context. It bounds how many there are, and waits for
// all of them in the end.
type crew struct {
	max int

	mu      sync.Mutex
	working int
	closed  bool
	idle    chan struct{} // made by close, closed when nobody works any more
}

// start runs work on a goroutine of its own, unless the crew is full or closed.
// work must not panic.
func (c *crew) start(work func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.working >= c.max {
		return false
	}
	c.working++
	go func() {
		defer c.done()
		work()
	}()
	return true
}

func (c *crew) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working--
	if c.working == 0 && c.idle != nil {
		close(c.idle)
	}
}

// count returns how many are working.
func (c *crew) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.working
}

// close lets nobody start any more and waits for those who work, but not longer
// than ctx. It may be called again.
func (c *crew) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	if c.working == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls did not return: %w", c.count(), ctx.Err())
	}
}
