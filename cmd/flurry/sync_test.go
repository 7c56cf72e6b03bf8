package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/trust"
)

// The scale that following is measured at.
const (
	syncPublications = 5000
	syncEach         = 20 // paths of one
	syncFollowers    = 50
)

// benchNode is a whole node in this process, on loopback, with its state on the disk.
type benchNode struct {
	*instance
	stop func()
}

func newBenchNode(b testing.TB, share node.Share, peers ...*benchNode) *benchNode {
	b.Helper()
	cfg := config{State: filepath.Join(b.TempDir(), "state"), Sign: true, Budget: time.Second, Reserve: 1 << 20, Share: share, Loopback: true}
	for _, p := range peers {
		hint, err := peer.ParsePeer(p.wire.host.Addrs()[0].String())
		if err != nil {
			b.Fatal(err)
		}
		cfg.Peers = append(cfg.Peers, hint)
	}
	i, err := open(b.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	n := &benchNode{instance: i}
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(i.wait(ctx), i.Close()); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(n.stop)
	if err := errors.Join(i.start(ctx), i.goOnline()); err != nil {
		b.Fatal(err)
	}
	return n
}

func (n *benchNode) uses(b testing.TB, p *catalogtest.Publisher) {
	b.Helper()
	if err := n.node.Put(node.Space{Alias: "acme-1", Address: p.Address, Use: true}); err != nil {
		b.Fatal(err)
	}
}

// waits waits until the node has so many publications.
func (n *benchNode) waits(b testing.TB, a namespace.Address, publications int) {
	b.Helper()
	for {
		changed := n.catalog.Changed(a)
		if d, err := n.catalog.Digest(b.Context(), a); err == nil && d.Count >= uint64(publications) {
			return
		}
		select {
		case <-changed:
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		}
	}
}

// newBenchPublisher is a publisher of today.
func newBenchPublisher(b testing.TB) *catalogtest.Publisher {
	p := catalogtest.NewPublisher(b, "acme-1", 1)
	p.Start = time.Now().Add(-time.Hour).Truncate(time.Second)
	return p
}

// syncPublication is publication k: 20 paths, each with 8 references to the ones before it.
func syncPublication(p *catalogtest.Publisher, k int) []byte {
	name := func(i int) string { return fmt.Sprintf("package-%d-1.%d", i, i%10) }
	return p.Publication(p.Root, func(v *namespace.Publication) {
		for i := k * syncEach; i < (k+1)*syncEach; i++ {
			var refs []nix.StorePath
			for j := max(0, i-8); j < i; j++ {
				refs = append(refs, catalogtest.Path(name(j)))
			}
			v.Entries = append(v.Entries, catalogtest.Entry(name(i), "", refs...))
		}
		v.Roots = []nix.StorePath{catalogtest.Path(name((k+1)*syncEach - 1))}
	})
}

// fill makes the node hold the namespace of p, with count publications.
func (n *benchNode) fill(b testing.TB, p *catalogtest.Publisher, count int) {
	b.Helper()
	if err := n.catalog.Adopt(b.Context(), p.Document(1, nil), nil); err != nil {
		b.Fatal(err)
	}
	policy, _ := n.catalog.Policy(p.Address)
	var pubs []trust.Publication
	for k := range count {
		pub, err := policy.VerifyPublication(syncPublication(p, k))
		if err != nil {
			b.Fatal(err)
		}
		pubs = append(pubs, pub)
	}
	for part := range slices.Chunk(pubs, 500) {
		if _, err := n.catalog.AddAll(b.Context(), part, true); err != nil {
			b.Fatal(err)
		}
	}
}

// processorTime is how many seconds of processor time this process has used: of both nodes.
func processorTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkSync: a node learns all of a namespace from another, over libp2p on loopback, from nothing to durable.
func BenchmarkSync(b *testing.B) {
	p := newBenchPublisher(b)
	seed := newBenchNode(b, node.ShareAll)
	seed.fill(b, p, syncPublications)
	seed.uses(b, p)
	cpu := 0.0
	for b.Loop() {
		b.StopTimer()
		follower := newBenchNode(b, node.ShareNone, seed)
		b.StartTimer()
		before := processorTime(b)
		follower.uses(b, p)
		follower.waits(b, p.Address, syncPublications)
		cpu += processorTime(b) - before
		b.StopTimer()
		follower.stop()
		b.StartTimer()
	}
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
	b.ReportMetric(syncPublications*float64(b.N)/b.Elapsed().Seconds(), "publications/s")
}

// BenchmarkSpread: one new publication reaches everybody who follows a seed.
func BenchmarkSpread(b *testing.B) {
	p := newBenchPublisher(b)
	seed := newBenchNode(b, node.ShareAll)
	seed.fill(b, p, 1)
	seed.uses(b, p)
	followers := make([]*benchNode, syncFollowers)
	for i := range followers {
		followers[i] = newBenchNode(b, node.ShareNone, seed)
		followers[i].uses(b, p)
	}
	have := 1
	for b.Loop() {
		b.StopTimer()
		for _, f := range followers {
			f.waits(b, p.Address, have)
		}
		policy, _ := seed.catalog.Policy(p.Address)
		pub, err := policy.VerifyPublication(syncPublication(p, have))
		if err != nil {
			b.Fatal(err)
		}
		have++
		b.StartTimer()
		if _, err := seed.catalog.Add(b.Context(), pub); err != nil {
			b.Fatal(err)
		}
		for _, f := range followers {
			f.waits(b, p.Address, have)
		}
	}
}
