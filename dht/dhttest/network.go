// Package dhttest is a DHT in memory, and the tests that it and every other
// [dht.Router] pass.
//
// The network behaves as a small real one does: every node keeps every record it
// was told, answers from what it keeps, and forgets what was not told again for
// two rounds. Telling and asking fail when the test wants them to: messages are
// dropped at random from a seed, the network is cut in parts, nodes stop and
// start. Nothing happens by itself; a round of time passes when [Network.Round]
// is called. Latency is waited for with timers, so that a test under
// testing/synctest is instant.
package dhttest

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/peer"
)

// validity is for how many rounds a record is kept: real ones are valid for 48
// hours and told again every 22.
const validity = 2

// Network is the nodes of one DHT.
type Network struct {
	mu      sync.Mutex
	rng     *rand.Rand
	nodes   []*Node // in the order of joining
	drop    float64
	latency time.Duration
	part    map[peer.ID]int // empty: the network is whole
}

// Node is one member of a [Network].
type Node struct {
	net  *Network
	info peer.Info

	// What follows is guarded by net.mu.
	running  bool
	provided map[dht.Key]bool
	records  map[dht.Key]map[peer.ID]record
}

type record struct {
	info   peer.Info
	rounds int // since it was told
}

var _ dht.Router = (*Node)(nil)

// NewNetwork returns a network without nodes. What is random in it comes from
// seed.
func NewNetwork(seed uint64) *Network {
	return &Network{rng: rand.New(rand.NewPCG(seed, 0)), part: make(map[peer.ID]int)}
}

// Join adds a node, running, that is announced as info.
func (n *Network) Join(info peer.Info) *Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	node := &Node{
		net: n, info: info, running: true,
		provided: make(map[dht.Key]bool),
		records:  make(map[dht.Key]map[peer.ID]record),
	}
	n.nodes = append(n.nodes, node)
	return node
}

// SetDrop makes messages get lost with probability p: of telling a node about a
// key, and of a node's answers.
func (n *Network) SetDrop(p float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = p
}

// SetLatency makes every walk wait for d before its first answer.
func (n *Network) SetLatency(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.latency = d
}

// Partition cuts the network: nodes of different groups cannot reach each other.
// Nodes that are in no group form one of their own.
func (n *Network) Partition(groups ...[]peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.part)
	for i, g := range groups {
		for _, id := range g {
			n.part[id] = i + 1
		}
	}
}

// Heal ends the partition.
func (n *Network) Heal() { n.Partition() }

// Round lets one interval of announcing pass: running nodes tell everybody they
// reach what they provide, and records that were not told for two rounds expire.
func (n *Network) Round() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.nodes {
		node.age()
	}
	for _, node := range n.nodes {
		if node.running {
			n.tell(node, node.keys())
		}
	}
}

// Lie makes every node record infos as providers of k, whoever they are: the
// lies of hostile nodes, or peers that are long gone.
func (n *Network) Lie(k dht.Key, infos ...peer.Info) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, node := range n.nodes {
		for _, info := range infos {
			node.keep(k, info)
		}
	}
}

// tell is called with mu held.
func (n *Network) tell(from *Node, keys []dht.Key) {
	for _, to := range n.nodes {
		for _, k := range keys {
			if n.reaches(from, to) {
				to.keep(k, from.info)
			}
		}
	}
}

// reaches reports whether one message gets from a to b now. It is called with mu
// held. A node always reaches itself.
func (n *Network) reaches(a, b *Node) bool {
	if a == b {
		return true
	}
	return b.running && n.part[a.info.ID] == n.part[b.info.ID] && n.rng.Float64() >= n.drop
}

// age is called with mu held.
func (node *Node) age() {
	for k, from := range node.records {
		for id, r := range from {
			r.rounds++
			if from[id] = r; r.rounds >= validity {
				delete(from, id)
			}
		}
		if len(from) == 0 {
			delete(node.records, k)
		}
	}
}

// keep is called with mu held.
func (node *Node) keep(k dht.Key, info peer.Info) {
	if node.records[k] == nil {
		node.records[k] = make(map[peer.ID]record)
	}
	node.records[k][info.ID] = record{info: info}
}

// Stop ends a node as a crash does: others go on naming it until its records
// expire.
func (node *Node) Stop() {
	node.net.mu.Lock()
	defer node.net.mu.Unlock()
	node.running = false
}

// Start runs a stopped node again. It tells others what it provides.
func (node *Node) Start() {
	node.net.mu.Lock()
	defer node.net.mu.Unlock()
	node.running = true
	node.net.tell(node, node.keys())
}

// ID is the node's peer id.
func (node *Node) ID() peer.ID { return node.info.ID }

// Provided lists the keys that the node provides, sorted.
func (node *Node) Provided() []dht.Key {
	node.net.mu.Lock()
	defer node.net.mu.Unlock()
	return node.keys()
}

// keys is called with mu held. Their order is fixed, so that a seed decides
// which messages are lost.
func (node *Node) keys() []dht.Key {
	return slices.SortedFunc(maps.Keys(node.provided), func(a, b dht.Key) int {
		return bytes.Compare(a[:], b[:])
	})
}

// Provide implements [dht.Router]. A stopped node remembers the keys and tells
// others when it starts.
func (node *Node) Provide(ctx context.Context, keys ...dht.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	node.net.mu.Lock()
	defer node.net.mu.Unlock()
	var added []dht.Key
	for _, k := range keys {
		if !node.provided[k] {
			node.provided[k] = true
			added = append(added, k)
		}
	}
	if node.running {
		node.net.tell(node, added)
	}
	return nil
}

// Withdraw implements [dht.Router].
func (node *Node) Withdraw(ctx context.Context, keys ...dht.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	node.net.mu.Lock()
	defer node.net.mu.Unlock()
	for _, k := range keys {
		delete(node.provided, k)
		delete(node.records[k], node.info.ID)
	}
	return nil
}

// Providers implements [dht.Router].
func (node *Node) Providers(ctx context.Context, k dht.Key) iter.Seq[peer.Info] {
	return func(yield func(peer.Info) bool) {
		if !node.net.wait(ctx) {
			return
		}
		for _, info := range node.ask(k) {
			if ctx.Err() != nil || !yield(info) {
				return
			}
		}
	}
}

// wait lets the latency pass. It reports whether ctx is still alive then.
func (n *Network) wait(ctx context.Context) bool {
	n.mu.Lock()
	d := n.latency
	n.mu.Unlock()
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

// ask gathers what every node in reach answers, in random order.
func (node *Node) ask(k dht.Key) []peer.Info {
	n := node.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if !node.running {
		return nil
	}
	found := make(map[peer.ID]peer.Info)
	for _, at := range n.nodes {
		if n.reaches(node, at) && n.reaches(at, node) {
			for id, r := range at.records[k] {
				found[id] = r.info
			}
		}
	}
	delete(found, node.info.ID)
	ids := slices.Sorted(maps.Keys(found)) // so that a seed decides the order
	n.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	infos := make([]peer.Info, len(ids))
	for i, id := range ids {
		infos[i] = found[id]
		infos[i].Addrs = slices.Clone(infos[i].Addrs[:min(len(infos[i].Addrs), dht.MaxAddrs)])
	}
	return infos
}
