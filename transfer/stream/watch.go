package stream

import (
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/flurry-nix/flurry/transfer/wire"
)

// sweepEvery is how often what is known of strangers' conduct is looked through.
const sweepEvery = time.Minute

func subscribe(h host.Host) (event.Subscription, error) {
	return h.EventBus().Subscribe([]any{
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
	}, eventbus.BufSize(eventBuffer), eventbus.Name("flurry"))
}

// watch keeps the roster until the network is closed.
func (n *Network) watch(events event.Subscription) {
	defer events.Close()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for _, id := range n.host.Network().Peers() {
		n.refresh(id)
	}
	for {
		select {
		case e, ok := <-events.Out():
			if !ok {
				return
			}
			switch e := e.(type) {
			case event.EvtPeerConnectednessChanged:
				n.refresh(e.Peer)
			case event.EvtPeerIdentificationCompleted:
				n.refresh(e.Peer)
			case event.EvtPeerProtocolsUpdated:
				n.refresh(e.Peer)
			}
		case <-sweep.C:
			n.guard.sweep()
		case <-n.ctx.Done():
			return
		}
	}
}

// refresh puts id on the roster or takes it off, by what libp2p says now:
// events say only that it is time to look.
func (n *Network) refresh(id lpeer.ID) {
	p := peerID(id)
	if n.bans.Has(p) {
		n.hangUp(id)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	if n.host.Network().Connectedness(id) == network.Connected && n.speaks(id) {
		c := newConn(n, id)
		n.roster.Put(c)
		n.host.ConnManager().TagPeer(id, connTag, worth(c.LAN()))
	} else {
		n.roster.Remove(p)
		n.host.ConnManager().UntagPeer(id, connTag)
	}
}

// connTag is what a connection is worth to flurry when there are too many:
// peers that it can ask are kept before those of the DHT, whose tags stay below
// 20, and those on the LAN before others.
const connTag = "flurry"

func worth(lan bool) int {
	if lan {
		return 200
	}
	return 100
}

// speaks says whether id is known to speak flurry.
func (n *Network) speaks(id lpeer.ID) bool {
	known, err := n.host.Peerstore().SupportsProtocols(id, protocolID(wire.Lookup))
	return err == nil && len(known) > 0
}
