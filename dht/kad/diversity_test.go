package kad

import (
	"fmt"
	"testing"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// table is a routing table that nobody but the test fills.
type table struct {
	h  host.Host
	rt *kb.RoutingTable
}

func (n table) Host() host.Host                { return n.h }
func (n table) RoutingTable() *kb.RoutingTable { return n.rt }

// at makes a peer that is known at an address and falls into a bucket.
func (n table) at(t *testing.T, bucket int, address string) peer.ID {
	t.Helper()
	self := kb.ConvertPeerID(n.h.ID())
	for i := len(n.h.Peerstore().Peers()) * 1000; ; i++ {
		p := someone(i)
		if kb.CommonPrefixLen(self, kb.ConvertPeerID(p)) == bucket {
			n.h.Peerstore().AddAddr(p, addr(t, address), time.Hour)
			return p
		}
	}
}

func TestWelcome(t *testing.T) {
	h := newHost(t, "a")
	rt, err := kb.NewRoutingTable(bucketSize, kb.ConvertPeerID(h.ID()), time.Minute, h.Peerstore(), time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()
	n := table{h, rt}
	enter := func(p peer.ID) {
		t.Helper()
		if added, err := rt.TryAddPeer(p, true, false); err != nil || !added {
			t.Fatalf("not added to the routing table: %v", err)
		}
	}
	for i := range maxPerNetwork {
		p := n.at(t, 0, fmt.Sprintf("/ip4/203.0.%d.1/tcp/7670", i))
		if !welcome(n, p) {
			t.Fatalf("peer %d of one network is not welcome, %d are", i+1, maxPerNetwork)
		}
		enter(p)
		if !welcome(n, p) {
			t.Error("a peer counts as its own neighbour")
		}
		enter(n.at(t, 1, fmt.Sprintf("/ip4/192.168.%d.1/tcp/7670", i)))
	}
	for address, c := range map[string]struct {
		bucket int
		want   bool
	}{
		"/ip4/203.0.200.1/tcp/7670":   {0, false},
		"/ip4/203.1.0.1/tcp/7670":     {0, true},
		"/ip6/2001:db8::1/tcp/7670":   {0, true},
		"/ip4/192.168.200.1/tcp/7670": {1, true}, // private networks are not bounded
		"/ip4/203.0.201.1/tcp/7670":   {1, true}, // another bucket
	} {
		if got := welcome(n, n.at(t, c.bucket, address)); got != c.want {
			t.Errorf("%s into bucket %d: %v, want %v", address, c.bucket, got, c.want)
		}
	}
	if welcome(nil, h.ID()) {
		t.Error("welcome to no table")
	}
}
