package kad

import (
	"net/netip"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// welcome reports whether a peer that this node is connected to may enter the
// routing table. No bucket takes more than maxPerNetwork peers of one public
// network, so that renting neighbouring addresses does not buy all of it. Private
// networks are not bounded: there everybody has one prefix.
func (s *session) welcome(_ any, p peer.ID) bool {
	at, from := s.networkOf(p)
	if from == public && s.router.o.LAN {
		return false
	}
	if !at.IsValid() {
		return true
	}
	self := kb.ConvertPeerID(s.router.host.ID())
	bucket := kb.CommonPrefixLen(self, kb.ConvertPeerID(p))
	neighbours := 0
	for _, o := range s.dht.RoutingTable().ListPeers() {
		if o == p || kb.CommonPrefixLen(self, kb.ConvertPeerID(o)) != bucket {
			continue
		}
		if other, _ := s.networkOf(o); other == at {
			neighbours++
		}
	}
	return neighbours < maxPerNetwork
}

// networkOf returns the scope of a peer and, if that is public, the network that
// it is in: by its connection, which it cannot forge, else by what is known of it.
func (s *session) networkOf(p peer.ID) (netip.Prefix, scope) {
	from, at := public, ma.Multiaddr(nil)
	for _, c := range s.router.host.Network().ConnsToPeer(p) {
		a := c.RemoteMultiaddr()
		if sc := connScope(a); sc < public {
			from = sc
		}
		at = a
	}
	if from < public {
		return netip.Prefix{}, from
	}
	if at == nil {
		for _, a := range s.router.host.Peerstore().Addrs(p) {
			if scopeOf(a) == public {
				at = a
			}
		}
	}
	return networkOf(at), public
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
