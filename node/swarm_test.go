package node_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
)

// TestSwarmHeals: ten nodes with slow lines that break now and then are parted in two while two machines with the root
// key publish, one on each side. After the parting everybody lists, and can read, what both published.
func TestSwarmHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Delay(20 * time.Millisecond)
		w.dht.SetLatency(20 * time.Millisecond)
		var all []*machine
		var sides [2][]peer.ID
		for k := range 10 {
			m := w.machine(fmt.Sprintf("node%d", k), node.ShareAll, nil)
			all = append(all, m)
			sides[k%2] = append(sides[k%2], m.link.Self().ID)
		}
		left, right := all[0], all[1]
		a := left.creates("acme-1")
		right.adopts(left, a)
		for k, m := range all[2:] {
			m.meet(all[k], all[k+1]) // one of each side, and nobody knows all
			if err := m.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // of the bubble's time
		w.net.Drop(0.02)
		w.net.Partition(sides[0], sides[1])
		w.dht.Partition(sides[0], sides[1])
		p := left.nix.build("left", "1", 900_000)
		q := right.nix.build("right", "1", 900_000)
		left.publishes("acme-1", p)
		right.publishes("acme-1", q)
		time.Sleep(5 * time.Minute)
		for k, m := range all[2:] {
			mine, others := p, q
			if k%2 == 1 {
				mine, others = q, p
			}
			if _, err := m.list.Lookup(t.Context(), a, mine.Hash()); err != nil {
				t.Errorf("%s does not list what its own side published: %v", m.name, err)
			}
			if _, err := m.list.Lookup(t.Context(), a, others.Hash()); err == nil {
				t.Errorf("%s lists what the other side published: it is not parted from it", m.name)
			}
		}
		w.net.Heal()
		w.dht.Heal()
		w.net.Drop(0)
		time.Sleep(20 * time.Minute)
		for _, m := range all[2:] {
			m.gets(left, p)
			m.gets(right, q)
		}
		for _, m := range all {
			m.stop()
		}
	})
}

// adopts gives m the root key that other has, as somebody with two machines does.
func (m *machine) adopts(other *machine, a namespace.Address) {
	m.w.t.Helper()
	m.keys.mu.Lock()
	m.keys.all = append(m.keys.all, other.keys.all[0])
	m.keys.mu.Unlock()
	policy, ok := other.list.Policy(a)
	if !ok {
		m.w.t.Fatal("no policy")
	}
	d, _ := policy.Document()
	if err := m.list.Adopt(m.w.t.Context(), d, nil); err != nil {
		m.w.t.Fatal(err)
	}
	if err := m.Put(node.Space{Alias: a.Name(), Address: a, Publish: true, Share: node.ShareAll}); err != nil {
		m.w.t.Fatal(err)
	}
}
