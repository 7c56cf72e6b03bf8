package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
)

func isBusy(err error) bool {
	var busy *transfer.BusyError
	return errors.As(err, &busy) && busy.RetryAfter == busyFor
}

// hold takes a slot until done is called.
func hold(t *testing.T, s *slots, p peer.ID) (done func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.take(ctx, p); err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	return func() { cancel(); synctest.Wait() }
}

func TestSlotsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(3, 2, time.Second)
		a1, a2 := hold(t, s, "a"), hold(t, s, "a")
		begun := time.Now()
		if err := s.take(t.Context(), "a"); !isBusy(err) || time.Since(begun) != time.Second {
			t.Errorf("a third for a, of three: %v after %v", err, time.Since(begun))
		}
		b := hold(t, s, "b")
		if err := s.take(t.Context(), "c"); !isBusy(err) {
			t.Errorf("a fourth: %v", err)
		}
		a1()
		c := hold(t, s, "c")
		a2()
		b()
		c()
		if s.free != 3 || len(s.held) != 0 || len(s.queue) != 0 {
			t.Errorf("in the end %d are free, %v held, %d wait", s.free, s.held, len(s.queue))
		}
	})
}

func TestSlotsWithoutPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, 1, 0)
		done := hold(t, s, "a")
		begun := time.Now()
		if err := s.take(t.Context(), "b"); !isBusy(err) || time.Since(begun) != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		done()
	})
}

// Those who wait get their turn in order, but for those who have their share.
func TestSlotsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2, 1, time.Second)
		a, b := hold(t, s, "a"), hold(t, s, "b")
		var mu sync.Mutex
		var order []string
		var wait sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for i, p := range []peer.ID{"a", "c", "c", "d"} {
			wait.Go(func() {
				err := s.take(ctx, p)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					order = append(order, fmt.Sprintf("%s%d is put off", p, i))
					return
				}
				order = append(order, fmt.Sprintf("%s%d", p, i))
			})
			synctest.Wait()
		}
		b() // a has its share: c is next
		a() // now a
		wait.Wait()
		if got := fmt.Sprint(order); got != "[c1 a0 c2 is put off d3 is put off]" && got != "[c1 a0 d3 is put off c2 is put off]" {
			t.Errorf("order %s", got)
		}
		cancel()
		synctest.Wait()
		if s.free != 2 || len(s.held) != 0 || len(s.queue) != 0 {
			t.Errorf("in the end %d are free, %v held, %d wait", s.free, s.held, len(s.queue))
		}
	})
}

func TestSlotsWaitingEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, 1, time.Hour)
		done := hold(t, s, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.take(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		done()
		if s.free != 1 || len(s.queue) != 0 {
			t.Errorf("%d free, %d wait", s.free, len(s.queue))
		}
	})
}

// However takers come and go, there are never more than allowed, and none is
// lost.
func TestSlotsUnderLoad(t *testing.T) {
	s := newSlots(4, 2, time.Millisecond)
	var inAll atomic.Int32
	var of [3]atomic.Int32
	var wait sync.WaitGroup
	for g := range 12 {
		wait.Go(func() {
			p := g % 3
			for range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				if s.acquire(ctx, peer.ID(fmt.Sprint(p))) == nil {
					if inAll.Add(1) > 4 || of[p].Add(1) > 2 {
						t.Error("too many")
					}
					of[p].Add(-1)
					inAll.Add(-1)
					s.release(peer.ID(fmt.Sprint(p)))
				}
				cancel()
			}
		})
	}
	wait.Wait()
	if s.free != 4 || len(s.held) != 0 || len(s.queue) != 0 {
		t.Errorf("in the end %d are free, %v held, %d wait", s.free, s.held, len(s.queue))
	}
}
