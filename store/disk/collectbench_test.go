package disk_test

import (
	"testing"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
)

// BenchmarkSweep is a collection that finds nothing to do, of a store with 100,000 contents.
func BenchmarkSweep(b *testing.B) {
	const n = 100_000
	s := open(b, b.TempDir(), disk.Options{})
	fill(b, s, tiny, tiny+n)
	keep := func(store.Key) store.Fate { return store.Keep }
	rounds := 0
	for b.Loop() {
		rounds++
		if swept := mustCollect(b, s, keep, store.SweepOptions{}); swept.KeptContents != n {
			b.Fatalf("%+v", swept)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*n), "ns/record")
}

// BenchmarkCollect gives up every other one of 192 MiB of contents and writes the packs anew: MB/s are of what stays.
func BenchmarkCollect(b *testing.B) {
	keys, raws := pieces(corpus(b, 192<<20))
	c := store.NewCodec()
	gone := make(map[store.Key]bool)
	for i, k := range keys {
		gone[k] = i%2 == 0
	}
	fate := func(k store.Key) store.Fate {
		if gone[k] {
			return store.Dead
		}
		return store.Keep
	}
	var kept, freed int64
	for b.Loop() {
		b.StopTimer()
		s := open(b, b.TempDir(), disk.Options{MaxPack: 64 << 20})
		batch := begin(b, s)
		inParallel(b, len(keys), func(i int) error { return store.Receive(b.Context(), batch, c, keys[i], raws[i]) })
		if err := batch.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := batch.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		swept := mustCollect(b, s, fate, store.SweepOptions{DeadPart: 0.3})
		b.StopTimer()
		kept, freed = swept.KeptBytes, swept.Freed
		closeStore(b, s)
		b.StartTimer()
	}
	b.SetBytes(kept)
	b.ReportMetric(float64(freed)/1e6, "MB-freed")
}
