package kad

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/dhttest"
	"github.com/flurry-nix/flurry/peer"
)

func TestOutdated(t *testing.T) {
	begun := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	w := &sweep{face: "old", begun: begun}
	for _, c := range []struct {
		last, now string
		after     time.Duration
		want      bool
	}{
		{"new", "new", moveInterval, true},
		{"new", "new", moveInterval - 1, false},
		{"old", "new", moveInterval, false},
		{"new", "newer", moveInterval, false},
		{"old", "old", moveInterval, false},
		{"", "", moveInterval, false},
	} {
		if got := w.outdated(c.last, c.now, begun.Add(c.after)); got != c.want {
			t.Errorf("%q then %q after %v: %v", c.last, c.now, c.after, got)
		}
	}
}

// TestAnnouncedAgainAtNewAddresses: when a node's addresses have changed, every
// record is told again, with them.
func TestAnnouncedAgainAtNewAddresses(t *testing.T) {
	b := start(t, newHost(t, "b"), Options{})
	var extra atomic.Value
	h := newHost(t, "a", libp2p.AddrsFactory(func(as []ma.Multiaddr) []ma.Multiaddr {
		if a, ok := extra.Load().(ma.Multiaddr); ok {
			return append(slices.Clone(as), a)
		}
		return as
	}))
	r, err := New(h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := r.begin(ctx) // and none of the loops, which would do it in an hour
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.end(s); err != nil {
			t.Error(err)
		}
	}()
	s.meet(ctx, []libpeer.AddrInfo{{ID: b.Host.ID(), Addrs: b.Addrs()}})
	eventually(t, "a has met b", s.heard)
	k := dhttest.Key("k")
	if err := s.openSweep(); err != nil {
		t.Fatal(err)
	}
	provide(t, r, k)
	eventually(t, "b was told", func() bool {
		if err := s.announceUntold(ctx); err != nil {
			t.Fatal(err)
		}
		return holds(t, b, k, h)
	})

	before := s.face()
	forget(t, b, k, h.ID())
	extra.Store(addr(t, "/ip4/203.0.113.77/tcp/7670"))
	eventually(t, "the address has changed", func() bool { return s.face() != before })
	if err := s.move(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b was told again", func() bool { return holds(t, b, k, h) })
	if s.sweep.face == before {
		t.Error("the old addresses are still announced")
	}
}

// forget deletes the record that owner provides k from n's store.
func forget(t *testing.T, n *node, k dht.Key, owner libpeer.ID) {
	t.Helper()
	at := ds.RawKey(recordPrefix + spelled(k.Multihash()) + "/" + spelled([]byte(owner)))
	if err := n.records.Delete(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

// TestNobodyIsToldNothing: a node that has no address for those it knows does not
// announce, since it could only be refused.
func TestNobodyIsToldNothing(t *testing.T) {
	b := start(t, newHost(t, "b"), Options{})
	h := newHost(t, "a", libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return nil }))
	a := start(t, h, Options{Bootstrap: []peer.Info{b.info()}})
	provide(t, a.Router, dhttest.Key("k"))
	eventually(t, "a has met b", func() bool { return a.Stats().Peers == 1 })
	looks := 0
	eventually(t, "a had every opportunity", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.session.sweep != nil {
			t.Fatal("it announces")
		}
		looks++
		return looks > 10
	})
	if s := a.Stats(); s.Untold != 1 {
		t.Errorf("%d keys are untold, want the one", s.Untold)
	}
}
