package kad

import (
	"fmt"
	"testing"
	"time"

	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestDiversity(t *testing.T) {
	h := newHost(t, "a")
	self := kb.ConvertPeerID(h.ID())
	bucketOf := func(p peer.ID) int { return kb.CommonPrefixLen(self, kb.ConvertPeerID(p)) }
	d := newDiversity(h)
	filter, err := peerdiversity.NewFilter(d, "test", bucketOf)
	if err != nil {
		t.Fatal(err)
	}
	rt, err := kb.NewRoutingTable(2*bucketSize, self, time.Minute, h.Peerstore(), time.Hour, filter)
	if err != nil {
		t.Fatal(err)
	}
	defer rt.Close()

	next := 0
	enters := func(bucket int, address string) (peer.ID, bool) {
		t.Helper()
		for ; ; next++ {
			if p := someone(next); bucketOf(p) == bucket {
				next++
				h.Peerstore().AddAddr(p, addr(t, address), time.Hour)
				added, err := rt.TryAddPeer(p, true, false)
				return p, added && err == nil
			}
		}
	}
	var last peer.ID
	for i := range maxPerNetwork {
		p, ok := enters(0, fmt.Sprintf("/ip4/203.0.%d.1/tcp/7670", i))
		if !ok {
			t.Fatalf("peer %d of one network may not enter, %d may", i+1, maxPerNetwork)
		}
		last = p
	}
	for i := range maxPerNetwork + 1 {
		if _, ok := enters(1, fmt.Sprintf("/ip4/192.168.%d.1/tcp/7670", i)); !ok {
			t.Error("a private network is bounded")
		}
	}
	for _, c := range []struct {
		address string
		bucket  int
		want    bool
	}{
		{"/ip4/203.0.200.1/tcp/7670", 0, false},
		{"/ip4/203.1.0.1/tcp/7670", 0, true},
		{"/ip6/2001:db8::1/tcp/7670", 0, true},
		{"/ip4/203.0.201.1/tcp/7670", 1, true},
	} {
		if _, ok := enters(c.bucket, c.address); ok != c.want {
			t.Errorf("%s into bucket %d: %v, want %v", c.address, c.bucket, ok, c.want)
		}
	}

	h.Peerstore().ClearAddrs(last) // it counted as what it was when it entered
	rt.RemovePeer(last)
	if _, ok := enters(0, "/ip4/203.0.202.1/tcp/7670"); !ok {
		t.Error("one has left, and none may take its place")
	}
	if _, ok := enters(0, "/ip4/203.0.203.1/tcp/7670"); ok {
		t.Error("one has left, and two take its place")
	}
	for _, p := range rt.ListPeers() {
		rt.RemovePeer(p)
	}
	if len(d.counts)+len(d.networks) != 0 {
		t.Errorf("%d counts and %d networks are left of an empty table", len(d.counts), len(d.networks))
	}
}
