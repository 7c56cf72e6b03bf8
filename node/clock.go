package node

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/trust"
)

// Clock is what the clocks of connected peers say of this machine's. Peers may lie, so nothing is judged by it: it is there to
// tell people.
type Clock struct {
	Ahead time.Duration // of the peers; negative: behind them
	Peers int           // how many say what time it is
}

// ClockError says that a publication would be dated so far ahead that others would hold it back.
type ClockError struct{ Clock }

func (e *ClockError) Error() string {
	return fmt.Sprintf("this machine's clock is %v ahead of %d peers", e.Ahead.Round(time.Second), e.Peers)
}

// setClock notes what r's clock said when its answer came. The way of the answer makes a peer's clock look a little behind.
func (p *peers) setClock(r *remote, theirs time.Time) {
	if theirs.IsZero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.behind, r.clock = p.now().Sub(theirs), true
}

// Clock compares this machine's clock with those of the connected peers: the median, and of two in the middle the one that
// agrees better, so that one peer alone never outvotes another.
func (n *Node) Clock() Clock {
	n.peers.mu.Lock()
	defer n.peers.mu.Unlock()
	var all []time.Duration
	for _, r := range n.peers.byID {
		if r.clock {
			all = append(all, r.behind)
		}
	}
	if len(all) == 0 {
		return Clock{}
	}
	slices.Sort(all)
	middle := all[(len(all)-1)/2 : len(all)/2+1]
	return Clock{Ahead: slices.MinFunc(middle, func(a, b time.Duration) int { return cmp.Compare(a.Abs(), b.Abs()) }), Peers: len(all)}
}

// checkClock refuses to date a publication that others would hold back. One peer alone does not stop anybody: it may be the one
// that is wrong, or lies.
func (n *Node) checkClock() error {
	if c := n.Clock(); c.Peers > 1 && c.Ahead > trust.MaxAhead {
		return &ClockError{c}
	}
	return nil
}
