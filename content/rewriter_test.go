package content

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// TestRewriterAtEveryBorder cuts a NAR with three rewrites into two chunks at each
// place, and into chunks so short that a rewrite spans many.
func TestRewriterAtEveryBorder(t *testing.T) {
	rng := newRand(7)
	hashes := []nix.PathHash{randomHash(rng), randomHash(rng)}
	nar := []byte("begin " + hashes[0].String() + hashes[1].String() + " middle " + Placeholder + " " + hashes[0].String())
	normalised, places, which := naiveNormalise(nar, hashes, 1<<20)
	if !bytes.Equal(naiveRewrite(normalised, places, which), nar) {
		t.Fatal("the naive rewriting does not give the NAR back")
	}
	rewrites := []Rewrite{{6, 0}, {0, 1}, {41, 0}}
	check := func(lengths ...int) {
		t.Helper()
		b := &Body{Size: uint64(len(nar)), Rewrites: rewrites}
		var chunks [][]byte
		rest := normalised
		for _, n := range lengths {
			b.Chunks = append(b.Chunks, Piece{Length: uint32(n)})
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		if got := assemble(t, b, hashes, chunks); !bytes.Equal(got, nar) {
			t.Errorf("cut into %v: got %q", lengths, got)
		}
		r, err := NewRewriter(b, make([]nix.PathHash, len(hashes))) // which hashes does not matter
		if err != nil {
			t.Fatal(err)
		}
		rest = nar
		for i, n := range lengths {
			if got := r.Normalise(i, bytes.Clone(rest[:n])); !bytes.Equal(got, chunks[i]) {
				t.Errorf("cut into %v: chunk %d normalised is %q", lengths, i, got)
			}
			rest = rest[n:]
		}
	}
	check(len(nar))
	for i := 1; i < len(nar); i++ {
		check(i, len(nar)-i)
	}
	ones := make([]int, len(nar))
	for i := range ones {
		ones[i] = 1
	}
	check(ones...)
}

func TestNewRewriterRefuses(t *testing.T) {
	rng := newRand(8)
	hashes := []nix.PathHash{randomHash(rng), randomHash(rng)}
	body := func(size uint64, rewrites ...Rewrite) *Body {
		return &Body{Size: size, Chunks: []Piece{{Length: uint32(size)}}, Rewrites: rewrites}
	}
	if _, err := NewRewriter(body(64, Rewrite{0, 0}, Rewrite{0, 1}), hashes); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*Body{
		"too few slots":  body(64, Rewrite{0, 0}),
		"too many slots": body(96, Rewrite{0, 0}, Rewrite{0, 1}, Rewrite{0, 2}),
		"slot unused":    body(64, Rewrite{0, 1}),
		"overrun":        body(64, Rewrite{0, 0}, Rewrite{1, 1}),
		"wrong size":     {Size: 65, Chunks: []Piece{{Length: 64}}, Rewrites: []Rewrite{{0, 0}, {0, 1}}},
		"chunk too long": body(MaxChunk+1, Rewrite{0, 0}, Rewrite{0, 1}),
		"too many chunks": {Size: MaxChunks + 1, Chunks: slices.Repeat([]Piece{{Length: 1}}, MaxChunks+1),
			Rewrites: []Rewrite{{0, 0}, {0, 1}}},
		"no slots": body(64),
	} {
		if _, err := NewRewriter(b, hashes); !errors.Is(err, ErrBody) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A buffer of a wrong length is the caller's mistake; it must not become an
// overrun.
func TestRewriterKeepsWithinTheChunk(t *testing.T) {
	h := randomHash(newRand(9))
	b := &Body{Size: 80, Chunks: []Piece{{Length: 40}, {Length: 40}}, Rewrites: []Rewrite{{24, 0}}}
	r, err := NewRewriter(b, []nix.PathHash{h})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 60 {
		got := r.Chunk(0, bytes.Repeat([]byte{'.'}, n))
		want := append(bytes.Repeat([]byte{'.'}, 24), h.String()[:16]...)
		want = append(want, bytes.Repeat([]byte{'.'}, 20)...)
		if !bytes.Equal(got, want[:n]) {
			t.Errorf("in %d bytes: %q, want %q", n, got, want[:n])
		}
	}
}

func TestRewriterIsSafeForConcurrentUse(t *testing.T) {
	rng := newRand(10)
	candidates := []nix.PathHash{randomHash(rng), randomHash(rng)}
	nar := hardNAR(rng, candidates, 1<<20)
	split, chunks := splitAll(t, nar, SplitOptions{Candidates: candidates}, 1<<20)
	r, err := NewRewriter(split.Body, split.Slots)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range chunks {
		wg.Go(func() { chunks[i] = r.Chunk(i, chunks[i]) })
	}
	wg.Wait()
	if !bytes.Equal(bytes.Join(chunks, nil), nar) {
		t.Error("the chunks do not give the NAR back")
	}
}
