package kad

import (
	"context"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/dhttest"
	"github.com/flurry-nix/flurry/peer"
)

const oneWay = 50 * time.Millisecond

// simulate runs n nodes on a simulated internet in which every packet takes oneWay,
// all of which know the first, and then test, in time that costs nothing.
func simulate(t *testing.T, n int, test func(t *testing.T, nodes []*node)) {
	simulateWith(t, n, func(_ int, h host.Host, _ *Options) host.Host { return h }, test)
}

// simulateWith is simulate with nodes whose hosts and options alter may change.
func simulateWith(t *testing.T, n int, alter func(i int, h host.Host, o *Options) host.Host, test func(t *testing.T, nodes []*node)) {
	synctest.Test(t, func(t *testing.T) {
		link := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
		net, meta, err := simlibp2p.SimpleLibp2pNetwork(
			[]simlibp2p.NodeLinkSettingsAndCount{{
				LinkSettings: simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}, Count: n,
			}},
			simnet.StaticLatency(oneWay), simlibp2p.NetworkSettings{})
		if err != nil {
			t.Fatal(err)
		}
		net.Start()
		defer net.Close()
		var nodes []*node
		defer func() {
			for _, n := range nodes {
				n.stop()
			}
		}()
		for i, h := range meta.Nodes {
			o := Options{Mode: ModeServer}
			if i > 0 {
				o.Bootstrap = []peer.Info{nodes[0].info()}
			}
			nodes = append(nodes, start(t, alter(i, h, &o), o))
		}
		time.Sleep(time.Minute) // of the simulation: they get to know each other
		test(t, nodes)
	})
}

// walk is what a walk yields and how long it took to its first provider and to its
// end.
func walk(n *node, k dht.Key) (ids []peer.ID, first, all time.Duration) {
	begun := time.Now()
	for p := range n.Providers(context.Background(), k) {
		if len(ids) == 0 {
			first = time.Since(begun)
		}
		ids = append(ids, p.ID)
	}
	return ids, first, time.Since(begun)
}

// TestSimulatedNetwork: twenty nodes over the internet, of which one provides, and
// others find it in few round trips.
func TestSimulatedNetwork(t *testing.T) {
	simulate(t, 20, func(t *testing.T, nodes []*node) {
		for i, n := range nodes {
			if p := n.Stats().Peers; p < 10 {
				t.Errorf("node %d knows %d others", i, p)
			}
			// All of them are in one network.
			s, done := n.current()
			done()
			if p := s.dht.RoutingTable().NPeersForCpl(0); p > maxPerNetwork {
				t.Errorf("node %d has %d peers of one network in a bucket, want at most %d", i, p, maxPerNetwork)
			}
		}
		ks := keys("simulated", 40)
		provide(t, nodes[5].Router, ks...)
		time.Sleep(time.Minute)
		if s := nodes[5].Stats(); s.Untold != 0 {
			t.Errorf("%d keys are untold after a minute", s.Untold)
		}
		holders := 0
		for _, n := range nodes {
			holders += n.Stats().Records
		}
		if holders != replicas*len(ks) {
			t.Errorf("%d records are kept of %d keys, want %d of each", holders, len(ks), replicas)
		}
		for i, k := range ks {
			at := nodes[(6+i)%len(nodes)]
			if at == nodes[5] {
				continue
			}
			ids, first, all := walk(at, k)
			if !slices.Equal(ids, []peer.ID{nodes[5].info().ID}) {
				t.Errorf("found %v, want the one that provides it", ids)
			}
			// One round trip to ask, one more where the connection or the stream
			// is to be made first, and so for a second hop.
			if first > 8*oneWay || all > 16*oneWay {
				t.Errorf("found after %v, done after %v", first, all)
			}
		}
		ids, _, all := walk(nodes[9], dhttest.Key("nobody provides this"))
		if len(ids) != 0 || all > 16*oneWay {
			t.Errorf("a key that nobody provides: %v after %v", ids, all)
		}
	})
}

// TestRecordsOverDays: what is provided is announced again before records expire,
// what was withdrawn is not, and a node that vanished is forgotten.
func TestRecordsOverDays(t *testing.T) {
	if os.Getenv("FLURRY_LONG") == "" {
		t.Skip("50 hours of keeping connections alive: FLURRY_LONG=1 runs it")
	}
	simulate(t, 5, func(t *testing.T, nodes []*node) {
		ks := keys("days", 12)
		vanished := dhttest.Key("vanished")
		provide(t, nodes[1].Router, ks...)
		provide(t, nodes[2].Router, vanished)
		time.Sleep(time.Minute)
		gone, stay := ks[:6], ks[6:]
		for _, k := range append(slices.Clone(ks), vanished) {
			if ids, _, _ := walk(nodes[4], k); len(ids) != 1 {
				t.Fatalf("%v provide %s before anything happened", ids, k)
			}
		}
		withdraw(t, nodes[1].Router, gone...)
		nodes[2].stop()
		for range 50 {
			time.Sleep(time.Hour)
			for _, k := range stay {
				if ids, _, _ := walk(nodes[4], k); len(ids) != 1 {
					t.Fatalf("%s is said to be at %v", k, ids)
				}
			}
		}
		for _, k := range append(slices.Clone(gone), vanished) {
			if ids, _, _ := walk(nodes[4], k); len(ids) != 0 {
				t.Errorf("%s is still said to be at %v", k, ids)
			}
		}
		for i, n := range nodes[3:] {
			if r := n.Stats().Records; r != len(stay) {
				t.Errorf("node %d keeps %d records, want %d", 3+i, r, len(stay))
			}
		}
	})
}
