package stream

import (
	"path/filepath"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
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

func TestSuite(t *testing.T) {
	transfertest.Run(t, func(t testing.TB, a, b transfer.Handler) (transfer.Network, transfer.Network) {
		return newNetwork(t, a, Options{}), newNetwork(t, b, Options{})
	})
}
