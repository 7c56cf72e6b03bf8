package kad

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-varint"
	"google.golang.org/protobuf/proto"
)

// budgetNodes is how many nodes the simulated network of BenchmarkAnnounce has,
// the announcing one included.
const budgetNodes = 60

// BenchmarkAnnounce measures what it costs one node to announce its keys to a
// network of budgetNodes on a simulated internet: messages and bytes that it sends
// and receives as Kademlia's payload, by what for, the virtual time until every
// key was told, and how much the heap of the process grew at most. The others
// count records and keep none, so that what grows is the announcer.
//
//	go test -run '^$' -bench Announce -benchtime 1x ./dht/kad
func BenchmarkAnnounce(b *testing.B) {
	for _, paths := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(paths), func(b *testing.B) {
			for range b.N {
				var spent budget
				inBubble(b, func(t *testing.T) { spent = announceBudget(t, paths) })
				spent.report(b, paths)
			}
		})
	}
}

// inBubble runs f in a synctest bubble, for which the testing package wants a T.
func inBubble(b *testing.B, f func(t *testing.T)) {
	all := func(string, string) (bool, error) { return true, nil }
	if !testing.RunTests(all, []testing.InternalTest{{Name: b.Name(), F: f}}) {
		b.Fatal("the simulation failed")
	}
}

// budget is what announcing took.
type budget struct {
	adds, walks     uint64 // messages sent: records, and questions who is closest
	out, in         uint64 // bytes of payload
	records         uint64 // that others took
	told            time.Duration
	heap, heapFirst uint64 // bytes in use: the most, and before
}

func (s budget) report(b *testing.B, paths int) {
	b.ReportMetric(float64(s.adds), "records-sent")
	b.ReportMetric(float64(s.walks), "questions-sent")
	b.ReportMetric(float64(s.out)/1e6, "MB-sent")
	b.ReportMetric(float64(s.in)/1e6, "MB-received")
	b.ReportMetric(float64(s.records)/float64(paths), "holders/key")
	b.ReportMetric(s.told.Seconds(), "virtual-s")
	b.ReportMetric(float64(s.heap-s.heapFirst)/1e6, "MB-heap-growth")
	b.ReportMetric(0, "ns/op") // of a simulation it means nothing
}

func announceBudget(t *testing.T, paths int) (spent budget) {
	var counted counts
	var taken atomic.Uint64
	alter := func(i int, h host.Host, o *Options) host.Host {
		if i == 1 {
			return &countedHost{Host: h, counts: &counted}
		}
		o.Accept = func() bool { taken.Add(1); return false }
		return h
	}
	simulateWith(t, budgetNodes, alter, func(t *testing.T, nodes []*node) {
		spent.heapFirst = heapInUse()
		counted.reset()
		begun := time.Now()
		provide(t, nodes[1].Router, keys("budget", paths)...)
		for nodes[1].Stats().Untold > 0 || !quietSweep(t, nodes[1]) {
			spent.heap = max(spent.heap, heapInUse())
			time.Sleep(5 * time.Second)
		}
		spent.told = time.Since(begun)
	})
	spent.adds, spent.walks = counted.adds.Load(), counted.others.Load()
	spent.out, spent.in, spent.records = counted.out.Load(), counted.in.Load(), taken.Load()
	return spent
}

func quietSweep(t *testing.T, n *node) bool {
	s, done := n.current()
	defer done()
	idle, err := s.sweep.idle(t.Context())
	return err == nil && idle
}

// heapInUse is what lies on the heap, what is garbage taken away.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// counts is the Kademlia messages of one host.
type counts struct{ adds, others, out, in atomic.Uint64 }

func (c *counts) reset() {
	for _, n := range []*atomic.Uint64{&c.adds, &c.others, &c.out, &c.in} {
		n.Store(0)
	}
}

// countedHost counts what goes over the Kademlia streams that its host opens.
type countedHost struct {
	host.Host
	counts *counts
}

func (h *countedHost) NewStream(ctx context.Context, p libpeer.ID, ids ...protocol.ID) (network.Stream, error) {
	s, err := h.Host.NewStream(ctx, p, ids...)
	if err != nil {
		return nil, err
	}
	return &countedStream{Stream: s, counts: h.counts}, nil
}

type countedStream struct {
	network.Stream
	counts *counts
	frame  []byte // the beginning of a frame that is not whole yet
}

func (s *countedStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	s.counts.in.Add(uint64(n))
	return n, err
}

func (s *countedStream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	s.counts.out.Add(uint64(n))
	s.frame = append(s.frame, p[:n]...)
	for {
		size, k, broken := varint.FromUvarint(s.frame)
		if broken != nil || uint64(len(s.frame)-k) < size {
			return n, err
		}
		var m pb.Message
		if proto.Unmarshal(s.frame[k:k+int(size)], &m) == nil && m.GetType() == pb.Message_ADD_PROVIDER {
			s.counts.adds.Add(1)
		} else {
			s.counts.others.Add(1)
		}
		s.frame = s.frame[k+int(size):]
	}
}
