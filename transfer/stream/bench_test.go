package stream

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/time/rate"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// BenchmarkChunks moves payload over TCP on loopback, both ends in this process.
func BenchmarkChunks(b *testing.B) {
	const runs, chunk = 64, 128 << 10 // 8 chunks of 128 KiB a run
	data := sample.Noise(1, 8*chunk)
	server := newNetwork(b, transfertest.Handler{OnChunks: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, ranges []transfer.Range, send func(transfer.Run) error) error {
		for i := range uint32(runs) {
			if err := send(transfer.Run{First: 8 * i, Count: 8, RawLength: len(data), Data: data}); err != nil {
				return err
			}
		}
		return nil
	}}, Options{})
	client := newNetwork(b, transfertest.Handler{}, Options{})
	c, err := client.Connect(b.Context(), server.Self())
	if err != nil {
		b.Fatal(err)
	}
	space := sample.Space(b)
	b.SetBytes(runs * int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		err := c.Chunks(b.Context(), space, content.BodyID{1}, []transfer.Range{{First: 0, Count: 8 * runs}}, func(transfer.Run) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookup asks for one path at a time, and for as many as go at once.
func BenchmarkLookup(b *testing.B) {
	space := sample.Space(b)
	var hashes []nix.PathHash
	var answers []transfer.Answer
	for n := range transfer.MaxLookup {
		e := sample.Entry(b, n, n, 1000, 1001, 1002)
		hashes = append(hashes, e.Path.Hash())
		answers = append(answers, transfer.Answer{Hash: e.Path.Hash(), Entries: []transfer.LookupEntry{{Entry: e}}})
	}
	server := newNetwork(b, transfertest.Handler{OnLookup: func(_ context.Context, _ transfer.Remote, _ namespace.Address, asked []nix.PathHash) ([]transfer.Answer, error) {
		return answers[:len(asked)], nil
	}}, Options{})
	client := newNetwork(b, transfertest.Handler{}, Options{})
	c, err := client.Connect(b.Context(), server.Self())
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, transfer.MaxLookup} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Lookup(b.Context(), space, hashes[:n]); err != nil {
					b.Fatal(err)
				}
				forgive(server)
			}
		})
	}
}

// forgive lets everybody ask as often as strangers: the limit is not what is
// measured.
func forgive(n *Network) {
	n.guard.mu.Lock()
	defer n.guard.mu.Unlock()
	for _, c := range n.guard.peers {
		c.asks = rate.NewLimiter(rate.Inf, 0)
	}
}
