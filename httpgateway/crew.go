package httpgateway

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// crew runs work that may outlive the request that began it: calls of a Cache
// that does not heed its context. It bounds how many there are, and waits for
// all of them in the end.
//
// Whoever has done a piece of work rests for a moment and takes the next: a
// fresh goroutine has a small stack, and growing it for every question costs
// more than most answers.
type crew struct {
	max int

	mu      sync.Mutex
	working int
	resting int         // of those who wait for jobs, how many were promised none
	jobs    chan func() // made by start
	quit    chan struct{}
	closed  bool
	idle    chan struct{} // made by close, closed when nobody works any more
}

// restTime is how long somebody waits for more work: longer than the gaps of a
// busy time, and short enough that a quiet gateway has no goroutines.
const restTime = 100 * time.Millisecond

// start has somebody do work, unless the crew is full or closed. work must not
// panic; it may end its goroutine.
func (c *crew) start(work func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.working >= c.max {
		return false
	}
	c.working++
	if c.jobs == nil {
		c.jobs, c.quit = make(chan func(), c.max), make(chan struct{})
	}
	if c.resting > 0 {
		c.resting--
		c.jobs <- work // has room for one of everybody
		return true
	}
	go c.serve(work)
	return true
}

func (c *crew) serve(work func()) {
	for work != nil {
		c.do(work)
		work = c.rest()
	}
}

func (c *crew) do(work func()) {
	defer c.done()
	work()
}

// rest waits for the next piece of work; nil: there is none, go home.
func (c *crew) rest() func() {
	c.mu.Lock()
	c.resting++
	c.mu.Unlock()
	t := time.NewTimer(restTime)
	defer t.Stop()
	select {
	case work := <-c.jobs:
		return work
	case <-t.C:
	case <-c.quit:
	}
	c.mu.Lock()
	promised := c.resting == 0
	if !promised {
		c.resting--
	}
	c.mu.Unlock()
	if promised { // start counts on everybody who still waits
		return <-c.jobs
	}
	return nil
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
	if !c.closed && c.quit != nil {
		close(c.quit)
	}
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
