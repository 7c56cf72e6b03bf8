package stream

import (
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// DialGate decides which addresses this node dials, and which connections
// that say nothing make way for others. Most addresses come from
// strangers, who could name the private services of this machine and its
// networks: so a loopback or private address is dialled only if it is on a
// network that this machine is attached to, or was named by a person here. An
// address that is no single machine's is never dialled.
type DialGate struct {
	lan      *lan
	loopback bool
	silents  silents

	mu    sync.Mutex
	named map[netip.Addr]struct{}
}

var _ connmgr.ConnectionGater = (*DialGate)(nil)

// NewDialGate returns a gate. networks count as attached; loopback says whether
// this machine itself may be dialled.
func NewDialGate(networks []netip.Prefix, loopback bool) *DialGate {
	return &DialGate{lan: newLAN(networks), loopback: loopback, named: make(map[netip.Addr]struct{})}
}

// Permit lets through an address that a person here named.
func (g *DialGate) Permit(a netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.named) < maxNamed {
		g.named[a.Unmap().WithZone("")] = struct{}{}
	}
}

// maxNamed is how many addresses a person names: many times the hints of a
// configuration, which are resolved again and again.
const maxNamed = 4096

func (g *DialGate) allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid(), a.IsUnspecified(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return false
	case g.isNamed(a):
		return true
	case a.IsLoopback():
		return g.loopback
	case isPrivate(a):
		return g.lan.has(a)
	}
	return true
}

func (g *DialGate) isNamed(a netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.named[a]
	return ok
}

// InterceptAddrDial implements [connmgr.ConnectionGater]. The address of a
// relayed connection is the relay's.
func (g *DialGate) InterceptAddrDial(_ lpeer.ID, m ma.Multiaddr) bool {
	ip, err := manet.ToIP(m)
	if err != nil {
		return false
	}
	a, ok := netip.AddrFromSlice(ip)
	return ok && g.allows(a)
}

// InterceptPeerDial implements [connmgr.ConnectionGater].
func (g *DialGate) InterceptPeerDial(lpeer.ID) bool { return true }

// InterceptAccept implements [connmgr.ConnectionGater].
func (g *DialGate) InterceptAccept(c network.ConnMultiaddrs) bool {
	g.silents.accept(c, time.Now())
	return true
}

// InterceptSecured implements [connmgr.ConnectionGater].
func (g *DialGate) InterceptSecured(d network.Direction, _ lpeer.ID, c network.ConnMultiaddrs) bool {
	if d == network.DirInbound {
		g.silents.secured(c)
	}
	return true
}

// InterceptUpgraded implements [connmgr.ConnectionGater].
func (g *DialGate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
