package transfertest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/ledger"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// Node is one node's connections. It is a [transfer.Network].
type Node struct {
	ledger.Meter
	net    *Net
	id     peer.ID
	site   string
	asker  wire.Asker
	server wire.Server
	roster *ledger.Roster
	bans   ledger.Bans

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wait   sync.WaitGroup // for answers

	mu     sync.Mutex
	closed bool
	open   map[*end]peer.ID // streams of both directions, by who is at the other end
}

var _ transfer.Network = (*Node)(nil)

func newNode(n *Net, site string, id peer.ID, h transfer.Handler) *Node {
	node := &Node{
		net: n, id: id, site: site,
		server: wire.Server{Handler: h, Log: slog.New(slog.DiscardHandler)},
		roster: ledger.NewRoster(),
		open:   make(map[*end]peer.ID),
	}
	node.ctx, node.cancel = context.WithCancel(context.Background())
	return node
}

// Close ends all connections and answers, and waits for them. Others see the
// node vanish.
func (a *Node) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	for _, c := range a.roster.Connected() {
		if b := a.net.reach(a, c.Peer()); b != nil {
			a.disconnect(b)
		}
	}
	a.net.mu.Lock()
	if a.net.nodes[a.id] == a {
		delete(a.net.nodes, a.id)
	}
	a.net.mu.Unlock()
	a.cancel()
	a.hangUp("")
	a.wait.Wait()
	a.roster.Close()
}

// Self implements [transfer.Dialer].
func (a *Node) Self() peer.Info {
	return peer.Info{ID: a.id, Addrs: []string{"/memory/" + string(a.id)}}
}

// Connected implements [transfer.Dialer].
func (a *Node) Connected() []transfer.Conn { return a.roster.Connected() }

// Events implements [transfer.Dialer].
func (a *Node) Events(ctx context.Context) <-chan transfer.Event { return a.roster.Events(ctx) }

// Connect implements [transfer.Dialer]. It takes one trip there and back, and
// fails at once for a node that cannot be reached.
func (a *Node) Connect(ctx context.Context, p peer.Info) (transfer.Conn, error) {
	if a.bans.Has(p.ID) {
		return nil, transfer.ErrBanned
	}
	if a.isClosed() {
		return nil, transfer.ErrClosed
	}
	if c := a.roster.Get(p.ID); c != nil {
		return c, nil
	}
	if err := sleep(ctx, 2*a.net.delayBetween(a.id, p.ID)); err != nil {
		return nil, err
	}
	b := a.net.reach(a, p.ID)
	if b == nil || b.bans.Has(a.id) || b.isClosed() {
		return nil, fmt.Errorf("%s cannot be reached", p.ID)
	}
	b.roster.Put(newConn(b, a.id))
	c := a.roster.Put(newConn(a, b.id))
	if c == nil {
		return nil, transfer.ErrClosed
	}
	return c, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ban implements [transfer.Bans].
func (a *Node) Ban(p peer.ID, d time.Duration, why string) {
	a.bans.Add(p, d, why)
	if b := a.net.reach(a, p); b != nil && a.bans.Has(p) {
		a.disconnect(b)
	}
}

// Banned implements [transfer.Bans].
func (a *Node) Banned() []transfer.Ban { return a.bans.Banned() }

// Disconnect ends the connection with p, as if the line had broken once.
func (a *Node) Disconnect(p peer.ID) {
	if b := a.net.reach(a, p); b != nil {
		a.disconnect(b)
	}
}

func (a *Node) disconnect(b *Node) {
	a.roster.Remove(b.id)
	b.roster.Remove(a.id)
	a.hangUp(b.id)
	b.hangUp(a.id)
}

// hangUp resets all streams with p; "" means everybody.
func (a *Node) hangUp(p peer.ID) {
	a.mu.Lock()
	var all []*end
	for e, other := range a.open {
		if p == "" || other == p {
			all = append(all, e)
		}
	}
	a.mu.Unlock()
	for _, e := range all {
		e.Reset()
	}
}

func (a *Node) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// hold remembers a stream until it is let go of; false: the node is closed.
func (a *Node) hold(e *end, other peer.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.open[e] = other
	return true
}

func (a *Node) letGo(e *end) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, e)
}

// answer takes the far end of a stream that b opened.
func (a *Node) answer(far *end, p wire.Protocol, b *Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		far.Reset()
		return
	}
	a.open[far] = b.id
	a.wait.Go(func() {
		defer a.letGo(far)
		lan := a.site == b.site
		from := wire.Caller{Remote: transfer.Remote{Peer: b.id, LAN: lan}}
		// How an answer went is for its asker to say.
		_ = a.server.Serve(a.ctx, p, ledger.Counted(far, a.Tap(b.id, p, lan)), from)
	})
}

// conn is a [transfer.Conn] of node with peer.
type conn struct {
	wire.Conn
	node *Node
	peer peer.ID
}

var _ transfer.Conn = (*conn)(nil)

func newConn(a *Node, p peer.ID) *conn {
	c := &conn{node: a, peer: p}
	c.Conn = wire.Conn{Asker: &a.asker, Open: c.open}
	return c
}

func (c *conn) Peer() peer.ID { return c.peer }

func (c *conn) LAN() bool {
	b := c.node.net.reach(c.node, c.peer)
	return b != nil && b.site == c.node.site
}

// open opens a stream and lets the peer answer what comes on it.
func (c *conn) open(ctx context.Context, p wire.Protocol, _ bool) (wire.Stream, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	a := c.node
	b := a.net.reach(a, c.peer)
	if b == nil || a.roster.Get(c.peer) == nil {
		return nil, transfer.ErrDisconnected
	}
	delay := func() time.Duration { return a.net.delayBetween(a.id, b.id) }
	near, far := newStream(delay, a.net.budget(a.id, b.id))
	near.over = func() { a.letGo(near) }
	if !a.hold(near, b.id) {
		return nil, transfer.ErrClosed
	}
	b.answer(far, p, a)
	return ledger.Counted(near, a.Tap(b.id, p, a.site == b.site)), nil
}
