package kad

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	recpb "github.com/libp2p/go-libp2p-record/pb"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/dht"
)

func marshal(t testing.TB, m *pb.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func unmarshal(t testing.TB, raw []byte) *pb.Message {
	t.Helper()
	m := new(pb.Message)
	if err := proto.Unmarshal(raw, m); err != nil {
		t.Fatal(err)
	}
	return m
}

// someone is the i-th of many peers with valid ids.
func someone(i int) libpeer.ID {
	return libpeer.ID("\x00\x24\x08\x01\x12\x20" + fmt.Sprintf("%032d", i))
}

func subject(t testing.TB, i int, addrs ...string) *pb.Message_Peer {
	t.Helper()
	p := &pb.Message_Peer{Id: []byte(someone(i)), Connection: pb.Message_CAN_CONNECT}
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			t.Fatal(err)
		}
		p.Addrs = append(p.Addrs, a.Bytes())
	}
	return p
}

func clamped(t *testing.T, m *pb.Message, peer scope) *pb.Message {
	t.Helper()
	out, err := clamp(marshal(t, m), peer)
	if err != nil {
		t.Fatal(err)
	}
	return unmarshal(t, out)
}

func texts(t *testing.T, p *pb.Message_Peer) (out []string) {
	t.Helper()
	for _, a := range p.Addresses() {
		out = append(out, a.String())
	}
	return out
}

func TestClampLeavesOrdinaryMessages(t *testing.T) {
	m := pb.NewMessage(pb.Message_GET_PROVIDERS, bytes.Repeat([]byte{7}, maxKey), 3)
	for i := range maxCloser {
		m.CloserPeers = append(m.CloserPeers, subject(t, i, "/ip4/203.0.113.9/tcp/7670", "/ip6/2001:db8::1/udp/7670/quic-v1"))
	}
	for i := range maxProviders {
		m.ProviderPeers = append(m.ProviderPeers, subject(t, 100+i, "/ip4/203.0.113.9/tcp/7670"))
	}
	if got := clamped(t, m, public); !proto.Equal(got, m) {
		t.Errorf("got\n%v\nwant\n%v", got, m)
	}
	for _, plain := range []*pb.Message{
		pb.NewMessage(pb.Message_PING, nil, 0),
		pb.NewMessage(pb.Message_FIND_NODE, []byte(someone(1)), 0),
	} {
		if got := clamped(t, plain, public); !proto.Equal(got, plain) {
			t.Errorf("got %v, want %v", got, plain)
		}
	}
}

func TestClampBounds(t *testing.T) {
	m := pb.NewMessage(pb.Message_GET_PROVIDERS, []byte("k"), 0)
	many := make([]string, dht.MaxAddrs+5)
	for i := range many {
		many[i] = fmt.Sprintf("/ip4/203.0.113.%d/tcp/7670", i)
	}
	for i := range 1000 {
		m.CloserPeers = append(m.CloserPeers, subject(t, i, many...))
		m.ProviderPeers = append(m.ProviderPeers, subject(t, i, many...))
	}
	m.Record = &recpb.Record{Value: []byte("no values here")}
	raw := marshal(t, m)
	out, err := clamp(raw, public)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) > maxFrame {
		t.Errorf("%d bytes, more than the %d that others read", len(out), maxFrame)
	}
	got := unmarshal(t, out)
	if len(got.CloserPeers) != maxCloser || len(got.ProviderPeers) != maxProviders {
		t.Errorf("%d closer peers and %d providers, want %d and %d", len(got.CloserPeers), len(got.ProviderPeers), maxCloser, maxProviders)
	}
	for _, p := range append(got.CloserPeers, got.ProviderPeers...) {
		if len(p.Addrs) != dht.MaxAddrs {
			t.Fatalf("%d addresses, want %d", len(p.Addrs), dht.MaxAddrs)
		}
	}
	if got.Record != nil {
		t.Error("a value passed")
	}
}

// TestClampLargest: the largest message that passes fits what is read.
func TestClampLargest(t *testing.T) {
	id := append([]byte{0x13, 64}, bytes.Repeat([]byte{1}, 64)...) // SHA-512
	long := "/ip6/2001:db8::1/udp/65535/quic-v1/p2p/" + someID + "/p2p-circuit/p2p/" + someID
	a := addr(t, long).Bytes()
	if len(a) > maxAddrBytes {
		t.Fatalf("an address of %d bytes, want at most %d", len(a), maxAddrBytes)
	}
	p := &pb.Message_Peer{Id: id, Connection: -1}
	for range dht.MaxAddrs {
		p.Addrs = append(p.Addrs, a)
	}
	m := pb.NewMessage(pb.Message_GET_PROVIDERS, bytes.Repeat([]byte{1}, maxKey), -1)
	for range maxCloser {
		m.CloserPeers = append(m.CloserPeers, p)
	}
	for range maxProviders {
		m.ProviderPeers = append(m.ProviderPeers, p)
	}
	out, err := clamp(marshal(t, m), public)
	if err != nil {
		t.Fatal(err)
	}
	if got := unmarshal(t, out); len(got.ProviderPeers) != maxProviders || len(got.ProviderPeers[0].Addrs) != dht.MaxAddrs {
		t.Error("an allowed message was cut")
	}
	if len(out) > maxFrame {
		t.Errorf("%d bytes, more than the %d that others read", len(out), maxFrame)
	}
}

func TestClampScopes(t *testing.T) {
	all := []string{"/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.1/tcp/1", "/ip4/203.0.113.9/tcp/1", "/dns4/x/tcp/1", "/ip4/169.254.169.254/tcp/80"}
	m := pb.NewMessage(pb.Message_GET_PROVIDERS, []byte("k"), 0)
	m.ProviderPeers = []*pb.Message_Peer{subject(t, 1, all...)}
	m.CloserPeers = []*pb.Message_Peer{subject(t, 2, all...)}
	for peer, want := range map[scope]string{
		machine: strings.Join(all[:3], " "),
		private: strings.Join(all[1:3], " "),
		public:  all[2],
	} {
		got := clamped(t, m, peer)
		for _, p := range append(got.CloserPeers, got.ProviderPeers...) {
			if s := strings.Join(texts(t, p), " "); s != want {
				t.Errorf("scope %d: %s, want %s", peer, s, want)
			}
		}
	}
}

func TestClampDropsInvalidPeers(t *testing.T) {
	m := pb.NewMessage(pb.Message_FIND_NODE, []byte("k"), 0)
	m.CloserPeers = []*pb.Message_Peer{
		{},
		{Id: []byte("not a multihash")},
		{Id: append([]byte{0x00, 100}, bytes.Repeat([]byte{1}, 100)...)}, // valid, too long
		{Id: []byte(someone(1)), Addrs: [][]byte{{0xff, 0xff}, nil, bytes.Repeat([]byte{4}, 8192)}},
	}
	got := clamped(t, m, public)
	if len(got.CloserPeers) != 1 || string(got.CloserPeers[0].Id) != string(someone(1)) || len(got.CloserPeers[0].Addrs) != 0 {
		t.Errorf("got %v, want one peer without addresses", got.CloserPeers)
	}
}

func TestClampRefuses(t *testing.T) {
	long := pb.NewMessage(pb.Message_GET_PROVIDERS, bytes.Repeat([]byte{1}, maxKey+1), 0)
	for name, raw := range map[string][]byte{
		"a long key":        marshal(t, long),
		"a cut tag":         {0x80},
		"a cut field":       {0x12, 5, 1},
		"field number zero": {0x02, 0},
		"a cut varint":      {0x08, 0x80},
		"a cut peer":        {0x4a, 2, 0x0a, 5},
		"an end group":      {0x14},
	} {
		if out, err := clamp(raw, public); !errors.Is(err, errFrame) {
			t.Errorf("%s: %x, %v; want errFrame", name, out, err)
		}
	}
}

func TestClampAnnouncementWithoutAddress(t *testing.T) {
	m := addProvider([]byte("k"))
	m.ProviderPeers = []*pb.Message_Peer{subject(t, 1, "/ip4/192.168.1.1/tcp/1")}
	if _, err := clamp(marshal(t, m), public); !errors.Is(err, errNoAddress) {
		t.Errorf("to a stranger: %v, want errNoAddress", err)
	}
	if _, err := clamp(marshal(t, m), private); err != nil {
		t.Errorf("within the network: %v", err)
	}
}

func FuzzClamp(f *testing.F) {
	m := pb.NewMessage(pb.Message_GET_PROVIDERS, []byte("k"), 1)
	m.ProviderPeers = []*pb.Message_Peer{subject(f, 1, "/ip4/203.0.113.9/tcp/1", "/ip4/10.0.0.1/tcp/1")}
	m.CloserPeers = []*pb.Message_Peer{subject(f, 2, "/ip6/::1/udp/1/quic-v1")}
	f.Add(marshal(f, m), byte(public))
	f.Add(marshal(f, m), byte(machine))
	f.Add([]byte{0x4a, 2, 0x0a, 5}, byte(private))
	f.Fuzz(func(t *testing.T, raw []byte, b byte) {
		peer := machine + scope(b%3)
		out, err := clamp(raw, peer)
		if err != nil {
			if !errors.Is(err, errFrame) && !errors.Is(err, errNoAddress) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		got := new(pb.Message)
		if err := proto.Unmarshal(out, got); err != nil {
			t.Fatalf("the library cannot read what passed: %v", err)
		}
		if len(got.Key) > maxKey || len(got.CloserPeers) > maxCloser || len(got.ProviderPeers) > maxProviders || got.Record != nil {
			t.Fatalf("beyond the bounds: %v", got)
		}
		for _, p := range append(got.CloserPeers, got.ProviderPeers...) {
			if _, err := libpeer.IDFromBytes(p.Id); err != nil || len(p.Addrs) > dht.MaxAddrs {
				t.Fatalf("peer %x with %d addresses: %v", p.Id, len(p.Addrs), err)
			}
			for _, a := range p.Addresses() {
				if !tellable(scopeOf(a), peer) {
					t.Fatalf("%s passed to or from scope %d", a, peer)
				}
			}
		}
		again, err := clamp(out, peer)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("clamping again gave %x, %v; want %x", again, err, out)
		}
	})
}
