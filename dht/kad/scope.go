package kad

import (
	"net/netip"

	ma "github.com/multiformats/go-multiaddr"
)

// A scope is how far an address reaches. Each scope includes those after it: who
// is on this machine reaches private and public addresses too.
//
// An address is told only to those, and believed only from those, who are within
// its scope. So a stranger on the internet can make nobody dial 192.168.1.1 or
// 127.0.0.1, and does not learn how the network behind a router looks, while
// nodes on one LAN or one machine find each other by such addresses. What a peer's
// scope is, its connection says, which it cannot forge.
type scope byte

const (
	nowhere scope = iota // not an address to dial
	machine              // loopback
	private              // RFC 1918, RFC 4193, RFC 6598
	public
)

// tellable reports whether an address of scope a may pass between this node and a
// peer whose connection has scope peer.
func tellable(a, peer scope) bool { return a != nowhere && a >= peer }

// scopeOf returns the scope of an address that can be dialled: an IP address, and
// TCP or QUIC. One through a relay has the scope of the relay. Names are nowhere:
// what a stranger's name resolves to, the stranger decides after we have looked.
func scopeOf(a ma.Multiaddr) scope {
	if len(a) < 2 || len(a.Bytes()) > maxAddrBytes {
		return nowhere
	}
	if !overTCP(a) && !overQUIC(a) {
		return nowhere
	}
	return ipScope(a)
}

func overTCP(a ma.Multiaddr) bool { return a[1].Protocol().Code == ma.P_TCP }

func overQUIC(a ma.Multiaddr) bool {
	return len(a) > 2 && a[1].Protocol().Code == ma.P_UDP && a[2].Protocol().Code == ma.P_QUIC_V1
}

// connScope returns the scope of the peer at the other end of a connection to or
// from a. Through a relay anybody may come.
func connScope(a ma.Multiaddr) scope {
	for _, c := range a {
		if c.Protocol().Code == ma.P_CIRCUIT {
			return public
		}
	}
	if s := ipScope(a); s != nowhere {
		return s
	}
	return public
}

func ipScope(a ma.Multiaddr) scope {
	if len(a) == 0 {
		return nowhere
	}
	if c := a[0].Protocol().Code; c != ma.P_IP4 && c != ma.P_IP6 {
		return nowhere
	}
	ip, ok := netip.AddrFromSlice(a[0].RawValue())
	if !ok {
		return nowhere
	}
	return scopeOfIP(ip.Unmap())
}

func scopeOfIP(ip netip.Addr) scope {
	switch {
	case ip.IsLoopback():
		return machine
	case ip.IsPrivate() || isShared(ip):
		return private
	case ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || isReserved(ip) || embedsIPv4(ip):
		return nowhere
	}
	return public
}

// isShared reports whether ip is in 100.64.0.0/10, which carriers and overlay
// networks use behind a translator (RFC 6598).
func isShared(ip netip.Addr) bool {
	b := ip.AsSlice()
	return ip.Is4() && b[0] == 100 && b[1]&0xc0 == 64
}

// isReserved reports whether ip is in 0.0.0.0/8 or 240.0.0.0/4 (RFC 6890), which
// some systems take for themselves or for everybody.
func isReserved(ip netip.Addr) bool {
	b := ip.AsSlice()
	return ip.Is4() && (b[0] == 0 || b[0] >= 240)
}

// embedsIPv4 reports whether ip is in 2002::/16 (RFC 3056), 64:ff9b::/96 (RFC
// 6052) or 64:ff9b:1::/48 (RFC 8215): a translator would make a private IPv4
// address of what looks public.
func embedsIPv4(ip netip.Addr) bool {
	b := ip.AsSlice()
	return ip.Is6() && (b[0] == 0x20 && b[1] == 0x02 || b[0] == 0 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b)
}
