package node

import "time"

// Moved says that this machine came to another network, or woke up: what was found out about who can be reached is forgotten, and for
// as long as after a start answers may wait for somebody to be found. It is called once the node runs.
func (n *Node) Moved() {
	now := n.Now() // with its monotonic reading: the clock may be set once there is a network again
	n.moved.Store(&now)
	n.peers.forgive()
	n.upstreams.forgive()
	n.revision.Add(1)
}

// graceLeft is the rest of the grace after the start, or after the machine moved; below 0 it is over. Whatever a clock says, no more
// than all of it is left.
func (n *Node) graceLeft() time.Duration {
	since := n.started
	if at := n.moved.Load(); at != nil {
		since = *at
	}
	return min(n.settings.Grace, n.settings.Grace-n.Now().Sub(since))
}

// GraceLeft is how much longer than usual a question may take now: the rest of the grace, as long as a namespace in use was never
// synced, or after a move nobody is connected yet; and what an origin may take that was not asked for a while (coldness).
func (n *Node) GraceLeft() time.Duration {
	left := n.graceLeft()
	if left > 0 {
		used := n.spaces.inUse("")
		if len(n.unsynced(used)) > 0 || n.moved.Load() != nil && n.network() != nil && !n.peers.any() {
			return left
		}
		for _, sp := range used {
			n.upstreams.of(sp) // else it is not known that it may be asked
		}
	}
	return n.upstreams.grace(n.Now(), left)
}

// forgive forgets who did not answer, or was looked for in vain.
func (p *peers) forgive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.vain)
	for _, r := range p.byID {
		clear(r.absent)
		r.breaker.worked()
		r.content.worked()
	}
	p.tell()
}

// forgive has origins asked again that did not answer, and what nobody nearby had.
func (us *upstreams) forgive() {
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, u := range us.byAddress {
		u.breaker.worked()
		u.cold.moved()
		u.holders.reopen()
	}
}
