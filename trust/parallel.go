package trust

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// forEach calls check for 0 to n-1, on all cores when there is enough to do, and
// returns when all calls have. The error is that of the lowest number that
// fails; some of those above it may not be checked.
func forEach(n int, check func(i int) error) error {
	first := firstFailure{at: n}
	var next atomic.Int64
	work := func() {
		for {
			// Numbers are handed out in order, so that those below a failed one
			// are checked or in hand.
			i := int(next.Add(1) - 1)
			if i >= first.limit() {
				return
			}
			if err := check(i); err != nil {
				first.note(i, err)
			}
		}
	}
	var wg sync.WaitGroup
	for range workersFor(n) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return first.err
}

func workersFor(n int) int {
	return max(1, min(runtime.GOMAXPROCS(0), n/entriesPerWorker))
}

// firstFailure keeps the failure with the lowest number.
type firstFailure struct {
	mu  sync.Mutex
	at  int
	err error
}

// limit returns the number from which on nothing matters.
func (f *firstFailure) limit() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

func (f *firstFailure) note(i int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i < f.at {
		f.at, f.err = i, err
	}
}
