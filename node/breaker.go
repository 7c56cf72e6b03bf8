package node

import (
	"sync"
	"time"
)

// breaker keeps this node from waiting over and over for what does not answer, a peer or an origin: Nix asks for hundreds of
// paths, and each would wait for the whole budget. After breakAfter failures in a row nobody is let through for breakFor, and
// then one question, which decides how it goes on; each one in vain doubles the time, up to breakMost. The zero value lets all
// through. Safe for concurrent use.
type breaker struct {
	mu       sync.Mutex
	failures int           // in a row
	pause    time.Duration // for how long nobody is let through; 0: all are
	until    time.Time     // the end of the pause
	trying   bool          // one was let through after a pause
}

// allows reports whether a question may be asked now. Whoever is let through says whether it worked or failed, or neither if it
// was broken off.
func (b *breaker) allows(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return true
	}
	if now.Before(b.until) {
		return false
	}
	b.until, b.trying = now.Add(breakFor), true // others wait for what this one finds out, if it says so at all
	return true
}

// open reports whether nothing worked since too much failed.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause > 0
}

// keepsBack reports whether a question that was asked now would be kept back. Unlike allows it lets nobody through.
func (b *breaker) keepsBack(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause > 0 && now.Before(b.until)
}

// trip begins a pause at once, or lengthens the last one; not while it lasts.
func (b *breaker) trip(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause > 0 && now.Before(b.until) {
		return
	}
	b.pause = min(max(2*b.pause, breakFor), breakMost)
	b.until, b.trying = now.Add(b.pause), false
}

// worked notes an answer, whatever it said.
func (b *breaker) worked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.pause, b.trying = 0, 0, false
}

// failed notes a question that got no answer in time, or an error instead. What was under way when the pause began says
// nothing new.
func (b *breaker) failed(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause > 0 && !b.trying {
		return
	}
	if b.failures++; b.failures < breakAfter {
		return
	}
	b.pause = min(max(2*b.pause, breakFor), breakMost)
	b.until, b.trying = now.Add(b.pause), false
}
