package stream

import (
	"context"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
)

// slots lets a number of answers be under way at a time, so many for each peer,
// and makes the others wait for their turn for a while.
type slots struct {
	perPeer  int
	patience time.Duration

	mu    sync.Mutex
	free  int
	held  map[peer.ID]int
	queue []*turn // who waits, in order of arrival
}

// turn is one who waits.
type turn struct {
	peer peer.ID
	come chan struct{} // closed when it has the slot
}

func newSlots(inAll, perPeer int, patience time.Duration) *slots {
	return &slots{perPeer: perPeer, patience: patience, free: inAll, held: make(map[peer.ID]int)}
}

// take gives p a slot until ctx ends. The error is a [transfer.BusyError], or
// ctx's.
func (s *slots) take(ctx context.Context, p peer.ID) error {
	if err := s.acquire(ctx, p); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { s.release(p) })
	return nil
}

func (s *slots) acquire(ctx context.Context, p peer.ID) error {
	s.mu.Lock()
	if s.fits(p) {
		s.grant(p)
		s.mu.Unlock()
		return nil
	}
	if s.patience == 0 {
		s.mu.Unlock()
		return &transfer.BusyError{RetryAfter: busyFor}
	}
	t := &turn{peer: p, come: make(chan struct{})}
	s.queue = append(s.queue, t)
	s.mu.Unlock()

	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	var err error
	select {
	case <-t.come:
		return nil
	case <-timer.C:
		err = &transfer.BusyError{RetryAfter: busyFor}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if !s.leave(t) { // it came just now
		if ctx.Err() == nil {
			return nil
		}
		s.release(p)
	}
	return err
}

func (s *slots) fits(p peer.ID) bool { return s.free > 0 && s.held[p] < s.perPeer }

func (s *slots) grant(p peer.ID) {
	s.free--
	s.held[p]++
}

// leave takes t out of the queue; false: it was granted.
func (s *slots) leave(t *turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.queue {
		if other == t {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return true
		}
	}
	return false
}

func (s *slots) release(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	if s.held[p]--; s.held[p] == 0 {
		delete(s.held, p)
	}
	for i, t := range s.queue {
		if s.fits(t.peer) {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			s.grant(t.peer)
			close(t.come)
			return
		}
	}
}
