package content

import (
	"bytes"
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

// BenchmarkSplitSmall is what a path costs however small it is.
func BenchmarkSplitSmall(b *testing.B) {
	nar, candidates := benchNar(4096)
	b.ReportAllocs()
	pool := new(Pool)
	for b.Loop() {
		s := NewSplitter(context.Background(), SplitOptions{Candidates: candidates, Pool: pool})
		writeAll(b, s, nar, len(nar))
		if _, err := s.Close(); err != nil {
			b.Fatal(err)
		}
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

func BenchmarkFind(b *testing.B) {
	nar, candidates := benchNar(1 << 20)
	m := newMatcher(candidates)
	for _, c := range []struct {
		name string
		p    []byte
	}{
		{"mixed", nar},
		{"zeros", make([]byte, 1<<20)},
		{"worst", bytes.Repeat([]byte{'0'}, 1<<20)}, // one run of the alphabet: a lookup for each byte
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.p)))
			for b.Loop() {
				for at, which := m.find(c.p, 0); which >= 0; at, which = m.find(c.p, at+hashChars) {
				}
			}
		})
	}
}

func BenchmarkParseBody(b *testing.B) {
	nar, candidates := benchNar(benchBytes)
	raw := benchSplit(b, nar, candidates).Body.Append(nil)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseBody(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRewriter rewrites chunks that are in the cache, as they are when they
// have just been verified.
func BenchmarkRewriter(b *testing.B) {
	nar, candidates := benchNar(benchBytes)
	split := benchSplit(b, nar, candidates)
	r, err := NewRewriter(split.Body, split.Slots)
	if err != nil {
		b.Fatal(err)
	}
	chunk := make([]byte, MaxChunk)
	b.SetBytes(int64(len(nar)))
	for b.Loop() {
		for i, p := range split.Body.Chunks {
			r.Chunk(i, chunk[:p.Length])
		}
	}
}

func benchSplit(b *testing.B, nar []byte, candidates []nix.PathHash) Split {
	b.Helper()
	s := NewSplitter(context.Background(), SplitOptions{Candidates: candidates})
	writeAll(b, s, nar, 256<<10)
	split, err := s.Close()
	if err != nil {
		b.Fatal(err)
	}
	return split
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
