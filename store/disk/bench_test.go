package disk_test

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/storetest"
)

const benchChunk = 75 << 10

// corpus is up to n bytes of what lies in /nix/store or, where there is none,
// made-up content.
func corpus(b *testing.B, n int) []byte {
	b.Helper()
	data := make([]byte, 0, n)
	_ = filepath.WalkDir("/nix/store", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if content, err := os.ReadFile(path); err == nil {
			data = append(data, content[:min(len(content), n-len(data))]...)
		}
		if len(data) == n {
			return filepath.SkipAll
		}
		return nil
	})
	for seed := uint64(0); len(data) < n; seed++ {
		_, raw := storetest.Chunk(seed, min(1<<20, n-len(data)))
		data = append(data, raw...)
	}
	return data
}

// pieces cuts data into keys and contents of benchChunk bytes.
func pieces(data []byte) (keys []store.Key, raws [][]byte) {
	for len(data) > 0 {
		n := min(benchChunk, len(data))
		k, raw := asChunk(data[:n])
		keys, raws, data = append(keys, k), append(raws, raw), data[n:]
	}
	return keys, raws
}

// BenchmarkReceive is content on its way in: check, encode on all processors,
// append, and a commit at the end of each 192 MiB.
func BenchmarkReceive(b *testing.B) {
	data := corpus(b, 192<<20)
	keys, raws := pieces(data)
	c := store.NewCodec()
	b.SetBytes(int64(len(data)))
	before := processorTime(b)
	rounds := 0
	for b.Loop() {
		rounds++
		b.StopTimer()
		s := open(b, b.TempDir(), disk.Options{})
		b.StartTimer()
		batch := begin(b, s)
		inParallel(b, len(keys), func(i int) error { return store.Receive(b.Context(), batch, c, keys[i], raws[i]) })
		if err := batch.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		st := stats(b, s)
		b.ReportMetric(float64(len(data))/float64(st.Bytes), "ratio")
		closeStore(b, s)
		b.StartTimer()
	}
	b.ReportMetric(float64(len(data))*float64(rounds)/1e6/(processorTime(b)-before).Seconds(), "MB/cpu-s")
}

// processorTime is what this process has used of the processors so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPut is the store alone: frames that are encoded already.
func BenchmarkPut(b *testing.B) {
	data := corpus(b, 192<<20)
	keys, raws := pieces(data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s := open(b, b.TempDir(), disk.Options{})
		b.StartTimer()
		batch := begin(b, s)
		for i, k := range keys {
			if err := batch.Put(b.Context(), k, store.Frame{Encoding: store.Raw, RawLength: len(raws[i]), Data: raws[i]}); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		closeStore(b, s)
		b.StartTimer()
	}
}

func inParallel(b *testing.B, n int, do func(int) error) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 4 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// benchStore is a store with 64 MiB of content, settled.
func benchStore(b *testing.B) (*disk.Store, []store.Key) {
	keys, raws := pieces(corpus(b, 64<<20))
	s, c := open(b, b.TempDir(), disk.Options{}), store.NewCodec()
	batch := begin(b, s)
	inParallel(b, len(keys), func(i int) error { return store.Receive(b.Context(), batch, c, keys[i], raws[i]) })
	if err := batch.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s, keys
}

func BenchmarkFrame(b *testing.B) {
	s, keys := benchStore(b)
	room := make([]byte, 0, store.KindChunk.MaxRaw()+64)
	b.SetBytes(benchChunk)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Frame(b.Context(), keys[rand.IntN(len(keys))], room); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s, keys := benchStore(b)
	c := store.NewCodec()
	buf := make([]byte, 0, benchChunk+64)
	b.SetBytes(benchChunk)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.AppendGet(b.Context(), buf, s, c, keys[rand.IntN(len(keys))]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHas(b *testing.B) {
	s, keys := benchStore(b)
	for name, miss := range map[string]bool{"hit": false, "miss": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k := keys[rand.IntN(len(keys))]
				if miss {
					k.ID[0]++
				}
				if ok, err := s.Has(b.Context(), k); err != nil || ok == miss {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
