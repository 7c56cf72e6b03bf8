package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/ledger"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// Options are what a person may set. The zero value is fine.
type Options struct {
	// LAN are the networks whose peers count as being on the LAN. nil: private
	// addresses on networks that this machine is attached to.
	LAN []netip.Prefix
	// UploadRate caps what is sent to peers that are not on the LAN, in bytes a
	// second; 0: no cap.
	UploadRate int64
	// Uploads is how many answers with chunks are sent at a time; 0: 64.
	Uploads int
	// Pace is how slow peers may be; zero: wire.DefaultPace.
	Pace wire.Pace
	// Log is told what is wrong here, and who is banned; nil: nobody is.
	Log *slog.Logger
}

// Network is this node's connections over libp2p. Make one with [New].
type Network struct {
	ledger.Meter
	host    host.Host
	log     *slog.Logger
	asker   wire.Asker
	server  wire.Server
	roster  *ledger.Roster
	bans    ledger.Bans
	guard   *guard
	lan     *lan
	uploads *uploads

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wait   sync.WaitGroup // for the watcher, for answers, for hanging up

	mu     sync.Mutex // closed, and the order of refresh
	closed bool
}

var _ transfer.Network = (*Network)(nil)

// New answers on h with handler, and uses h's connections until Close. It does
// not close h.
func New(h host.Host, handler transfer.Handler, o Options) (*Network, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Uploads == 0 {
		o.Uploads = defaultUploads
	}
	n := &Network{
		host:    h,
		log:     o.Log,
		asker:   wire.Asker{Pace: o.Pace},
		server:  wire.Server{Handler: newLimited(handler, o.Uploads, o.UploadRate), Pace: o.Pace, Log: o.Log},
		roster:  ledger.NewRoster(),
		guard:   newGuard(),
		lan:     newLAN(o.LAN),
		uploads: newUploads(o.UploadRate),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	events, err := subscribe(h)
	if err != nil {
		n.cancel()
		return nil, fmt.Errorf("listening to libp2p's events: %w", err)
	}
	for p := range wire.Protocols {
		h.SetStreamHandler(protocolID(p), func(s network.Stream) { n.accept(p, s) })
	}
	n.wait.Go(func() { n.watch(events) })
	return n, nil
}

// Close stops answering and waits until every answer has ended. Questions that
// others asked through this network fail.
func (n *Network) Close() error {
	n.mu.Lock()
	closed := n.closed
	n.closed = true
	n.mu.Unlock()
	if !closed {
		for p := range wire.Protocols {
			n.host.RemoveStreamHandler(protocolID(p))
		}
		n.cancel()
	}
	n.wait.Wait()
	n.roster.Close()
	return nil
}

// begin makes Close wait for one more n.wait.Done; false: it is too late.
func (n *Network) begin() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.wait.Add(1)
	}
	return !n.closed
}

// Self implements [transfer.Dialer].
func (n *Network) Self() peer.Info {
	info := peer.Info{ID: peerID(n.host.ID())}
	for _, a := range n.host.Addrs() {
		info.Addrs = append(info.Addrs, a.String())
	}
	return info
}

// Connected implements [transfer.Dialer].
func (n *Network) Connected() []transfer.Conn { return n.roster.Connected() }

// Events implements [transfer.Dialer].
func (n *Network) Events(ctx context.Context) <-chan transfer.Event { return n.roster.Events(ctx) }

// Banned implements [transfer.Bans].
func (n *Network) Banned() []transfer.Ban { return n.bans.Banned() }

// Ban implements [transfer.Bans].
func (n *Network) Ban(p peer.ID, d time.Duration, why string) {
	n.bans.Add(p, d, why)
	id, err := lpeer.Decode(string(p))
	if err != nil || !n.bans.Has(p) {
		return
	}
	n.log.Info("peer banned", "peer", p, "for", d, "why", why)
	n.hangUp(id)
}

// hangUp closes all connections to id, soon.
func (n *Network) hangUp(id lpeer.ID) {
	n.roster.Remove(peerID(id))
	if n.begin() {
		go func() {
			defer n.wait.Done()
			_ = n.host.Network().ClosePeer(id)
		}()
	}
}

// Connect implements [transfer.Dialer].
func (n *Network) Connect(ctx context.Context, p peer.Info) (transfer.Conn, error) {
	if n.bans.Has(p.ID) {
		return nil, transfer.ErrBanned
	}
	if n.ctx.Err() != nil {
		return nil, transfer.ErrClosed
	}
	if c := n.roster.Get(p.ID); c != nil {
		return c, nil
	}
	info, err := addrInfo(p)
	if err != nil {
		return nil, err
	}
	dial, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	stop := context.AfterFunc(n.ctx, cancel)
	defer stop()
	if err := n.host.Connect(network.WithDialPeerTimeout(dial, dialTimeout), info); err != nil {
		return nil, n.connectError(ctx, p, err)
	}
	n.refresh(info.ID)
	if c := n.roster.Get(p.ID); c != nil {
		return c, nil
	}
	// What the peer speaks is not known yet, if the connection was there before
	// or if it does not say: asking for it tells.
	s, err := n.host.NewStream(dial, info.ID, protocolID(wire.Lookup))
	if err != nil {
		return nil, n.connectError(ctx, p, err)
	}
	_ = s.Reset()
	n.refresh(info.ID)
	if c := n.roster.Get(p.ID); c != nil {
		return c, nil
	}
	return nil, n.connectError(ctx, p, transfer.ErrDisconnected)
}

func (n *Network) connectError(ctx context.Context, p peer.Info, err error) error {
	var unspoken multistream.ErrNotSupported[protocol.ID]
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case n.ctx.Err() != nil:
		return transfer.ErrClosed
	case n.bans.Has(p.ID):
		return transfer.ErrBanned
	case errors.As(err, &unspoken):
		return transfer.ErrNotFlurry
	}
	return fmt.Errorf("connecting to %s: %w", p.ID.Short(), err)
}

// addrInfo drops addresses that cannot be read; there may be others.
func addrInfo(p peer.Info) (lpeer.AddrInfo, error) {
	id, err := lpeer.Decode(string(p.ID))
	if err != nil {
		return lpeer.AddrInfo{}, fmt.Errorf("peer id %q: %w", transfer.Printable(string(p.ID)), err)
	}
	info := lpeer.AddrInfo{ID: id}
	for _, s := range p.Addrs[:min(len(p.Addrs), peer.MaxAddrs)] {
		if a, err := ma.NewMultiaddr(s); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info, nil
}
