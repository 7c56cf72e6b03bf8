package stream

import (
	"sync"

	"golang.org/x/time/rate"

	"github.com/flurry-nix/flurry/peer"
)

// verdict is what happens to a stream that a peer opens.
type verdict int

const (
	welcome verdict = iota
	askedTooOften
	tooMany // streams at once
	flood   // asks on and on although it was told not to
)

// allowance is how often a peer may ask.
type allowance struct {
	perSecond rate.Limit
	burst     int // at once
}

// guard counts the streams of peers, and how often they ask. Make one with
// newGuard.
type guard struct {
	lan, wan allowance
	strikes  int // how many warnings are enough

	mu    sync.Mutex
	inAll int
	peers map[peer.ID]*conduct
}

// conduct is how one peer behaves. It is forgotten when the peer has no streams
// and could ask as often as a stranger.
type conduct struct {
	streams int
	asks    *rate.Limiter
	strikes int
}

func newGuard() *guard {
	return &guard{
		lan:     allowance{rateLAN, burstLAN},
		wan:     allowance{rateWAN, burstWAN},
		strikes: strikes,
		peers:   make(map[peer.ID]*conduct),
	}
}

// enter judges one more stream of p. If it is welcome or asked too often, leave
// must be called when it has ended.
func (g *guard) enter(p peer.ID, lan bool) verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.peers[p]
	if c == nil {
		a := g.wan
		if lan {
			a = g.lan
		}
		c = &conduct{asks: rate.NewLimiter(a.perSecond, a.burst)}
		g.peers[p] = c
	}
	if c.rested() {
		c.strikes = 0
	}
	often, crowd := !c.asks.Allow(), c.streams >= streamsPerPeer
	if often || crowd {
		c.strikes++
	}
	switch {
	case c.strikes > g.strikes:
		c.strikes = 0
		return flood
	case crowd || g.inAll >= streamsInAll:
		return tooMany
	}
	c.streams++
	g.inAll++
	if often {
		return askedTooOften
	}
	return welcome
}

func (g *guard) leave(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inAll--
	c := g.peers[p]
	if c == nil {
		return
	}
	c.streams--
	g.forget(p, c)
}

// forget drops what is known of p if a stranger would be treated alike.
func (g *guard) forget(p peer.ID, c *conduct) {
	if c.streams == 0 && c.rested() {
		delete(g.peers, p)
	}
}

// rested says that the peer could ask as often at once as a stranger.
func (c *conduct) rested() bool { return c.asks.Tokens() >= float64(c.asks.Burst()) }

// sweep forgets whom it can.
func (g *guard) sweep() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, c := range g.peers {
		g.forget(p, c)
	}
}
