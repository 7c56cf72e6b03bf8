package main

import (
	"net"
	"net/netip"
	"testing"
)

func addrsOf(t *testing.T, all ...string) (addrs []net.Addr) {
	t.Helper()
	for _, s := range all {
		ip, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, &net.IPNet{IP: ip, Mask: n.Mask})
	}
	return addrs
}

// TestNetworks: another network is a move; another address in the same one, a container's end and the loss of all of them are none.
func TestNetworks(t *testing.T) {
	home := addrsOf(t, "127.0.0.1/8", "::1/128", "192.168.1.20/24", "2001:db8:1:2:aaaa::1/64", "fe80::1/64")
	for _, c := range []struct {
		name string
		is   []net.Addr
		want bool
	}{
		{"the same", home, false},
		{"another address of the same networks", addrsOf(t, "192.168.1.77/24", "2001:db8:1:2:bbbb::1/64"), false},
		{"a container's end", append(addrsOf(t, "fe80::42/64", "169.254.3.4/16"), home...), false},
		{"nothing", addrsOf(t, "127.0.0.1/8"), false},
		{"another network", addrsOf(t, "127.0.0.1/8", "10.3.4.5/16"), true},
		{"one more", append(addrsOf(t, "10.8.0.2/24"), home...), true},
	} {
		if got := joined(networks(home), networks(c.is)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestLocalAddr(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/192.168.1.20/tcp/7670": "192.168.1.20", "/ip6/2001:db8::1/udp/7670/quic-v1": "2001:db8::1", "/ip6/::ffff:10.0.0.1/tcp/1": "10.0.0.1",
		"/ip4/0.0.0.0/udp/7670/quic-v1": "", "/ip6/::/udp/7670/quic-v1": "", "/ip4/127.0.0.1/tcp/1": "", "/dns4/x/tcp/1": "", "/p2p-circuit": "", "": "",
	} {
		got, ok := localAddr(text)
		if ok != (want != "") || ok && got != netip.MustParseAddr(want) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}
