package trust

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestForEachChecksAll(t *testing.T) {
	for _, n := range []int{0, 1, entriesPerWorker - 1, entriesPerWorker, 2 * entriesPerWorker, 1000} {
		seen := make([]atomic.Int32, n)
		if err := forEach(n, func(i int) error { seen[i].Add(1); return nil }); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		for i := range seen {
			if c := seen[i].Load(); c != 1 {
				t.Errorf("%d of %d was checked %d times", i, n, c)
			}
		}
	}
}

func TestForEachGivesTheFirstError(t *testing.T) {
	const n = 1000
	for _, first := range []int{0, 1, 500, n - 1} {
		want := fmt.Errorf("at %d", first)
		err := forEach(n, func(i int) error {
			switch {
			case i == first:
				return want
			case i > first:
				return errors.New("a later one")
			}
			return nil
		})
		if err != want {
			t.Errorf("have %v, want %v", err, want)
		}
	}
}

// TestForEachStops: after a failure there is no more work than what is in hand.
func TestForEachStops(t *testing.T) {
	const n = 100_000
	var calls atomic.Int64
	err := forEach(n, func(int) error { calls.Add(1); return errors.New("wrong") })
	if limit := int64(runtime.GOMAXPROCS(0)); err == nil || calls.Load() > limit {
		t.Errorf("%d calls, %v; want at most %d", calls.Load(), err, limit)
	}
}

// TestForEachUsesAllCores lets as many checks meet as there are cores. Were
// there fewer workers, all would wait for ever, which fails the bubble.
func TestForEachUsesAllCores(t *testing.T) {
	const cores = 4
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
	synctest.Test(t, func(t *testing.T) {
		var here atomic.Int32
		all := make(chan struct{})
		err := forEach(cores*entriesPerWorker, func(int) error {
			if here.Add(1) == cores {
				close(all)
			}
			<-all
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestFewEntriesStayOnOneGoroutine: a publication of one path is the common
// case.
func TestFewEntriesStayOnOneGoroutine(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for n, want := range map[int]int{0: 1, 1: 1, 2*entriesPerWorker - 1: 1, 2 * entriesPerWorker: 2, 4096: 4} {
		if have := workersFor(n); have != want {
			t.Errorf("%d workers for %d entries, want %d", have, n, want)
		}
	}
}
