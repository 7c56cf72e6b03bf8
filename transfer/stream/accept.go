package stream

import (
	"errors"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/ledger"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// accept answers a stream that a peer opened. libp2p calls it in a goroutine of
// its own; Close waits for it all the same.
func (n *Network) accept(p wire.Protocol, s network.Stream) {
	if !n.begin() {
		_ = s.Reset()
		return
	}
	defer n.wait.Done()

	from := transfer.Remote{Peer: peer.ID(s.Conn().RemotePeer().String()), LAN: n.lan.conn(s.Conn())}
	if n.bans.Has(from.Peer) {
		_ = s.Reset()
		n.hangUp(s.Conn().RemotePeer())
		return
	}
	switch n.guard.enter(from.Peer, from.LAN) {
	case welcome:
		defer n.guard.leave(from.Peer)
		n.answer(p, s, from)
	case askedTooOften:
		defer n.guard.leave(from.Peer)
		caller := wire.Caller{Remote: from}
		_ = n.server.Busy(n.ctx, n.counted(s, p, from), caller, tooOften)
	case tooMany:
		_ = s.Reset()
	case flood:
		_ = s.Reset()
		n.Ban(from.Peer, floodBan, "asks on and on")
	}
}

func (n *Network) answer(p wire.Protocol, s network.Stream, from transfer.Remote) {
	caller := wire.Caller{Remote: from}
	if !from.LAN {
		caller.Throttle = n.uploads.throttle(p)
	}
	err := n.server.Serve(n.ctx, p, n.counted(s, p, from), caller)
	if err != nil && !errors.Is(err, wire.ErrGone) {
		n.log.Debug("question not answered", "peer", from.Peer, "protocol", p, "err", err)
	}
}

func (n *Network) counted(s network.Stream, p wire.Protocol, with transfer.Remote) wire.Stream {
	return ledger.Counted(s, n.Tap(with.Peer, p, with.LAN))
}
