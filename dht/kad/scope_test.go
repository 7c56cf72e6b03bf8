package kad

import (
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func addr(t *testing.T, s string) ma.Multiaddr {
	t.Helper()
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const someID = "12D3KooWGRUVh7R6fNBvTVcRfQfY9XV3n8NqnWUb9mXpbvzGJwcK"

func TestScopeOf(t *testing.T) {
	for in, want := range map[string]scope{
		"/ip4/127.0.0.1/tcp/7670":                               machine,
		"/ip4/127.255.3.4/udp/7670/quic-v1":                     machine,
		"/ip6/::1/tcp/7670":                                     machine,
		"/ip6/::ffff:127.0.0.1/tcp/7670":                        machine,
		"/ip4/10.0.0.1/tcp/1":                                   private,
		"/ip4/172.31.255.255/tcp/1":                             private,
		"/ip4/192.168.1.1/udp/1/quic-v1":                        private,
		"/ip4/100.64.0.1/tcp/1":                                 private,
		"/ip4/100.127.255.255/tcp/1":                            private,
		"/ip6/fd00::1/tcp/1":                                    private,
		"/ip6/::ffff:192.168.1.1/tcp/1":                         private,
		"/ip4/100.128.0.1/tcp/1":                                public,
		"/ip4/100.63.255.255/tcp/1":                             public,
		"/ip4/172.32.0.1/tcp/1":                                 public,
		"/ip4/203.0.113.9/tcp/7670":                             public,
		"/ip4/203.0.113.9/udp/7670/quic-v1":                     public,
		"/ip6/2001:db8::1/tcp/7670":                             public,
		"/ip4/203.0.113.9/tcp/1/p2p/" + someID + "/p2p-circuit": public,
		"/ip4/10.0.0.1/tcp/1/p2p/" + someID + "/p2p-circuit":    private,

		"/ip4/169.254.169.254/tcp/80":     nowhere, // cloud metadata
		"/ip6/fe80::1/tcp/1":              nowhere,
		"/ip4/0.0.0.0/tcp/1":              nowhere,
		"/ip4/0.1.2.3/tcp/1":              nowhere,
		"/ip4/224.0.0.1/udp/1/quic-v1":    nowhere,
		"/ip4/255.255.255.255/tcp/1":      nowhere,
		"/ip6/::/tcp/1":                   nowhere,
		"/ip6/ff02::1/udp/1/quic-v1":      nowhere,
		"/ip6/2002:c0a8:101::1/tcp/1":     nowhere, // 192.168.1.1 by 6to4
		"/ip6/64:ff9b::7f00:1/tcp/1":      nowhere, // 127.0.0.1 by NAT64
		"/ip6/64:ff9b:1::a00:1/tcp/1":     nowhere,
		"/dns4/localhost/tcp/1":           nowhere,
		"/dnsaddr/seed.example":           nowhere,
		"/ip4/203.0.113.9":                nowhere,
		"/ip4/203.0.113.9/udp/1":          nowhere,
		"/ip4/203.0.113.9/udp/1/quic":     nowhere,
		"/unix/tmp/x":                     nowhere,
		"/ip6zone/eth0/ip6/fe80::1/tcp/1": nowhere,
		"/p2p/" + someID:                  nowhere,
		"/ip4/203.0.113.9/tcp/1" + strings.Repeat("/p2p/"+someID, 4): nowhere, // too long
	} {
		if got := scopeOf(addr(t, in)); got != want {
			t.Errorf("scope of %s is %d, want %d", in, got, want)
		}
	}
	if scopeOf(nil) != nowhere {
		t.Error("no address has a scope")
	}
}

func TestConnScope(t *testing.T) {
	for in, want := range map[string]scope{
		"/ip4/127.0.0.1/tcp/1":                                machine,
		"/ip4/192.168.1.7/udp/1/quic-v1":                      private,
		"/ip4/203.0.113.9/tcp/1":                              public,
		"/ip4/127.0.0.1/tcp/1/p2p/" + someID + "/p2p-circuit": public, // whoever the relay lets in
		"/ip6/fe80::1/tcp/1":                                  public, // tells nothing
		"/memory/1":                                           public,
	} {
		if got := connScope(addr(t, in)); got != want {
			t.Errorf("scope of a connection to %s is %d, want %d", in, got, want)
		}
	}
}

func TestTellable(t *testing.T) {
	// Rows: the scope of an address; columns: that of the peer.
	for a, row := range map[scope][3]bool{
		nowhere: {false, false, false},
		machine: {true, false, false},
		private: {true, true, false},
		public:  {true, true, true},
	} {
		for i, peer := range []scope{machine, private, public} {
			if got := tellable(a, peer); got != row[i] {
				t.Errorf("an address of scope %d to a peer of scope %d: %v", a, peer, got)
			}
		}
	}
}

func TestDialable(t *testing.T) {
	got := dialable([]ma.Multiaddr{
		addr(t, "/ip4/127.0.0.1/tcp/1"),
		addr(t, "/ip4/169.254.1.1/tcp/1"),
		addr(t, "/ip4/192.168.1.1/tcp/1"),
		addr(t, "/ip4/203.0.113.9/tcp/1"),
		addr(t, "/ip4/203.0.113.9/udp/1/quic-v1"),
	})
	want := []string{"/ip4/203.0.113.9/tcp/1", "/ip4/203.0.113.9/udp/1/quic-v1", "/ip4/192.168.1.1/tcp/1", "/ip4/127.0.0.1/tcp/1"}
	for i, a := range got {
		if i >= len(want) || a.String() != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestNetworkOf(t *testing.T) {
	for in, want := range map[string]string{
		"/ip4/203.0.113.9/tcp/1":        "203.0.0.0/16",
		"/ip6/::ffff:203.0.113.9/tcp/1": "203.0.0.0/16",
		"/ip6/2001:db8:1:2::1/tcp/1":    "2001:db8::/32",
		"/ip4/192.168.1.1/tcp/1":        "invalid Prefix",
		"/ip4/127.0.0.1/tcp/1":          "invalid Prefix",
		"/dns4/seed.example/tcp/1":      "invalid Prefix",
	} {
		if got := networkOf(addr(t, in)).String(); got != want {
			t.Errorf("network of %s is %s, want %s", in, got, want)
		}
	}
}
