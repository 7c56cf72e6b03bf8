package stream

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// What goes to the internet is capped, and counted apart from what goes over
// the LAN.
func TestUploadCap(t *testing.T) {
	const rate, total = 4 << 20, 3 << 20
	data := sample.Noise(1, 1<<20)
	n := newNetwork(t, transfertest.Handler{OnChunks: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
		for i := range uint32(total >> 20) {
			if err := send(transfer.Run{First: 4 * i, Count: 4, RawLength: len(data), Data: data}); err != nil {
				return err
			}
		}
		return nil
	}}, Options{UploadRate: rate})
	// Everybody on this machine is on the LAN, so that who asks is said to be
	// elsewhere.
	n.host.SetStreamHandler(protocolID(wire.Fetch), func(s network.Stream) {
		n.answer(wire.Fetch, s, transfer.Remote{Peer: peerID(s.Conn().RemotePeer())})
	})
	c, err := newNetwork(t, transfertest.Handler{}, Options{}).Connect(t.Context(), n.Self())
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	err = c.Chunks(t.Context(), sample.Space(t), content.BodyID{1}, []transfer.Range{{First: 0, Count: 12}}, func(transfer.Run) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	// A quarter of a second's worth goes at once. How long the rest takes at
	// least does not depend on how busy this machine is.
	if took, least := time.Since(begun), time.Second*(total-rate/4)/rate; took < least {
		t.Errorf("%d MiB at %d MiB/s took %v, at least %v", total>>20, rate>>20, took, least)
	}
	got := n.Traffic()
	for got.Fetch.Sent < total && time.Since(begun) < patience { // what was written last is counted when the write returns
		time.Sleep(time.Millisecond)
		got = n.Traffic()
	}
	if got.LAN != (transfer.Bytes{}) || got.Fetch.Sent < total || got.Fetch.Sent > total+1000 {
		t.Errorf("traffic %+v", got)
	}
}

// Of two connections to a peer, bulk goes over TCP, whichever libp2p prefers.
func TestBulkGoesOverTCP(t *testing.T) {
	n, far := newNetwork(t, transfertest.Handler{}, Options{}), newNetwork(t, transfertest.Handler{}, Options{})
	overTCP, overQUIC := addrsOf(n, ma.P_TCP), addrsOf(n, ma.P_QUIC_V1)
	// A host keeps to one connection, so that the first one is made behind its
	// back: its streams come here. The other is newer, which libp2p prefers.
	raw, err := far.host.Network().(*swarm.Swarm).TransportForDialing(overTCP[0]).Dial(t.Context(), overTCP[0], n.host.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := far.host.Connect(t.Context(), lpeer.AddrInfo{ID: n.host.ID(), Addrs: overQUIC}); err != nil {
		t.Fatal(err)
	}
	came := make(chan error, 1)
	go func() { came <- acceptFetch(raw) }()
	eventually(t, "two connections, both quiet", func() bool {
		all := n.host.Network().ConnsToPeer(far.host.ID())
		return len(all) == 2 && len(all[0].GetStreams())+len(all[1].GetStreams()) == 0
	})
	c, err := n.Connect(t.Context(), far.Self())
	if err != nil {
		t.Fatal(err)
	}
	// What comes over TCP is reset; over QUIC it would be answered.
	_, err = c.Text(t.Context(), sample.Space(t), transfer.Body, [32]byte{1})
	if errors.Is(err, transfer.ErrAbsent) {
		t.Error("a body was asked for over QUIC")
	}
	raw.Close()
	if err := <-came; err != nil {
		t.Error(err)
	}
}

// acceptFetch resets what comes over a connection until something is fetched.
func acceptFetch(raw transport.CapableConn) error {
	for {
		s, err := raw.AcceptStream()
		if err != nil {
			return err
		}
		b := make([]byte, 200)
		got, err := s.Read(b)
		s.Reset()
		if err == nil && bytes.Contains(b[:got], []byte("/flurry/fetch/1")) {
			return nil
		}
	}
}

func addrsOf(n *Network, code int) (all []ma.Multiaddr) {
	for _, m := range n.host.Addrs() {
		if _, err := m.ValueForProtocol(code); err == nil {
			all = append(all, m)
		}
	}
	return all
}
