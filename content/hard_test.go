package content

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// hardCandidates returns up to six hash parts, chosen to overlap themselves and
// one another: periodic ones, shifted ones, ones that share a long beginning.
func hardCandidates(rng *rand.Rand, t *testing.T) []nix.PathHash {
	t.Helper()
	texts := []string{
		strings.Repeat("0", 32),
		strings.Repeat("01", 16),
		strings.Repeat("10", 16),
		strings.Repeat("0", 31) + "1",
		"1" + strings.Repeat("0", 31),
		strings.Repeat("0123456789abcdf", 3)[:32],
		string(alphabetNoise(rng, 32)),
		string(alphabetNoise(rng, 32)),
	}
	last := texts[len(texts)-1]
	texts = append(texts, last[1:]+"0", "z"+last[:31], last[:31]+"x")
	rng.Shuffle(len(texts), func(i, k int) { texts[i], texts[k] = texts[k], texts[i] })
	return parseHashes(t, texts[:rng.IntN(7)])
}

// hardBytes returns about n bytes of what is hard to scan: the candidates whole,
// cut off, glued to one another and to words, and what looks like them.
func hardBytes(rng *rand.Rand, candidates []nix.PathHash, n int) []byte {
	var out []byte
	text := func() string {
		if len(candidates) == 0 {
			return Placeholder
		}
		return candidates[rng.IntN(len(candidates))].String()
	}
	for len(out) < n {
		switch rng.IntN(11) {
		case 0, 1, 2:
			out = append(out, text()...)
		case 3:
			out = append(out, text()[:rng.IntN(32)]...)
		case 4:
			out = append(out, text()[rng.IntN(32):]...)
		case 5:
			out = append(out, "lib"+text()...)
		case 6:
			out = append(out, Placeholder[rng.IntN(2)*rng.IntN(32):]...)
		case 7:
			out = append(out, noise(rng, rng.IntN(70))...)
		case 8:
			out = append(out, alphabetNoise(rng, rng.IntN(70))...)
		case 9:
			out = append(out, make([]byte, rng.IntN(70))...)
		case 10:
			out = append(out, strings.Repeat("01"[rng.IntN(2):][:1], rng.IntN(70))...)
		}
	}
	return out
}

// hardNAR returns n bytes, most of them noise or a run of one byte, with
// hardBytes strewn in at random, and at every place in borders.
func hardNAR(rng *rand.Rand, candidates []nix.PathHash, n int, borders ...int) []byte {
	out := make([]byte, n)
	if rng.IntN(3) > 0 {
		copy(out, noise(rng, n))
	}
	for at := rng.IntN(3000); at < n; at += rng.IntN(n/20 + 2) {
		copy(out[at:], hardBytes(rng, candidates, rng.IntN(200)))
	}
	if len(candidates) > 0 {
		for _, border := range borders {
			text := candidates[rng.IntN(len(candidates))].String()
			if at := border - rng.IntN(34); at >= 0 && at < n {
				copy(out[at:], text)
			}
		}
	}
	return out
}
