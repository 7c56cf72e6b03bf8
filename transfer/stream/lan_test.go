package stream

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

func attachedTo(cidrs ...string) func() ([]net.Addr, error) {
	return func() ([]net.Addr, error) {
		var all []net.Addr
		for _, s := range cidrs {
			ip, n, err := net.ParseCIDR(s)
			if err != nil {
				return nil, err
			}
			all = append(all, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return append(all, &net.UnixAddr{}), nil
	}
}

func TestLAN(t *testing.T) {
	attached := attachedTo("127.0.0.1/8", "192.168.1.7/24", "10.9.0.3/32", "203.0.113.5/24", "fd00:1::5/64", "fe80::1/64", "2001:db8::5/64")
	for _, c := range []struct {
		addr  string
		named []netip.Prefix
		want  bool
	}{
		{"127.0.0.1", nil, true},
		{"127.9.9.9", nil, true},
		{"::1", nil, true},
		{"::ffff:127.0.0.1", nil, true},
		{"192.168.1.200", nil, true},
		{"::ffff:192.168.1.200", nil, true},
		{"192.168.2.1", nil, false}, // another network
		{"10.9.0.3", nil, false},    // a tunnel's end is no network
		{"203.0.113.6", nil, false}, // next door, but public
		{"2001:db8::6", nil, false}, // the same
		{"100.64.0.1", nil, false},  // a provider's other customers
		{"8.8.8.8", nil, false},
		{"fd00:1::99", nil, true},
		{"fd00:2::99", nil, false},
		{"fe80::99", nil, true},
		{"fe80::99%eth0", nil, true},
		{"0.0.0.0", nil, false},
		{"192.168.1.200", []netip.Prefix{}, false},
		{"127.0.0.1", []netip.Prefix{}, true},
		{"8.8.8.8", []netip.Prefix{netip.MustParsePrefix("8.8.0.0/16")}, true},
		{"192.168.1.200", []netip.Prefix{netip.MustParsePrefix("8.8.0.0/16")}, false},
	} {
		l := newLAN(c.named)
		l.interfaces = attached
		if got := l.has(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s with %v: %v, want %v", c.addr, c.named, got, c.want)
		}
	}
}

// Networks come and go; what was known last holds while they cannot be listed.
func TestLANChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(nil)
		a := netip.MustParseAddr("192.168.1.200")
		l.interfaces = attachedTo("192.168.1.7/24")
		if !l.has(a) {
			t.Error("at home: not on the LAN")
		}
		l.interfaces = func() ([]net.Addr, error) { return nil, errors.New("no") }
		time.Sleep(interfacesFor)
		if !l.has(a) {
			t.Error("networks not listed: forgotten")
		}
		l.interfaces = attachedTo("172.16.0.7/24")
		time.Sleep(interfacesFor)
		if l.has(a) {
			t.Error("elsewhere: still on the LAN")
		}
	})
}

func TestDialGate(t *testing.T) {
	g := NewDialGate(nil, false)
	g.lan.interfaces = attachedTo("192.168.1.7/24", "127.0.0.1/8")
	g.Permit(netip.MustParseAddr("10.1.2.3"))
	g.Permit(netip.MustParseAddr("fe80::5%eth0"))
	g.Permit(netip.MustParseAddr("0.0.0.0"))
	open := NewDialGate(nil, true)
	for addr, want := range map[string]bool{
		"/ip4/203.0.113.9/tcp/7670":                  true,
		"/ip6/2001:db8::1/udp/7670/quic-v1":          true,
		"/ip4/192.168.1.9/tcp/7670":                  true,
		"/ip4/192.168.2.9/tcp/7670":                  false,
		"/ip4/10.1.2.3/tcp/22":                       true,
		"/ip4/10.1.2.4/tcp/22":                       false,
		"/ip6/fe80::5/tcp/1":                         true,
		"/ip6zone/eth1/ip6/fe80::6/tcp/1":            false,
		"/ip4/169.254.169.254/tcp/80":                false,
		"/ip4/127.0.0.1/tcp/7670":                    false,
		"/ip6/::1/tcp/7670":                          false,
		"/ip6/::ffff:127.0.0.1/tcp/7670":             false,
		"/ip4/0.0.0.0/tcp/7670":                      false,
		"/ip6/::/tcp/7670":                           false,
		"/ip4/224.0.0.251/udp/5353/quic-v1":          false,
		"/ip4/255.255.255.255/udp/1/quic-v1":         false,
		"/dns/example.org/tcp/1":                     false,
		"/ip4/10.1.2.4/tcp/1/p2p-circuit":            false,
		"/ip4/203.0.113.9/udp/1/quic-v1/p2p-circuit": true,
	} {
		if got := g.InterceptAddrDial("", ma.StringCast(addr)); got != want {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
	if !open.InterceptAddrDial("", ma.StringCast("/ip4/127.0.0.1/tcp/1")) {
		t.Error("a gate that lets loopback through does not")
	}
}

func TestRank(t *testing.T) {
	const public4, public6, private4, private6 = "/ip4/203.0.113.9", "/ip6/2001:db8::1", "/ip4/192.168.1.9", "/ip6/fd00::1"
	const tcp, quic, relay = "/tcp/7670", "/udp/7670/quic-v1", "/tcp/1/p2p/12D3KooWGRUVh7R6fNBvTVcRfQfY9XV3n8NqnWUb9mXpbvzGJwcK/p2p-circuit"
	ms := time.Millisecond
	for _, want := range []map[string]time.Duration{
		{public4 + tcp: 0, public4 + quic: 250 * ms},
		{public6 + tcp: 0, public4 + tcp: 250 * ms, public6 + quic: 500 * ms, public4 + quic: 750 * ms},
		{public6 + quic: 0, public4 + quic: 250 * ms},
		{private4 + tcp: 0, private4 + quic: 30 * ms, public4 + tcp: 0, public4 + quic: 250 * ms, public4 + relay: 500 * ms},
		{private6 + tcp: 0, private4 + tcp: 30 * ms, private4 + "/tcp/1": 30 * ms},
		{public4 + relay: 0},
		{"/dns/example.org" + tcp: 0},
		{},
	} {
		var addrs []ma.Multiaddr
		for s := range want {
			addrs = append(addrs, ma.StringCast(s))
		}
		got := rank(addrs)
		if len(got) != len(want) {
			t.Errorf("%d addresses ranked of %d", len(got), len(want))
		}
		for _, r := range got {
			s := r.Addr.String()
			if d, ok := want[s]; !ok || d != r.Delay {
				t.Errorf("%s after %v, want %v (%v)", s, r.Delay, d, want)
			}
		}
	}
}
