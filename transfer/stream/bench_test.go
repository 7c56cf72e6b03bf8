package stream

import (
	"context"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
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
