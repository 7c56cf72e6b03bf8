package node

import (
	"sync"
	"time"
)

// coldness is what is known of the connection to an origin. One that was not asked for a while has closed it, and to make another one takes
// five ways there and back for a name, TCP, TLS and the question: more than a narinfo may take, when it is far away. Nix would be told "not here" of the
// first paths that it asks for, which are those that it wants, and build them. So an origin that did answer gets a grace then, once until it answers
// again; one that never did has that of the start alone. The zero value is an origin that nobody asked. Safe for concurrent use.
type coldness struct {
	mu    sync.Mutex
	heard time.Time // when it answered last; zero: not since the start, or since this machine moved
	asked time.Time // when it was asked first after that; zero: it was not
}

// ask notes that it is asked something.
func (c *coldness) ask(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked.IsZero() {
		c.asked = now
	}
}

// answered notes an answer.
func (c *coldness) answered(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.asked = now, time.Time{}
}

// moved notes that there is no connection any more.
func (c *coldness) moved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard, c.asked = time.Time{}, time.Time{}
}

// grace is how much longer than usual an answer may take now. start is the rest of the grace after the start.
func (c *coldness) grace(now time.Time, start time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := graceCold
	if !c.asked.IsZero() {
		rest = min(rest, rest-now.Sub(c.asked))
	}
	switch {
	case c.heard.IsZero():
		rest = min(rest, start)
	case now.Sub(c.heard).Abs() < originWarm:
		rest = 0
	}
	return max(rest, 0)
}

// grace is how much longer than usual an answer may take for the sake of the origins.
func (us *upstreams) grace(now time.Time, start time.Duration) (grace time.Duration) {
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, u := range us.byAddress {
		if !u.breaker.keepsBack(now) {
			grace = max(grace, u.cold.grace(now, start))
		}
	}
	return grace
}
