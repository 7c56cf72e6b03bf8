package httpgateway

import (
	"sync/atomic"
	"time"
)

// allowance is how much longer somebody waits for an answer. It is for what hangs, and not for a machine that has no processor to
// spare: time in which this process could not run is not counted, up to maxStarved, or on a busy machine what is here would be told
// not to be, and Nix would remember that. It waits in short pieces, and one that took far longer is counted as what it was to be.
type allowance struct {
	left    time.Duration
	starved time.Duration // not counted so far
}

// next is how long to wait before it is looked again; 0: the time is over.
func (a *allowance) next() time.Duration { return max(min(a.left, waitPiece), 0) }

// waited counts a piece that was to take as long as piece and took as long as took. It returns what of that is not counted.
func (a *allowance) waited(piece, took time.Duration) (starved time.Duration) {
	over := took - piece
	if over < waitPiece/2 { // timers are never exact
		a.left -= took
		return 0
	}
	a.left -= piece
	if starved = min(over, maxStarved-a.starved); starved < over {
		a.left -= over - starved
	}
	a.starved += starved
	return starved
}

// starvation is time that whoever waited for a question did not count, and that whoever answers it may still take.
type starvation struct{ ns atomic.Int64 }

// note is told what one who waits has not counted, all in all; others who wait for the same saw the same.
func (s *starvation) note(all time.Duration) {
	for {
		had := s.ns.Load()
		if had >= int64(all) || s.ns.CompareAndSwap(had, int64(all)) {
			return
		}
	}
}

func (s *starvation) noted() time.Duration { return time.Duration(s.ns.Load()) }
