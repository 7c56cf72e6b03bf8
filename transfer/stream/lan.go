package stream

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// lan tells which addresses are on the LAN: loopback, and either the networks
// that were named or every private address on a network that this machine is
// attached to.
type lan struct {
	named      []netip.Prefix
	interfaces func() ([]net.Addr, error)

	mu       sync.Mutex
	attached []netip.Prefix
	until    time.Time // attached is made again then
}

func newLAN(named []netip.Prefix) *lan {
	return &lan{named: named, interfaces: net.InterfaceAddrs}
}

// conn says whether c goes over the LAN. A relayed connection never does: who is
// at its other end is anywhere.
func (l *lan) conn(c network.Conn) bool {
	m := c.RemoteMultiaddr()
	if c.Stat().Limited || isRelayed(m) {
		return false
	}
	ip, err := manet.ToIP(m)
	if err != nil {
		return false
	}
	a, ok := netip.AddrFromSlice(ip)
	return ok && l.has(a)
}

func isRelayed(m ma.Multiaddr) bool {
	_, err := m.ValueForProtocol(ma.P_CIRCUIT)
	return err == nil
}

func (l *lan) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() {
		return true
	}
	if l.named != nil {
		return within(a, l.named)
	}
	return isPrivate(a) && within(a, l.networks())
}

func within(a netip.Addr, all []netip.Prefix) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

// isPrivate accepts RFC 1918, RFC 4193 and link-local addresses. The shared
// addresses of RFC 6598 are not in it: behind them are a provider's other
// customers.
func isPrivate(a netip.Addr) bool { return a.IsPrivate() || a.IsLinkLocalUnicast() }

// networks is what this machine is attached to.
func (l *lan) networks() []netip.Prefix {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.until) {
		return l.attached
	}
	l.until = now.Add(interfacesFor)
	addrs, err := l.interfaces()
	if err != nil { // what was known last is the better guess
		return l.attached
	}
	l.attached = nil
	for _, a := range addrs {
		if p, ok := prefixOf(a); ok {
			l.attached = append(l.attached, p)
		}
	}
	return l.attached
}

// prefixOf is the network that an interface's address is in; not that of a lone
// address, such as a tunnel has.
func prefixOf(a net.Addr) (netip.Prefix, bool) {
	n, ok := a.(*net.IPNet)
	if !ok {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ip = ip.Unmap()
	ones, bits := n.Mask.Size()
	if bits == 128 && ip.Is4() {
		ones -= 96
	}
	if ones <= 0 || ones == ip.BitLen() {
		return netip.Prefix{}, false
	}
	p, err := ip.WithZone("").Prefix(ones)
	return p, err == nil
}
