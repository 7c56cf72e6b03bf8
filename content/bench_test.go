package content

import (
	"context"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// benchBytes is what the benchmarks split: much more than the caches hold.
const benchBytes = 64 << 20

func BenchmarkSplit(b *testing.B) {
	nar, candidates := benchNar(benchBytes)
	b.SetBytes(int64(len(nar)))
	b.ReportAllocs()
	pool := new(Pool)
	for b.Loop() {
		s := NewSplitter(context.Background(), SplitOptions{Candidates: candidates, Pool: pool})
		writeAll(b, s, nar, 256<<10)
		if _, err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoll(b *testing.B) {
	nar, _ := benchNar(1 << 20)
	b.SetBytes(int64(len(nar)))
	for b.Loop() {
		roll(0, nar, 0)
	}
}

func BenchmarkCut(b *testing.B) {
	nar, _ := benchNar(4 << 20)
	b.SetBytes(int64(len(nar)))
	for b.Loop() {
		var c cutter
		for p := nar; len(p) > 0; {
			used, _ := c.next(p)
			p = p[used:]
		}
	}
}

// benchNar returns n bytes, half noise and half text, with a hash part every
// few KiB, and the hash parts.
func benchNar(n int) ([]byte, []nix.PathHash) {
	rng := rand.NewChaCha8([32]byte{1})
	nar := make([]byte, n)
	rng.Read(nar)
	const words = "the quick brown fox jumps over the lazy dog; int main(void) { return 0x7fffffff; }\n"
	for i := 0; i+8192 <= n; i += 8192 {
		for j := 0; j+len(words) < 4096; j += len(words) {
			copy(nar[i+j:], words)
		}
	}
	candidates := make([]nix.PathHash, 12)
	for i := range candidates {
		rng.Read(candidates[i][:])
	}
	for i, k := 0, 0; i+4096 <= n; i, k = i+4001, k+1 {
		copy(nar[i:], candidates[k%len(candidates)].String())
	}
	return nar, candidates
}

func writeAll(tb testing.TB, w io.Writer, p []byte, step int) {
	for len(p) > 0 {
		n := min(step, len(p))
		if _, err := w.Write(p[:n]); err != nil {
			tb.Fatal(err)
		}
		p = p[n:]
	}
}
