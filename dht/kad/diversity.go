package kad

import (
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// diversity decides who may enter the routing table: of one public network, no
// bucket takes more than maxPerNetwork peers, so that renting neighbouring
// addresses does not buy all of it. Private networks are not bounded: there
// everybody has one prefix.
//
// The library's own filter allows three peers of a network in the whole table,
// private ones too, and so keeps small networks apart.
type diversity struct {
	host host.Host

	mu       sync.Mutex
	networks map[peer.ID]netip.Prefix // of the peers in the table
	counts   map[niche]int
}

// niche is what is bounded: a network in a bucket.
type niche struct {
	bucket  int
	network netip.Prefix
}

var _ peerdiversity.PeerIPGroupFilter = (*diversity)(nil)

func newDiversity(h host.Host) *diversity {
	return &diversity{host: h, networks: make(map[peer.ID]netip.Prefix), counts: make(map[niche]int)}
}

// PeerAddresses implements [peerdiversity.PeerIPGroupFilter]. The library groups
// peers by the addresses that it gets here, and refuses those without; it gets one
// that says nothing, since the groups are made below.
func (d *diversity) PeerAddresses(peer.ID) []ma.Multiaddr {
	return []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1")}
}

// Allow implements [peerdiversity.PeerIPGroupFilter].
func (d *diversity) Allow(g peerdiversity.PeerGroupInfo) bool {
	at := networkOfPeer(d.host, g.Id)
	d.mu.Lock()
	defer d.mu.Unlock()
	return !at.IsValid() || d.counts[niche{g.Cpl, at}] < maxPerNetwork
}

// Increment implements [peerdiversity.PeerIPGroupFilter]: a peer has entered.
func (d *diversity) Increment(g peerdiversity.PeerGroupInfo) {
	at := networkOfPeer(d.host, g.Id)
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.networks[g.Id]; at.IsValid() && !known {
		d.networks[g.Id] = at
		d.counts[niche{g.Cpl, at}]++
	}
}

// Decrement implements [peerdiversity.PeerIPGroupFilter]: a peer has left.
func (d *diversity) Decrement(g peerdiversity.PeerGroupInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, known := d.networks[g.Id]
	if !known {
		return
	}
	delete(d.networks, g.Id)
	n := niche{g.Cpl, at}
	if d.counts[n]--; d.counts[n] == 0 {
		delete(d.counts, n)
	}
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
