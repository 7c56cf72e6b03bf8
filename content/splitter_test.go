package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/flurry-nix/flurry/nix"
)

// checkSplit holds one split against the naive implementation, and the way back
// against the NAR.
func checkSplit(t *testing.T, nar []byte, o SplitOptions, b bounds, step func() int) naiveSplit {
	t.Helper()
	want := naive(nar, o.Candidates, b.rewrites)
	split, chunks := splitBounded(t, nar, o, b, step)
	if split.NarHash != sha256.Sum256(nar) || split.NarSize != uint64(len(nar)) {
		t.Fatalf("NarHash and NarSize are %s, %d", split.NarHash, split.NarSize)
	}
	if got := split.Body.Append(nil); !bytes.Equal(got, want.body) {
		t.Fatalf("the body is\n%x, want\n%x", got, want.body)
	}
	if !slices.Equal(split.Slots, want.slots) {
		t.Fatalf("the slots are %v, want %v", split.Slots, want.slots)
	}
	if got := bytes.Join(chunks, nil); !bytes.Equal(got, want.normalised) {
		t.Fatal("the chunks are not the normalised NAR")
	}
	if !bytes.Equal(assemble(t, split.Body, split.Slots, chunks), nar) {
		t.Fatal("the chunks do not give the NAR back")
	}
	return want
}

var realBounds = bounds{chunks: MaxChunks, rewrites: MaxRewrites}

// TestSplitAgainstRules has short blocks, so that a match, a chunk and a write
// meet their ends in every way.
func TestSplitAgainstRules(t *testing.T) {
	for seed := range uint64(120) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := newRand(100 + seed)
			size := 1 + rng.IntN(200_000)
			added := max(0, size-headroom)
			pool := &Pool{size: headroom + 1 + rng.IntN(1+rng.IntN(100_000))}
			candidates := hardCandidates(rng, t)
			borders := append(multiples(pool.size-headroom, 400_000, 50), MinChunk, NormalChunk, MaxChunk, added)
			nar := hardNAR(rng, candidates, 1+rng.IntN(600_000), borders...)
			longest := 1 + rng.IntN(1+rng.IntN(100_000))
			checkSplit(t, nar, SplitOptions{Candidates: candidates, Pool: pool, Workers: 1 + rng.IntN(4)}, realBounds,
				func() int { return 1 + rng.IntN(longest) })
		})
	}
}

// multiples returns up to most multiples of n below limit.
func multiples(n, limit, most int) (out []int) {
	for v := n; v < limit && len(out) < most; v += n {
		out = append(out, v)
	}
	return out
}

// TestSplitAcrossFullBlocks uses blocks as they are, and puts a hash part across
// the border of the first two.
func TestSplitAcrossFullBlocks(t *testing.T) {
	rng := newRand(11)
	h := randomHash(rng)
	pool := new(Pool)
	const border = blockSize - headroom
	nar := noise(rng, border+300_000)
	for _, shift := range []int{0, 1, 2, 16, 30, 31, 32, 33} {
		p := bytes.Clone(nar)
		copy(p[border-shift:], h.String())
		want := checkSplit(t, p, SplitOptions{Candidates: []nix.PathHash{h}, Pool: pool}, realBounds, always(256<<10))
		if !slices.Equal(want.places, []int{border - shift}) {
			t.Fatalf("matches are at %v", want.places)
		}
	}
}

// TestSplitAcrossChunks puts a hash part at every offset across a cut.
func TestSplitAcrossChunks(t *testing.T) {
	h := randomHash(newRand(12))
	straddled := 0
	for shift := range hashChars + 1 {
		nar := make([]byte, 300_000)
		copy(nar[MaxChunk-shift:], h.String())
		want := checkSplit(t, nar, SplitOptions{Candidates: []nix.PathHash{h}}, realBounds, always(100_000))
		if shift > 0 && shift < hashChars && want.lengths[0] == MaxChunk {
			straddled++
		}
	}
	if straddled == 0 {
		t.Error("no rewrite straddles a cut")
	}
}

// TestSplitCarriesTheMost ends a block with the longest unfinished chunk and the
// longest beginning of a match.
func TestSplitCarriesTheMost(t *testing.T) {
	text := strings.Repeat("0", hashChars-1) + "1"
	for zeros := MaxChunk - 2; zeros <= MaxChunk; zeros++ {
		nar := slices.Concat(make([]byte, zeros), []byte(text), make([]byte, 1000))
		o := SplitOptions{
			Candidates: parseHashes(t, []string{text}),
			Pool:       &Pool{size: headroom + zeros + hashChars - 1},
		}
		if want := checkSplit(t, nar, o, realBounds, always(100_000)); len(want.places) != 1 {
			t.Errorf("after %d zeros the hash part is not found", zeros)
		}
	}
}

func TestSplitSmall(t *testing.T) {
	h := randomHash(newRand(13))
	text := h.String()
	for name, nar := range map[string]string{
		"nothing":                 "",
		"one byte":                "x",
		"one byte of the hash":    text[:1],
		"a hash but its end":      text[:31],
		"a hash":                  text,
		"a hash and a byte":       text + "0",
		"two hashes":              text + text,
		"lib<hash>":               "lib" + text,
		"hash cut by its own end": text[:31] + text,
		"the placeholder":         Placeholder,
		"placeholder and hash":    Placeholder + text + Placeholder,
		"hash in the placeholder": Placeholder[:16] + text + Placeholder[16:],
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []int{1, 2, 31, 32, 33, 1000} {
				checkSplit(t, []byte(nar), SplitOptions{Candidates: []nix.PathHash{h, h}}, realBounds, always(step))
			}
			checkSplit(t, []byte(nar), SplitOptions{}, realBounds, always(1000))
		})
	}
}

func TestSplitExactLengths(t *testing.T) {
	for _, n := range []int{1, MinChunk - 1, MinChunk, MinChunk + 1, MaxChunk - 1, MaxChunk, MaxChunk + 1, 3 * MaxChunk} {
		want := checkSplit(t, make([]byte, n), SplitOptions{}, realBounds, always(50_000))
		if chunks := (n + MaxChunk - 1) / MaxChunk; len(want.lengths) != chunks {
			t.Errorf("%d zeros are %d chunks, want %d", n, len(want.lengths), chunks)
		}
	}
}

// TestSplitBeyondMostRewrites lowers the bound, and has matches before, at and
// after it.
func TestSplitBeyondMostRewrites(t *testing.T) {
	rng := newRand(14)
	hashes := []nix.PathHash{randomHash(rng), randomHash(rng)}
	var nar []byte
	for i := range 2000 {
		nar = append(append(nar, hashes[i%2].String()...), noise(rng, rng.IntN(100))...)
	}
	for _, most := range []int{0, 1, 2, 999, 1000, 1999, 2000, 2001} {
		b := bounds{chunks: MaxChunks, rewrites: most}
		want := checkSplit(t, nar, SplitOptions{Candidates: hashes, Pool: &Pool{size: headroom + 1000}}, b, always(777))
		if len(want.places) != min(most, 2000) {
			t.Errorf("with a bound of %d there are %d rewrites", most, len(want.places))
		}
	}
}

// Matches beyond the real bound, once.
func TestSplitMaxRewrites(t *testing.T) {
	h := randomHash(newRand(15))
	nar := []byte(strings.Repeat(h.String(), MaxRewrites+2))
	split, chunks := splitAll(t, nar, SplitOptions{Candidates: []nix.PathHash{h}}, 256<<10)
	if len(split.Body.Rewrites) != MaxRewrites {
		t.Errorf("%d rewrites, want %d", len(split.Body.Rewrites), MaxRewrites)
	}
	b, err := ParseBody(split.Body.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(assemble(t, b, split.Slots, chunks), nar) {
		t.Error("the chunks do not give the NAR back")
	}
}

func TestSplitTooLarge(t *testing.T) {
	nar := noise(newRand(16), 2<<20)
	n := len(naiveCut(nar))
	for _, most := range []int{0, 1, n / 2, n - 1, n, n + 1} {
		s := newSplitter(context.Background(), SplitOptions{}, bounds{chunks: most, rewrites: MaxRewrites})
		for p := nar; len(p) > 0; p = p[min(len(p), 100_000):] {
			if _, err := s.Write(p[:min(len(p), 100_000)]); err != nil && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("Write: %v", err)
			}
		}
		if _, err := s.Close(); (err == nil) != (n <= most) || err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d chunks, at most %d allowed: %v", n, most, err)
		}
	}
}

// A rebuild that changes nothing but hashes leaves body and chunks as they are.
func TestRebuildKeepsTheBody(t *testing.T) {
	rng := newRand(17)
	before := []nix.PathHash{randomHash(rng), randomHash(rng), randomHash(rng)}
	after := []nix.PathHash{randomHash(rng), randomHash(rng), randomHash(rng)}
	nar := noise(rng, 1<<20)
	rebuilt := bytes.Clone(nar)
	for range 100 {
		at, i := rng.IntN(len(nar)-100), rng.IntN(len(before))
		copy(nar[at:], before[i].String()+"-")
		copy(rebuilt[at:], after[i].String()+"-")
	}
	first, _ := splitAll(t, nar, SplitOptions{Candidates: before}, 100_000)
	slices.Reverse(after) // in whatever order the references are sorted now
	second, _ := splitAll(t, rebuilt, SplitOptions{Candidates: after}, 70_000)
	if first.NarHash == second.NarHash || len(first.Body.Rewrites) == 0 {
		t.Fatal("the rebuild changed nothing")
	}
	if first.Body.ID() != second.Body.ID() {
		t.Error("the rebuild has another body")
	}
}

func TestSplitterStopsAtPutsError(t *testing.T) {
	disk := errors.New("disk full")
	nar := noise(newRand(18), 8<<20)
	for failAt := range int64(5) {
		var calls atomic.Int64
		s := NewSplitter(t.Context(), SplitOptions{Workers: 3, Put: func(ChunkID, []byte) error {
			if calls.Add(1) > failAt {
				return disk
			}
			return nil
		}})
		n, err := 0, error(nil)
		for p := nar; len(p) > 0 && err == nil; p = p[n:] {
			n, err = s.Write(p[:min(len(p), 100_000)])
		}
		if err != nil && !errors.Is(err, disk) {
			t.Errorf("Write: %v", err)
		}
		if _, err := s.Close(); !errors.Is(err, disk) || s.taken != 0 {
			t.Errorf("Close: %v, and %d blocks are not given back", err, s.taken)
		}
	}
}

func TestSplitterStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("the client has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		release := make(chan struct{})
		s := NewSplitter(ctx, SplitOptions{Put: func(ChunkID, []byte) error { <-release; return nil }})
		var wrote error
		go func() {
			for wrote == nil {
				_, wrote = s.Write(make([]byte, 1<<20))
			}
		}()
		synctest.Wait() // Put hangs, the blocks have run out, and Write waits for one
		if wrote != nil {
			t.Fatal(wrote)
		}
		cancel(gone)
		synctest.Wait()
		if !errors.Is(wrote, gone) {
			t.Errorf("Write: %v", wrote)
		}
		close(release)
		if _, err := s.Close(); !errors.Is(err, gone) {
			t.Errorf("Close: %v", err)
		}
	})
}

// goleak, in TestMain, sees to it that nothing runs on.
func TestSplitterAbort(t *testing.T) {
	nar := noise(newRand(20), 3<<20)
	for _, n := range []int{0, 1, 100_000, len(nar)} {
		var calls, running atomic.Int64
		s := NewSplitter(t.Context(), SplitOptions{Put: func(ChunkID, []byte) error {
			running.Add(1)
			defer running.Add(-1)
			calls.Add(1)
			return nil
		}})
		if _, err := s.Write(nar[:n]); err != nil {
			t.Fatal(err)
		}
		s.Abort()
		if n := running.Load(); n != 0 {
			t.Errorf("%d calls of Put run after Abort", n)
		}
		if s.taken != 0 {
			t.Errorf("Abort after %d bytes keeps %d blocks", n, s.taken)
		}
		s.Abort()
		if _, err := s.Write(nar); !errors.Is(err, ErrClosed) {
			t.Errorf("Write after Abort: %v", err)
		}
		if _, err := s.Close(); !errors.Is(err, ErrClosed) {
			t.Errorf("Close after Abort: %v", err)
		}
	}
}

// Chunks that wait for a worker when the Splitter is aborted are not put.
func TestSplitterAbortPutsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, aborted := make(chan struct{}), make(chan struct{})
		var calls atomic.Int64
		s := NewSplitter(t.Context(), SplitOptions{Workers: 1, Put: func(ChunkID, []byte) error {
			calls.Add(1)
			<-release
			return nil
		}})
		if _, err := s.Write(make([]byte, blockSize)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // one chunk is being put, the next wait
		go func() {
			s.Abort()
			close(aborted)
		}()
		synctest.Wait()
		select {
		case <-aborted:
			t.Error("Abort does not wait for Put")
		default:
		}
		close(release)
		<-aborted
		if n := calls.Load(); n != 1 {
			t.Errorf("%d chunks were put, want the one that had begun", n)
		}
	})
}

func TestSplitterClosedTwice(t *testing.T) {
	s := NewSplitter(t.Context(), SplitOptions{})
	if _, err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Abort()
	if _, err := s.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

// goleak would find the goroutines of a Splitter that nobody has written to.
func TestSplitterStartsNothing(t *testing.T) {
	if s := NewSplitter(t.Context(), SplitOptions{}); s.started {
		t.Error("a new Splitter has started something")
	}
}

// However much is written, no more is taken in while Put hangs than the blocks
// that the documentation promises.
func TestSplitterMemory(t *testing.T) {
	for workers, blocks := range map[int]int{1: 5, 4: 5, 5: 6, 16: 8} {
		synctest.Test(t, func(t *testing.T) {
			const size = 1 << 20
			written, finished := 0, make(chan error)
			release := make(chan struct{})
			s := NewSplitter(t.Context(), SplitOptions{
				Workers: workers,
				Pool:    &Pool{size: headroom + size},
				Put:     func(ChunkID, []byte) error { <-release; return nil },
			})
			go func() {
				for range 20 {
					n, err := s.Write(make([]byte, size))
					if written += n; err != nil {
						t.Error(err)
					}
				}
				_, err := s.Close()
				finished <- err
			}()
			synctest.Wait()
			if s.taken != blocks || written > blocks*size {
				t.Errorf("with %d workers, %d blocks are in use and %d bytes taken in, want %d blocks", workers, s.taken, written, blocks)
			}
			close(release)
			if err := <-finished; err != nil || s.taken != 0 {
				t.Errorf("in the end: %v, and %d blocks are not given back", err, s.taken)
			}
		})
	}
}

// Several Splitters share a Pool, and none sees another's bytes.
func TestPoolIsShared(t *testing.T) {
	pool := new(Pool)
	done := make(chan struct{})
	for i := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			rng := rand.New(rand.NewPCG(uint64(i), 2))
			for range 5 {
				h := randomHash(rng)
				nar := hardNAR(rng, []nix.PathHash{h}, 1+rng.IntN(1<<20))
				want := naive(nar, []nix.PathHash{h}, 1<<20)
				s := NewSplitter(context.Background(), SplitOptions{Candidates: []nix.PathHash{h}, Pool: pool})
				s.Write(nar)
				split, err := s.Close()
				if err != nil || !bytes.Equal(split.Body.Append(nil), want.body) {
					t.Errorf("splitter %d: wrong body, or %v", i, err)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}
