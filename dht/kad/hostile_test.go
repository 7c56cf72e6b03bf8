package kad

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"testing"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/dhttest"
	"github.com/flurry-nix/flurry/peer"
)

// evil makes a host that speaks the DHT's protocol well enough to be asked, and
// answers GET_PROVIDERS with whatever answer writes.
func evil(t *testing.T, name string, answer func(w io.Writer, req *pb.Message)) host.Host {
	t.Helper()
	h := newHost(t, name)
	h.SetStreamHandler(protocolID, func(s network.Stream) {
		defer s.Close()
		r := bufio.NewReader(s)
		for {
			n, err := binary.ReadUvarint(r)
			if err != nil {
				return
			}
			raw, req := make([]byte, n), new(pb.Message)
			if _, err := io.ReadFull(r, raw); err != nil || proto.Unmarshal(raw, req) != nil {
				return
			}
			if req.GetType() == pb.Message_GET_PROVIDERS {
				answer(s, req)
				continue
			}
			s.Write(frame(marshal(t, pb.NewMessage(req.GetType(), req.GetKey(), 0))))
		}
	})
	return h
}

// victim runs a node that knows an honest one, which holds a record of a provider
// of k, and h.
func victim(t *testing.T, h host.Host, k dht.Key) (n *node, honest libpeer.ID) {
	t.Helper()
	keeper := start(t, newHost(t, "keeper"), Options{})
	provider := start(t, newHost(t, "provider"), Options{Bootstrap: []peer.Info{keeper.info()}})
	provide(t, provider.Router, k)
	n = start(t, newHost(t, "victim"), Options{Bootstrap: []peer.Info{self(h), keeper.info()}})
	eventually(t, "the victim knows both", func() bool { return n.Stats().Peers >= 2 })
	return n, provider.Host.ID()
}

// TestFakeProviders: a node that answers with thousands of providers neither fills
// the walk nor this node's memory, and does not hide the one there is.
func TestFakeProviders(t *testing.T) {
	for name, c := range map[string]struct {
		fakes, addrs int
		taken        bool // some of them pass
	}{
		"as many as fit a frame":  {500, 1, true},
		"with too many addresses": {40, 40, true},
		"more than fit a frame":   {20000, 1, false},
		"8 KiB of addresses each": {100, 600, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := evil(t, "evil", func(w io.Writer, req *pb.Message) {
				m := pb.NewMessage(pb.Message_GET_PROVIDERS, req.GetKey(), 0)
				for i := range c.fakes {
					p := &pb.Message_Peer{Id: []byte(someone(i))}
					for j := range c.addrs {
						p.Addrs = append(p.Addrs, addr(t, fmt.Sprintf("/ip4/203.0.113.1/tcp/%d", 1+j)).Bytes())
					}
					m.ProviderPeers = append(m.ProviderPeers, p)
				}
				w.Write(frame(marshal(t, m)))
			})
			k := dhttest.Key("k")
			v, honest := victim(t, h, k)
			before := len(v.Peerstore().Peers())
			found := dhttest.Find(t, v.Router, k, peer.ID(honest.String()))
			fakes := len(found) - 1
			if c.taken != (fakes > 0) || fakes > maxProviders {
				t.Errorf("%d fakes were found, want at most %d", fakes, maxProviders)
			}
			for _, i := range found {
				if len(i.Addrs) > dht.MaxAddrs {
					t.Errorf("%d addresses of one peer", len(i.Addrs))
				}
			}
			// Walks may have been repeated; each time the same fakes came.
			if grown := len(v.Peerstore().Peers()) - before; grown > maxProviders+1 {
				t.Errorf("%d peers were remembered, want at most %d", grown, maxProviders+1)
			}
		})
	}
}

// TestUselessAnswers: what does not answer, or answers nonsense, is passed over.
func TestUselessAnswers(t *testing.T) {
	for name, answer := range map[string]func(w io.Writer, req *pb.Message){
		"garbage":           func(w io.Writer, _ *pb.Message) { w.Write(bytes.Repeat([]byte{0xff}, 1<<12)) },
		"a cut frame":       func(w io.Writer, _ *pb.Message) { w.Write([]byte{100, 1, 2}); w.(network.Stream).CloseWrite() },
		"nothing":           func(w io.Writer, _ *pb.Message) { w.(network.Stream).Reset() },
		"gigabytes to come": func(w io.Writer, _ *pb.Message) { w.Write(binary.AppendUvarint(nil, 1<<32)) },
		"another question's": func(w io.Writer, _ *pb.Message) {
			w.Write(frame(marshal(t, pb.NewMessage(pb.Message_PING, nil, 0))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := dhttest.Key("k")
			v, honest := victim(t, evil(t, "evil", answer), k)
			if found := dhttest.Find(t, v.Router, k, peer.ID(honest.String())); len(found) != 1 {
				t.Errorf("found %v, want the honest one", found)
			}
		})
	}
}

// TestWalkEndsWithItsContext: a node that never answers does not hold a walk beyond
// its deadline.
func TestWalkEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{}, 100)
	over := make(chan struct{})
	h := evil(t, "evil", func(io.Writer, *pb.Message) { asked <- struct{}{}; <-over })
	v := start(t, newHost(t, "victim"), Options{Bootstrap: []peer.Info{self(h)}})
	eventually(t, "the victim knows it", func() bool { return v.Stats().Peers == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan []peer.Info)
	go func() { ended <- slices.Collect(v.Providers(ctx, dhttest.Key("k"))) }()
	<-asked
	cancel()
	if found := <-ended; len(found) != 0 {
		t.Errorf("found %v", found)
	}

	// Nor does it hold the end of the router.
	go func() { ended <- slices.Collect(v.Providers(context.Background(), dhttest.Key("k"))) }()
	<-asked
	v.stop()
	<-ended
	if len(asked) > 0 {
		t.Error("it was asked again: the walk went on until the library lost patience")
	}
	close(over)
}

// TestHostileAnnouncements: what strangers announce is cut to what a record may
// hold, and records of others are not taken from them.
func TestHostileAnnouncements(t *testing.T) {
	v := start(t, newHost(t, "victim"), Options{})
	h := newHost(t, "evil")
	if err := h.Connect(t.Context(), libpeer.AddrInfo{ID: v.Host.ID(), Addrs: v.Addrs()}); err != nil {
		t.Fatal(err)
	}
	announce := func(m *pb.Message) {
		t.Helper()
		s, err := h.NewStream(t.Context(), v.Host.ID(), protocolID)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		if _, err := s.Write(frame(marshal(t, m))); err != nil {
			t.Fatal(err)
		}
		// A question on the same stream: answered, or refused with what came before.
		if _, err := s.Write(frame(marshal(t, pb.NewMessage(pb.Message_PING, nil, 0)))); err != nil {
			return
		}
		s.Read(make([]byte, 1))
	}
	many := func(id libpeer.ID) *pb.Message_Peer {
		p := &pb.Message_Peer{Id: []byte(id)}
		for j := range 300 {
			p.Addrs = append(p.Addrs, addr(t, fmt.Sprintf("/ip4/203.0.113.1/tcp/%d", 1+j)).Bytes())
		}
		return p
	}

	m := addProvider(dhttest.Key("its own").Multihash())
	m.ProviderPeers = []*pb.Message_Peer{many(h.ID())}
	announce(m)
	if n := v.Stats().Records; n != 1 {
		t.Fatalf("%d records, want 1", n)
	}
	told := func(a ma.Multiaddr) bool { return ipScope(a) == public }
	if addrs := slices.DeleteFunc(v.Peerstore().Addrs(h.ID()), func(a ma.Multiaddr) bool { return !told(a) }); len(addrs) != dht.MaxAddrs {
		t.Errorf("%d addresses are remembered, want %d", len(addrs), dht.MaxAddrs)
	}

	m = addProvider(dhttest.Key("another's").Multihash())
	m.ProviderPeers = []*pb.Message_Peer{many(someone(1)), many(v.Host.ID())}
	announce(m)
	m = addProvider(bytes.Repeat([]byte{1}, maxKey+1))
	m.ProviderPeers = []*pb.Message_Peer{many(h.ID())}
	announce(m)
	m = addProvider(dhttest.Key("nowhere").Multihash())
	m.ProviderPeers = []*pb.Message_Peer{subject(t, 1, "/ip4/169.254.169.254/tcp/80")}
	m.ProviderPeers[0].Id = []byte(h.ID())
	announce(m)
	announce(pb.NewMessage(pb.Message_PUT_VALUE, []byte("/pk/x"), 0))
	if n := v.Stats().Records; n != 1 {
		t.Errorf("%d records, want the first alone", n)
	}
}

// TestProvidersWithoutAddresses: records outlive the addresses that came with them.
// A provider that is named without any is looked up.
func TestProvidersWithoutAddresses(t *testing.T) {
	k := dhttest.Key("k")
	keeper := start(t, newHost(t, "keeper"), Options{})
	provider := start(t, newHost(t, "provider"), Options{Bootstrap: []peer.Info{keeper.info()}})
	names := evil(t, "names it", func(w io.Writer, req *pb.Message) {
		m := pb.NewMessage(pb.Message_GET_PROVIDERS, req.GetKey(), 0)
		m.ProviderPeers = []*pb.Message_Peer{{Id: []byte(provider.Host.ID())}}
		for i := range 2 * maxUnaddressed {
			m.ProviderPeers = append(m.ProviderPeers, &pb.Message_Peer{Id: []byte(someone(i))})
		}
		w.Write(frame(marshal(t, m)))
	})
	eventually(t, "the keeper knows the provider", func() bool { return keeper.Stats().Peers == 1 })
	v := start(t, newHost(t, "victim"), Options{Bootstrap: []peer.Info{self(names), keeper.info()}})
	// At most maxUnaddressed are looked up, those that were named first or not: the
	// library shuffles, so that it may take a few walks.
	eventually(t, "the provider is found with its address", func() bool {
		for p := range v.Providers(t.Context(), k) {
			if p.ID == provider.info().ID {
				return slices.Equal(p.Addrs, provider.info().Addrs)
			}
			t.Errorf("%s was found, which is nobody", p.ID)
		}
		return false
	})
}
