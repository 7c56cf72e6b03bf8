package stream

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHost is a host on loopback, closed when the test ends.
func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := NewHost(HostConfig{KeyFile: filepath.Join(t.TempDir(), "node.key"), Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// newNetwork is a network on a host of its own, closed when the test ends.
func newNetwork(t testing.TB, h transfer.Handler, o Options) *Network {
	t.Helper()
	n, err := New(newHost(t), h, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// The suite over QUIC, whose streams end in other ways than those over TCP.
func TestSuiteOverQUIC(t *testing.T) {
	overQUIC := func(t testing.TB, h transfer.Handler) *Network {
		host, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1"), libp2p.Transport(quic.NewTransport),
			libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { host.Close() })
		n, err := New(host, h, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close() })
		return n
	}
	transfertest.Run(t, func(t testing.TB, a, b transfer.Handler) (transfer.Network, transfer.Network) {
		return overQUIC(t, a), overQUIC(t, b)
	})
}

// Peers that can be asked are worth their connection.
func TestConnectionsAreTagged(t *testing.T) {
	a, b := newNetwork(t, transfertest.Handler{}, Options{}), newNetwork(t, transfertest.Handler{}, Options{})
	if _, err := a.Connect(t.Context(), b.Self()); err != nil {
		t.Fatal(err)
	}
	tags := func() int {
		info := a.host.ConnManager().GetTagInfo(b.host.ID())
		if info == nil {
			return 0
		}
		return info.Tags[connTag]
	}
	if got := tags(); got != worth(true) {
		t.Errorf("tagged with %d", got)
	}
	a.Ban(b.Self().ID, time.Hour, "")
	eventually(t, "it is worth nothing when it is gone", func() bool { return tags() == 0 })
}

func TestSuite(t *testing.T) {
	transfertest.Run(t, func(t testing.TB, a, b transfer.Handler) (transfer.Network, transfer.Network) {
		return newNetwork(t, a, Options{}), newNetwork(t, b, Options{})
	})
}
