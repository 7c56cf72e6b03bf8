// Package transfertest is a network of many nodes in one process, and the suite
// of tests that every [transfer.Network] passes, this one too.
//
// The nodes talk through package wire, as real ones do: the same bytes, the
// same checks, the same counting. What is simulated is what lies between: delay,
// lines that break in the middle of an answer, partitions. Time is package
// time's, so a network may live in a synctest bubble.
package transfertest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
)

// Net is a network of nodes. Make one with [NewNetwork], and close it: that
// waits for everything that it started.
type Net struct {
	seed uint64

	mu    sync.Mutex
	nodes map[peer.ID]*Node
	delay time.Duration
	slow  map[link]time.Duration
	cut   map[link]bool
	drop  float64
	dice  map[link]*rand.Rand // in the order of asker and answerer
}

// link is two nodes; sorted but for dice.
type link struct{ a, b peer.ID }

func sorted(a, b peer.ID) link {
	if b < a {
		a, b = b, a
	}
	return link{a, b}
}

// NewNetwork returns a network without nodes or delay. What is random in it
// follows from seed and, between two nodes, from the order of their questions.
func NewNetwork(seed uint64) *Net {
	return &Net{
		seed:  seed,
		nodes: make(map[peer.ID]*Node),
		slow:  make(map[link]time.Duration),
		cut:   make(map[link]bool),
		dice:  make(map[link]*rand.Rand),
	}
}

// Node adds a node that answers with h. All nodes made so are on one LAN.
func (n *Net) Node(name string, h transfer.Handler) *Node { return n.NodeAt("", name, h) }

// NodeAt adds a node at a site. Nodes at one site are on each other's LAN.
func (n *Net) NodeAt(site, name string, h transfer.Handler) *Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := IDOf(name)
	if n.nodes[id] != nil {
		panic(fmt.Sprintf("transfertest: two nodes named %q", name))
	}
	node := newNode(n, site, id, h)
	n.nodes[id] = node
	return node
}

// KeyOf is the identity of the node with that name, whether there is one or not.
func KeyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("flurry test node " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// IDOf is the peer id that belongs to it.
func IDOf(name string) peer.ID {
	return peer.ID(namespace.SeedName(KeyOf(name).Public().(ed25519.PublicKey)))
}

// Delay sets how long everything takes from one node to another.
func (n *Net) Delay(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = d
}

// DelayBetween sets it for two nodes.
func (n *Net) DelayBetween(a, b peer.ID, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[sorted(a, b)] = d
}

// Drop sets which share of the answers break off: before their first byte, or
// somewhere in the first 64 KiB.
func (n *Net) Drop(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = share
}

// Cut breaks what connects two nodes, and keeps it broken until [Net.Heal].
func (n *Net) Cut(a, b peer.ID) {
	n.mu.Lock()
	n.cut[sorted(a, b)] = true
	x, y := n.nodes[a], n.nodes[b]
	n.mu.Unlock()
	if x != nil && y != nil {
		x.disconnect(y)
	}
}

// Partition cuts each node of a group from those of all other groups. A node
// in no group keeps its connections.
func (n *Net) Partition(groups ...[]peer.ID) {
	for i, group := range groups {
		for _, other := range groups[i+1:] {
			for _, a := range group {
				for _, b := range other {
					n.Cut(a, b)
				}
			}
		}
	}
}

// Heal makes all nodes reachable again. It connects nobody.
func (n *Net) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

// Close closes all nodes.
func (n *Net) Close() {
	n.mu.Lock()
	var all []*Node
	for _, node := range n.nodes {
		all = append(all, node)
	}
	n.mu.Unlock()
	slices.SortFunc(all, func(a, b *Node) int { return strings.Compare(string(a.id), string(b.id)) })
	for _, node := range all {
		node.Close()
	}
}

// reach is the node with that id, if a can reach it.
func (n *Net) reach(a *Node, id peer.ID) *Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.nodes[id]
	if b == nil || b == a || n.cut[sorted(a.id, id)] {
		return nil
	}
	return b
}

func (n *Net) delayBetween(a, b peer.ID) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if d, ok := n.slow[sorted(a, b)]; ok {
		return d
	}
	return n.delay
}

// budget throws the dice for one answer: after how many bytes it breaks off,
// or -1.
func (n *Net) budget(asker, answerer peer.ID) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.drop <= 0 {
		return -1
	}
	l := link{asker, answerer}
	d := n.dice[l]
	if d == nil {
		h := fnv.New64a()
		fmt.Fprintf(h, "%s\n%s", asker, answerer)
		d = rand.New(rand.NewPCG(n.seed, h.Sum64()))
		n.dice[l] = d
	}
	lost, at := d.Float64() < n.drop, d.IntN(64<<10)
	if !lost {
		return -1
	}
	if at%2 == 0 {
		return 0
	}
	return at
}
