package httpgateway

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCrewIsBounded(t *testing.T) {
	c := crew{max: 2}
	leave := make(chan struct{})
	work := func() { <-leave }
	for range 2 {
		if !c.start(work) {
			t.Fatal("the crew takes nobody")
		}
	}
	if c.start(work) {
		t.Error("the crew took a third")
	}
	if c.count() != 2 {
		t.Errorf("%d are working", c.count())
	}
	close(leave)
	if err := c.close(t.Context()); err != nil {
		t.Error(err)
	}
	if c.count() != 0 {
		t.Errorf("%d are working after close", c.count())
	}
	if c.start(func() {}) {
		t.Error("a closed crew took somebody")
	}
	if err := c.close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCrewCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crew{max: 9}
		leave := make(chan struct{})
		c.start(func() { <-leave })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		waited := make(chan error)
		for range 2 {
			go func() { waited <- c.close(t.Context()) }()
		}
		synctest.Wait()
		close(leave)
		for range 2 {
			if err := <-waited; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestCrewMemberExits: not only a return ends work. A Cache under test may call
// t.FailNow.
func TestCrewMemberExits(t *testing.T) {
	c := crew{max: 1}
	c.start(runtime.Goexit)
	if err := c.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestCrewRests: whoever has worked takes the next piece of work, and goes home when there is none.
func TestCrewRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := crew{max: 8}
		var mu sync.Mutex
		seen := make(map[string]bool)
		for range 100 {
			done := make(chan struct{})
			if !c.start(func() {
				defer close(done)
				mu.Lock()
				defer mu.Unlock()
				seen[goroutine()] = true
			}) {
				t.Fatal("a crew without work is full")
			}
			<-done
			synctest.Wait()
		}
		if len(seen) != 1 {
			t.Errorf("100 pieces of work, one after the other, were done by %d goroutines", len(seen))
		}
		time.Sleep(2 * restTime)
		synctest.Wait()
		c.mu.Lock()
		if c.resting != 0 {
			t.Errorf("%d still wait for work", c.resting)
		}
		c.mu.Unlock()
		if err := c.close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// goroutine names the goroutine that it is called on.
func goroutine() string {
	buf := make([]byte, 64)
	line, _, _ := bytes.Cut(buf[:runtime.Stack(buf, false)], []byte("["))
	return string(line)
}
