package httpgateway

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestCrewIsBounded(t *testing.T) {
	c := crew{max: 2}
	leave := make(chan struct{})
	work := func() { <-leave }
	if !c.start(work) || !c.start(work) {
		t.Fatal("the crew takes nobody")
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
