package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
)

// peers is what the node knows of the peers it is connected to: which namespaces they answer for, how fast they were,
// and what they said they do not have.
type peers struct {
	now     func() time.Time
	changed func()

	mu   sync.Mutex
	byID map[peer.ID]*remote
	wake chan struct{}                   // closed and replaced on change
	met  chan struct{}                   // closed and replaced when a peer connects
	vain map[namespace.Address]time.Time // when holders were last looked for in vain
}

// remote is one connected peer. Its fields are guarded by peers.mu.
type remote struct {
	conn   transfer.Conn
	gone   <-chan struct{} // closed at disconnection
	cancel context.CancelFunc

	serves  map[namespace.Address]bool
	seeds   map[namespace.Address]time.Time     // when it was last seen to mirror a namespace
	asks    map[namespace.Address]chan struct{} // closed when it asks about a namespace; of those for which that is waited for
	absent  map[content.BodyID]time.Time
	load    load
	polls   map[namespace.Address]bool
	breaker breaker                   // of questions that Nix waits for
	content breaker                   // of what it was to bring: for a while it is asked for nothing more
	vain    map[namespace.Address]int // publications that were fetched for nothing since one was taken
	clock   bool                      // it said what time it is
	behind  time.Duration             // of this machine's clock, as far as it is known
}

func newPeers(now func() time.Time, changed func()) *peers {
	return &peers{now: now, changed: changed, byID: make(map[peer.ID]*remote), wake: make(chan struct{}), met: make(chan struct{}), vain: make(map[namespace.Address]time.Time)}
}

// tell is called with mu held.
func (p *peers) tell() {
	close(p.wake)
	p.wake = make(chan struct{})
	p.changed()
}

func (p *peers) changes() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wake
}

// arrivals returns a channel that is closed when the next peer connects.
func (p *peers) arrivals() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met
}

// add notes a connection. The context that it returns ends when the peer disconnects.
func (p *peers) add(ctx context.Context, c transfer.Conn) (context.Context, *remote, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.byID[c.Peer()]; known {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &remote{conn: c, gone: ctx.Done(), cancel: cancel, serves: make(map[namespace.Address]bool), seeds: make(map[namespace.Address]time.Time), asks: make(map[namespace.Address]chan struct{}),
		absent: make(map[content.BodyID]time.Time), polls: make(map[namespace.Address]bool), vain: make(map[namespace.Address]int)}
	p.byID[c.Peer()] = r
	close(p.met)
	p.met = make(chan struct{})
	p.tell()
	return ctx, r, true
}

func (p *peers) remove(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.byID[id]; ok {
		r.cancel()
		delete(p.byID, id)
		p.tell()
	}
}

// setServes notes whether r answers for a.
func (p *peers) setServes(r *remote, a namespace.Address, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.serves[a] == yes {
		return
	}
	if yes {
		r.serves[a] = true
		delete(p.vain, a)
	} else {
		delete(r.serves, a)
	}
	p.tell()
}

// asking returns a channel that is closed when r asks about a the next time.
func (p *peers) asking(r *remote, a namespace.Address) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.asks[a] == nil {
		r.asks[a] = make(chan struct{})
	}
	return r.asks[a]
}

// asked notes that a peer asked about a.
func (p *peers) asked(id peer.ID, a namespace.Address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.byID[id]; r != nil && r.asks[a] != nil {
		close(r.asks[a])
		delete(r.asks, a)
	}
}

// setSeeds notes whether r mirrors a, as its answer to an offer says.
func (p *peers) setSeeds(r *remote, a namespace.Address, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if yes {
		r.seeds[a] = p.now()
	} else {
		delete(r.seeds, a)
	}
}

// seedsOf are the connected peers that were lately seen to mirror a.
func (p *peers) seedsOf(a namespace.Address) []*remote {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*remote
	for _, r := range p.byID {
		if at, yes := r.seeds[a]; yes && p.now().Sub(at) < seedMemory {
			out = append(out, r)
		}
	}
	return out
}

// deserted reports whether holders of a were looked for in vain a moment ago, and nobody came since.
func (p *peers) deserted(a namespace.Address) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.vain[a]
	return ok && p.now().Sub(t) < absentMemory
}

func (p *peers) setDeserted(a namespace.Address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vain[a] = p.now()
}

// setAbsent notes that r does not have b, for a while.
func (p *peers) setAbsent(r *remote, b content.BodyID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	for id, t := range r.absent {
		if now.Sub(t) > absentMemory {
			delete(r.absent, id)
		}
	}
	r.absent[b] = now
	p.changed()
}

// serving lists the peers that answer for a, best first: the LAN before others, then by measured speed. With a body,
// those that just said they do not have it, or brought nothing of what they were asked, are left out.
func (p *peers) serving(a namespace.Address, b *content.BodyID) []*remote {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	var out []*remote
	for _, r := range p.byID {
		if !r.serves[a] {
			continue
		}
		if b != nil {
			if t, said := r.absent[*b]; said && now.Sub(t) < absentMemory || r.content.keepsBack(now) {
				continue
			}
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y *remote) int {
		if x.conn.LAN() != y.conn.LAN() {
			if x.conn.LAN() {
				return -1
			}
			return 1
		}
		if c := cmp.Compare(y.load.speed(), x.load.speed()); c != 0 {
			return c
		}
		return cmp.Compare(x.conn.Peer(), y.conn.Peer())
	})
	return out
}

// named returns the peer with that id, if it is connected.
func (p *peers) named(id peer.ID) *remote {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byID[id]
}

// awaited returns the peer with that id when it is connected; nil, if it is not within a while.
func (p *peers) awaited(ctx context.Context, id peer.ID, most time.Duration) *remote {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		met := p.arrivals()
		if r := p.named(id); r != nil {
			return r
		}
		select {
		case <-met:
		case <-ctx.Done():
			return nil
		}
	}
}

// any reports whether a peer is connected.
func (p *peers) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byID) > 0
}

func (p *peers) connected() []*remote {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*remote, 0, len(p.byID))
	for _, r := range p.byID {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y *remote) int { return cmp.Compare(x.conn.Peer(), y.conn.Peer()) })
	return out
}

// startPoll reports whether r may be asked for a by long poll, of which there are at most longPolls a namespace.
func (p *peers) startPoll(r *remote, a namespace.Address) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	others := 0
	for _, o := range p.byID {
		if o != r && o.polls[a] {
			others++
		}
	}
	if others >= longPolls {
		return false
	}
	r.polls[a] = true
	return true
}

func (p *peers) endPoll(r *remote, a namespace.Address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(r.polls, a)
}

// inVain notes that of the publications of a that were fetched from r some were for nothing and some came, and reports
// whether the former are too many.
func (p *peers) inVain(r *remote, a namespace.Address, vain, came int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if came > 0 {
		r.vain[a] = 0
	}
	if r.vain[a] += vain; r.vain[a] < vainPublications {
		return false
	}
	r.vain[a] = 0
	return true
}

// watchConnections follows what the network says about connections until ctx ends.
func (n *Node) watchConnections(ctx context.Context) {
	for ev := range n.network().Events(ctx) {
		if ev.Conn != nil {
			n.connected(ctx, ev.Conn)
			continue
		}
		n.peers.remove(ev.Peer)
	}
}

func (n *Node) connected(ctx context.Context, c transfer.Conn) {
	alive, r, fresh := n.peers.add(ctx, c)
	if !fresh {
		return
	}
	n.upstreams.peerCame()
	n.Log.Debug("peer connected", "peer", c.Peer().Short(), "lan", c.LAN())
	n.tasks.Go(func(context.Context) { n.followPeer(alive, r) })
}

// ban drops a peer that lied and says so.
func (n *Node) ban(r *remote, why string) {
	n.Log.Warn("peer banned", "peer", r.conn.Peer().Short(), "for", banTime, "why", why)
	n.stats.bans.Add(1)
	n.network().Ban(r.conn.Peer(), banTime, why)
	n.peers.remove(r.conn.Peer())
}
