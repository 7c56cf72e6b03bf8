package peer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/peer"
)

func TestParsePeer(t *testing.T) {
	const id = "12D3KooWGRUVh7R6fNBvTVcRfQfY9XV3n8NqnWUb9mXpbvzGJwcK"
	host := func(h string, p uint16) peer.Hint { return peer.Hint{Host: h, Port: p} }
	addr := func(m string) peer.Hint { return peer.Hint{Multiaddr: m} }
	for in, want := range map[string]peer.Hint{
		"seed.acme.example":               host("seed.acme.example", 7670),
		"seed.acme.example.":              host("seed.acme.example.", 7670),
		"Seed-1_b":                        host("Seed-1_b", 7670),
		"seed:80":                         host("seed", 80),
		"seed:65535":                      host("seed", 65535),
		"203.0.113.9":                     host("203.0.113.9", 7670),
		"203.0.113.9:7671":                host("203.0.113.9", 7671),
		"2001:db8::1":                     host("2001:db8::1", 7670),
		"2001:DB8:0::1":                   host("2001:db8::1", 7670),
		"[2001:db8::1]":                   host("2001:db8::1", 7670),
		"[2001:db8::1]:1":                 host("2001:db8::1", 1),
		"fe80::1%eth0":                    host("fe80::1%eth0", 7670),
		"[fe80::1%eth0]:9":                host("fe80::1%eth0", 9),
		"/ip4/203.0.113.9/tcp/7670":       addr("/ip4/203.0.113.9/tcp/7670"),
		"/ip6/2001:DB8::1/udp/1/quic-v1":  addr("/ip6/2001:db8::1/udp/1/quic-v1"),
		"/dns/seed.example/tcp/1":         addr("/dns/seed.example/tcp/1"),
		"/dnsaddr/seeds.example":          addr("/dnsaddr/seeds.example"),
		"/ip4/1.2.3.4/tcp/1/p2p/" + id:    addr("/ip4/1.2.3.4/tcp/1/p2p/" + id),
		"/ip4/1.2.3.4/tcp/1/ipfs/" + id:   addr("/ip4/1.2.3.4/tcp/1/p2p/" + id),
		strings.Repeat("a", 63) + ".b":    host(strings.Repeat("a", 63)+".b", 7670),
		strings.Repeat("a.", 126) + "b":   host(strings.Repeat("a.", 126)+"b", 7670),
		"/ip6zone/eth0/ip6/fe80::1/tcp/1": addr("/ip6zone/eth0/ip6/fe80::1/tcp/1"),
	} {
		got, err := peer.ParsePeer(in)
		if err != nil || got != want {
			t.Errorf("ParsePeer(%q) = %+v, %v; want %+v", in, got, err, want)
		}
		again, err := peer.ParsePeer(got.String())
		if err != nil || again != got {
			t.Errorf("ParsePeer(%q) = %+v, %v; want what %q gave", got.String(), again, err, in)
		}
	}
}

func TestParsePeerRefuses(t *testing.T) {
	for in, why := range map[string]string{
		"":                               "empty",
		"http://seed.example":            "web address",
		"seed.example:":                  "port",
		"seed.example:0":                 "port",
		"seed.example:65536":             "port",
		"seed.example:080":               "port",
		"seed.example:+80":               "port",
		"seed.example:http":              "port",
		"a:b:c":                          "brackets",
		":80":                            "host name",
		"[seed]":                         "IPv6",
		"[1.2.3.4]:80":                   "IPv6",
		"[::1":                           "brackets",
		"seed..example":                  "between dots",
		".":                              "between dots",
		"-seed":                          "'-'",
		"seed-.example":                  "'-'",
		"se ed":                          "not in a host name",
		"séed":                           "not in a host name",
		"10.0.0.256":                     "neither",
		"10.0.0":                         "neither",
		"7670":                           "neither",
		"/":                              "",
		"/ip4/1.2.3.4":                   "neither tcp nor",
		"/ip4/1.2.3.4/udp/1":             "neither tcp nor",
		"/ip4/1.2.3.256/tcp/1":           "",
		"/unix/tmp/x":                    "begins with neither",
		"/memory/1":                      "begins with neither",
		"/onion3/x:1":                    "",
		strings.Repeat("a", 64):          "between dots",
		strings.Repeat("a.", 126) + "bc": "characters",
		strings.Repeat("/", 513):         "at most 512",
	} {
		got, err := peer.ParsePeer(in)
		if !errors.Is(err, peer.ErrBadHint) || !strings.Contains(err.Error(), why) {
			t.Errorf("ParsePeer(%.80q) = %+v, %v; want an error with %q", in, got, err, why)
		}
	}
}

func TestZeroHintNamesNobody(t *testing.T) {
	if s := (peer.Hint{}).String(); s != "" {
		t.Errorf("zero hint: %q", s)
	}
}

func TestShort(t *testing.T) {
	for in, want := range map[peer.ID]string{"": "", "abc": "abc", "12D3KooWQmT3": "…QmT3"} {
		if got := in.Short(); got != want {
			t.Errorf("%q.Short() = %q, want %q", in, got, want)
		}
	}
}

func FuzzParsePeer(f *testing.F) {
	for _, s := range []string{"a", "a:1", "[::1]:2", "1.2.3.4", "/ip4/1.2.3.4/tcp/1", "/dnsaddr/x", "/ip4/1.2.3.4/udp/1/quic-v1/p2p-circuit", "fe80::1%a]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := peer.ParsePeer(s)
		if err != nil {
			if !errors.Is(err, peer.ErrBadHint) {
				t.Fatalf("%q: %v does not wrap ErrBadHint", s, err)
			}
			return
		}
		again, err := peer.ParsePeer(h.String())
		if err != nil || again != h {
			t.Fatalf("%q gives %+v, whose text %q gives %+v, %v", s, h, h.String(), again, err)
		}
	})
}

func TestHintAddr(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.9:1":                   "203.0.113.9",
		"[2001:db8::1]:1":                 "2001:db8::1",
		"seed.example":                    "",
		"/ip4/10.0.0.1/tcp/1":             "10.0.0.1",
		"/ip6/2001:db8::1/udp/1/quic-v1":  "2001:db8::1",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1": "fe80::1",
		"/dns/seed.example/tcp/1":         "",
	} {
		h, err := peer.ParsePeer(in)
		if err != nil {
			t.Fatal(err)
		}
		a, ok := h.Addr()
		if ok != (want != "") || ok && a.String() != want {
			t.Errorf("%s: %v, %v; want %q", in, a, ok, want)
		}
	}
}
