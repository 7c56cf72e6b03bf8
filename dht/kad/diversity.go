package kad

import (
	"net/netip"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// neighbourhood is what the library is asked for its routing table.
type neighbourhood interface {
	Host() host.Host
	RoutingTable() *kb.RoutingTable
}

// welcome reports whether a peer that this node is connected to may enter the
// routing table of v, a [neighbourhood]. No bucket takes more than maxPerNetwork
// peers of one public network, so that renting neighbouring addresses does not buy
// all of it. Private networks are not bounded: there everybody has one prefix.
func welcome(v any, p peer.ID) bool {
	n, ok := v.(neighbourhood)
	if !ok {
		return false
	}
	at := networkOfPeer(n.Host(), p)
	if !at.IsValid() {
		return true
	}
	self := kb.ConvertPeerID(n.Host().ID())
	bucket := kb.CommonPrefixLen(self, kb.ConvertPeerID(p))
	neighbours := 0
	for _, o := range n.RoutingTable().ListPeers() {
		if o != p && kb.CommonPrefixLen(self, kb.ConvertPeerID(o)) == bucket && networkOfPeer(n.Host(), o) == at {
			neighbours++
		}
	}
	return neighbours < maxPerNetwork
}

// networkOfPeer returns the public network that a peer is in: by its connections,
// which it cannot forge, else by what is known of it. It is invalid for a peer in
// our private network.
func networkOfPeer(h host.Host, p peer.ID) (at netip.Prefix) {
	conns := h.Network().ConnsToPeer(p)
	for _, c := range conns {
		if connScope(c.RemoteMultiaddr()) != public {
			return netip.Prefix{}
		}
		at = networkOf(c.RemoteMultiaddr())
	}
	if len(conns) > 0 {
		return at
	}
	for _, a := range h.Peerstore().Addrs(p) {
		if scopeOf(a) == public {
			at = networkOf(a)
		}
	}
	return at
}

// networkOf returns the /16 or /32 of a public address, which is what one party
// has cheaply.
func networkOf(a ma.Multiaddr) netip.Prefix {
	if ipScope(a) != public {
		return netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(a[0].RawValue())
	bits := 32
	if ip = ip.Unmap(); ip.Is4() {
		bits = 16
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}
