package kad

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/dht/dhttest"
	"github.com/flurry-nix/flurry/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seeded is an endless stream of bytes that a name decides, so that a host's
// identity can be had twice.
type seeded [sha256.Size]byte

func (s *seeded) Read(p []byte) (int, error) {
	*s = sha256.Sum256(s[:])
	return copy(p, s[:]), nil
}

// newHost makes a host on loopback TCP whose identity name decides.
func newHost(t *testing.T, name string, opts ...libp2p.Option) host.Host {
	t.Helper()
	seed := seeded(sha256.Sum256([]byte(name)))
	key, _, err := crypto.GenerateEd25519Key(&seed)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.DisableMetrics(),
		libp2p.DisableRelay(),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func self(h host.Host) peer.Info {
	info := peer.Info{ID: peer.ID(h.ID().String())}
	for _, a := range h.Addrs() {
		info.Addrs = append(info.Addrs, a.String())
	}
	return info
}

// node is a host and its router, running.
type node struct {
	host.Host
	*Router
	stop func()
}

func (n *node) info() peer.Info { return self(n.Host) }

// start runs a router on h until the test ends or stop is called.
func start(t *testing.T, h host.Host, o Options) *node {
	t.Helper()
	if os.Getenv("FLURRY_LOG") != "" {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	r, err := New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, h, r)
}

func run(t *testing.T, h host.Host, r *Router) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	n := &node{Host: h, Router: r}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		h.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

func TestConformance(t *testing.T) {
	dhttest.Run(t, func(t *testing.T, n int) []dhttest.Member {
		var ms []dhttest.Member
		var known []peer.Info
		for range n {
			node := start(t, newHost(t, t.Name()+string(rune('a'+len(ms)))), Options{Bootstrap: known})
			known = append(known, node.info())
			ms = append(ms, dhttest.Member{ID: node.info().ID, Router: node.Router})
		}
		return ms
	})
}
