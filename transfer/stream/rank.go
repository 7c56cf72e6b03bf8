package stream

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// How long the next class of addresses waits for the one before it (RFC 8305
// recommends 250 ms; on a LAN a round trip is far shorter), and relays for
// everything direct.
const (
	publicStep  = 250 * time.Millisecond
	privateStep = 30 * time.Millisecond
	relayStep   = 500 * time.Millisecond
)

// class is how much an address is liked, the lowest first.
type class int

// TCP stands before QUIC: it moves bulk with a third of the work. QUIC gets
// through where TCP does not.
const (
	tcp6 class = iota
	tcp4
	quic6
	quic4
	classes
)

// rank says when each address of a peer is dialled: public and private ones side
// by side, each class a step after the one before, relays last.
func rank(addrs []ma.Multiaddr) []network.AddrDelay {
	var public, private [classes][]ma.Multiaddr
	var relays, others []ma.Multiaddr
	for _, a := range addrs {
		c, ok := classOf(a)
		switch {
		case isRelayed(a):
			relays = append(relays, a)
		case !ok:
			others = append(others, a)
		case manet.IsPrivateAddr(a):
			private[c] = append(private[c], a)
		default:
			public[c] = append(public[c], a)
		}
	}
	var ranked []network.AddrDelay
	at := time.Duration(0)
	add := func(all []ma.Multiaddr) {
		for _, a := range all {
			ranked = append(ranked, network.AddrDelay{Addr: a, Delay: at})
		}
	}
	for _, group := range []struct {
		classes [classes][]ma.Multiaddr
		step    time.Duration
	}{{private, privateStep}, {public, publicStep}} {
		at = 0
		for _, class := range group.classes {
			add(class)
			if len(class) > 0 {
				at += group.step
			}
		}
	}
	at = 0
	if len(ranked) > 0 {
		at = relayStep
	}
	add(others)
	add(relays)
	return ranked
}

func classOf(a ma.Multiaddr) (class, bool) {
	_, ip4 := a.ValueForProtocol(ma.P_IP4)
	_, tcp := a.ValueForProtocol(ma.P_TCP)
	_, quic := a.ValueForProtocol(ma.P_QUIC_V1)
	switch {
	case tcp == nil && ip4 == nil:
		return tcp4, true
	case tcp == nil:
		return tcp6, true
	case quic == nil && ip4 == nil:
		return quic4, true
	case quic == nil:
		return quic6, true
	}
	return 0, false
}
