package content

import (
	"slices"
	"testing"
)

// cutAll cuts p, given to the cutter in pieces of step bytes.
func cutAll(p []byte, step func() int) (lengths []int) {
	var c cutter
	n := 0
	for len(p) > 0 {
		piece := p[:min(len(p), step())]
		p = p[len(piece):]
		for len(piece) > 0 {
			used, end := c.next(piece)
			n += used
			piece = piece[used:]
			if end {
				lengths = append(lengths, n)
				n = 0
			}
		}
	}
	if n > 0 {
		lengths = append(lengths, n)
	}
	return lengths
}

func always(n int) func() int { return func() int { return n } }

func TestCutterAgainstRules(t *testing.T) {
	rng := newRand(1)
	noisy := noise(rng, 700_000)
	early := slices.Clone(noisy)
	for i := 16384 + 500; i < len(early); i += 30_000 + rng.IntN(40_000) {
		copy(early[i:], cutWindow(earlyLimit))
	}
	for name, p := range map[string][]byte{
		"noise":              noisy,
		"noise cut early":    early,
		"zeros":              make([]byte, 600_000),
		"alphabet":           alphabetNoise(rng, 500_000),
		"exactly MinChunk":   noisy[:MinChunk],
		"exactly MaxChunk":   make([]byte, MaxChunk),
		"MaxChunk and one":   make([]byte, MaxChunk+1),
		"two of MaxChunk":    make([]byte, 2*MaxChunk),
		"one short of a cut": noisy[:naiveCut(noisy)[0]-1],
		"exactly one chunk":  noisy[:naiveCut(noisy)[0]],
	} {
		t.Run(name, func(t *testing.T) {
			want := naiveCut(p)
			for _, step := range []func() int{
				always(len(p)), always(1), always(16384), always(65536),
				func() int { return 1 + rng.IntN(100_000) },
			} {
				if got := cutAll(p, step); !slices.Equal(got, want) {
					t.Fatalf("lengths are %v, want %v", got, want)
				}
			}
		})
	}
}

// TestCutterAtTheLimits puts bytes that satisfy a limit at every place around
// those where the rule changes.
func TestCutterAtTheLimits(t *testing.T) {
	for _, window := range [][]byte{cutWindow(earlyLimit), cutWindow(lateLimit)} {
		for _, border := range []int{MinChunk, MinChunk + len(window), NormalChunk, MaxChunk} {
			for end := border - 3; end <= border+3; end++ {
				p := make([]byte, MaxChunk+100)
				copy(p[end-len(window):], window)
				want := naiveCut(p)
				if got := cutAll(p, always(len(p))); !slices.Equal(got, want) {
					t.Errorf("with a cut at %d the lengths are %v, want %v", end, got, want)
				}
			}
		}
	}
}

// cutWindow returns 64 bytes, which is all that the rolling hash remembers,
// after which it is below limit, and for the late limit not below the early.
func cutWindow(limit uint64) []byte {
	p := noise(newRand(2), 8<<20)
	var h uint64
	for i, b := range p {
		h = h<<1 + gearTable[b]
		if i >= 64 && h < limit && (limit == earlyLimit || h >= earlyLimit) {
			return p[i-63 : i+1]
		}
	}
	panic("8 MiB of noise without a cut")
}

func TestRollStopsAtEachPlace(t *testing.T) {
	window := cutWindow(lateLimit)
	for before := range 20 {
		p := append(make([]byte, before), window...)
		hash, used, end := roll(0, append(p, 1, 2, 3), lateLimit)
		if !end || used != len(p) || hash >= lateLimit {
			t.Errorf("after %d zeros: roll = %#x, %d, %v; want to stop after %d", before, hash, used, end, len(p))
		}
	}
}

// On noise the rule alone decides the lengths. An early cut takes one byte in
// 2^18, a late one 1 in 2^14, which gives a mean of 73 KiB.
func TestMeanLengthOfNoise(t *testing.T) {
	p := noise(newRand(3), 24<<20)
	mean := len(p) / len(cutAll(p, always(len(p))))
	if mean < 70<<10 || mean > 76<<10 {
		t.Errorf("mean length is %d bytes", mean)
	}
}
