package dhttest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/dhttest"
	"github.com/flurry-nix/flurry/peer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func info(i int) peer.Info {
	return peer.Info{ID: peer.ID(fmt.Sprint("peer", i)), Addrs: []string{fmt.Sprintf("/ip4/203.0.113.%d/tcp/7670", i)}}
}

// network returns a network of n running nodes.
func network(n int) (*dhttest.Network, []*dhttest.Node) {
	net := dhttest.NewNetwork(1)
	var nodes []*dhttest.Node
	for i := range n {
		nodes = append(nodes, net.Join(info(i)))
	}
	return net, nodes
}

func found(t *testing.T, n *dhttest.Node, k dht.Key) []peer.ID {
	t.Helper()
	var ids []peer.ID
	for i := range n.Providers(t.Context(), k) {
		ids = append(ids, i.ID)
	}
	slices.Sort(ids)
	return ids
}

func want(t *testing.T, n *dhttest.Node, k dht.Key, ids ...peer.ID) {
	t.Helper()
	if got := found(t, n, k); !slices.Equal(got, ids) {
		t.Errorf("%s found %v, want %v", n.ID(), got, ids)
	}
}

func provide(t *testing.T, n *dhttest.Node, keys ...dht.Key) {
	t.Helper()
	if err := n.Provide(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	dhttest.Run(t, func(t *testing.T, n int) []dhttest.Member {
		_, nodes := network(n)
		var ms []dhttest.Member
		for _, node := range nodes {
			ms = append(ms, dhttest.Member{ID: node.ID(), Router: node})
		}
		return ms
	})
}

func TestWithdrawnIsForgottenInTime(t *testing.T) {
	net, nodes := network(2)
	k := dhttest.Key("k")
	provide(t, nodes[0], k)
	if err := nodes[0].Withdraw(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	net.Round()
	want(t, nodes[1], k, nodes[0].ID()) // what was told cannot be taken back
	net.Round()
	want(t, nodes[1], k)
	if left := nodes[0].Provided(); len(left) != 0 {
		t.Errorf("still provides %v", left)
	}
}

func TestRoundsKeepRecordsAlive(t *testing.T) {
	net, nodes := network(2)
	k := dhttest.Key("k")
	provide(t, nodes[0], k)
	for range 5 {
		net.Round()
		want(t, nodes[1], k, nodes[0].ID())
	}
}

func TestStoppedNodeIsStaleThenGoneThenBack(t *testing.T) {
	net, nodes := network(3)
	k := dhttest.Key("k")
	provide(t, nodes[0], k)
	nodes[0].Stop()
	want(t, nodes[1], k, nodes[0].ID())
	net.Round()
	net.Round()
	want(t, nodes[1], k)
	provide(t, nodes[0], dhttest.Key("while stopped"))
	want(t, nodes[0], k)
	nodes[0].Start()
	want(t, nodes[1], k, nodes[0].ID())
	want(t, nodes[2], dhttest.Key("while stopped"), nodes[0].ID())
}

func TestPartition(t *testing.T) {
	net, nodes := network(4)
	k := dhttest.Key("k")
	net.Partition([]peer.ID{nodes[0].ID(), nodes[1].ID()})
	provide(t, nodes[0], k)
	want(t, nodes[1], k, nodes[0].ID())
	want(t, nodes[2], k)
	net.Heal()
	want(t, nodes[2], k, nodes[0].ID()) // it can ask those who know
	net.Round()
	net.Partition([]peer.ID{nodes[2].ID()})
	want(t, nodes[2], k, nodes[0].ID()) // it was told itself
}

func TestDrop(t *testing.T) {
	net, nodes := network(2)
	k := dhttest.Key("k")
	net.SetDrop(1)
	provide(t, nodes[0], k)
	want(t, nodes[1], k)
	net.SetDrop(0.5)
	hits := 0
	for range 200 {
		hits += len(found(t, nodes[1], k))
	}
	if hits < 20 || hits > 80 { // both directions must pass: a quarter
		t.Errorf("found in %d of 200 walks, want about 50", hits)
	}
	net.SetDrop(0)
	want(t, nodes[1], k, nodes[0].ID())
}

func TestSeedDecides(t *testing.T) {
	run := func() (all [][]peer.ID) {
		net, nodes := network(6)
		net.SetDrop(0.4)
		for i, n := range nodes[:5] {
			provide(t, n, dhttest.Key("k"), dhttest.Key(fmt.Sprint(i)))
		}
		net.Round()
		for range 10 {
			var ids []peer.ID
			for i := range nodes[5].Providers(t.Context(), dhttest.Key("k")) {
				ids = append(ids, i.ID)
			}
			all = append(all, ids)
		}
		return all
	}
	if a, b := run(), run(); !slices.EqualFunc(a, b, slices.Equal) {
		t.Errorf("one seed gave\n%v\nand\n%v", a, b)
	}
}

func TestLie(t *testing.T) {
	net, nodes := network(2)
	k := dhttest.Key("k")
	liar := peer.Info{ID: "liar", Addrs: make([]string, dht.MaxAddrs+1)}
	net.Lie(k, liar, info(1))
	want(t, nodes[0], k, "liar", nodes[1].ID())
	for i := range nodes[1].Providers(t.Context(), k) {
		if i.ID != "liar" || len(i.Addrs) != dht.MaxAddrs {
			t.Errorf("%s with %d addresses, want the liar with %d", i.ID, len(i.Addrs), dht.MaxAddrs)
		}
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, nodes := network(2)
		k := dhttest.Key("k")
		net.SetLatency(300 * time.Millisecond)
		provide(t, nodes[0], k)
		start := time.Now()
		want(t, nodes[1], k, nodes[0].ID())
		if d := time.Since(start); d != 300*time.Millisecond {
			t.Errorf("the walk took %v, want 300ms", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		if got := slices.Collect(nodes[1].Providers(ctx, k)); len(got) != 0 {
			t.Errorf("found %v before the latency had passed", got)
		}
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("the walk ended after %v, want 100ms", d)
		}
	})
}
