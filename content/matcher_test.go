package content

import (
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

func TestAlphabet(t *testing.T) {
	for b := range 256 {
		if want := strings.IndexByte(alphabet, byte(b)) >= 0; isNix32[b] != want {
			t.Errorf("isNix32[%q] is %v, want %v", byte(b), isNix32[b], want)
		}
	}
	for i := range 32 {
		// Digit i everywhere is a hash whose text is one character, repeated.
		h, err := nix.ParsePathHash(strings.Repeat(alphabet[i:i+1], hashChars))
		if err != nil {
			t.Errorf("%q: %v", alphabet[i], err)
		}
		if m := newMatcher([]nix.PathHash{h}); m.lookup((*[hashChars]byte)([]byte(h.String()))) != 0 {
			t.Errorf("%s does not find itself", h)
		}
	}
}

func TestPlaceholderIsNoHash(t *testing.T) {
	if len(Placeholder) != hashChars {
		t.Errorf("the placeholder has %d characters, a hash part %d", len(Placeholder), hashChars)
	}
	if _, err := nix.ParsePathHash(Placeholder); err == nil {
		t.Error("the placeholder is a hash part")
	}
}

// findAll returns where matches begin, going on after each.
func findAll(m *matcher, p []byte) (places []int, which []nix.PathHash) {
	for from := 0; ; {
		at, i := m.find(p, from)
		if i < 0 {
			return places, which
		}
		places, which = append(places, at), append(which, m.hashes[i])
		from = at + hashChars
	}
}

func TestMatcherAgainstRules(t *testing.T) {
	rng := newRand(4)
	for range 3000 {
		candidates := hardCandidates(rng, t)
		p := hardBytes(rng, candidates, rng.IntN(700))
		_, wantPlaces, wantHashes := naiveNormalise(p, candidates, 1<<20)
		places, which := findAll(newMatcher(candidates), p)
		if !slices.Equal(places, wantPlaces) || !slices.Equal(which, wantHashes) {
			t.Fatalf("in %q\nmatches are at %v, want %v", p, places, wantPlaces)
		}
	}
}

// What find says about where to go on is what lets a Splitter normalise a block
// before it has the next.
func TestMatcherGoesOn(t *testing.T) {
	rng := newRand(5)
	for range 1000 {
		candidates := hardCandidates(rng, t)
		p := hardBytes(rng, candidates, 400)
		m := newMatcher(candidates)
		_, want, _ := naiveNormalise(p, candidates, 1<<20)
		var got []int
		for from, end := 0, 0; ; {
			at, i := m.find(p[:end], from)
			if i >= 0 {
				got = append(got, at)
				from = at + hashChars
				continue
			}
			if at < from || at > end || len(candidates) > 0 && at < end-hashChars+1 {
				t.Fatalf("find in %d bytes from %d says to go on at %d", end, from, at)
			}
			if end == len(p) {
				break
			}
			from, end = at, min(len(p), end+1+rng.IntN(40))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("in %q\nmatches are at %v, want %v", p, got, want)
		}
	}
}

func TestMatcherManyCandidates(t *testing.T) {
	rng := newRand(6)
	var candidates []nix.PathHash
	for range 5000 {
		candidates = append(candidates, randomHash(rng))
	}
	candidates = append(candidates, candidates[:100]...)
	m := newMatcher(candidates)
	if len(m.hashes) != 5000 {
		t.Errorf("%d different candidates, want 5000", len(m.hashes))
	}
	for _, h := range candidates {
		if at, i := m.find([]byte("lib"+h.String()), 0); i < 0 || at != 3 || m.hashes[i] != h {
			t.Fatalf("%s is found as %d at %d", h, i, at)
		}
	}
}
