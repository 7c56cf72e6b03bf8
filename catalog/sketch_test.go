package catalog

import (
	"math/rand/v2"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// TestSketch: what was added is never denied, and of what was not nearly all is.
func TestSketch(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	hash := func() (h nix.PathHash) {
		random.Read(h[:])
		return h
	}
	var s sketch
	if s.has(hash()) {
		t.Error("an empty sketch has something")
	}
	const n = 50_000
	var all []nix.PathHash
	for range n {
		h := hash()
		s.add(h)
		s.add(h)
		all = append(all, h)
	}
	for _, h := range all {
		if !s.has(h) {
			t.Fatalf("%s was added and is denied", h)
		}
	}
	vain := 0
	for range n {
		if s.has(hash()) {
			vain++
		}
	}
	if vain > n/100 {
		t.Errorf("%d of %d absent paths are not denied", vain, n)
	}
	bits := 0
	for _, l := range s.layers {
		bits += 64 * len(l.bits)
	}
	if bits > 3*sketchBits*n {
		t.Errorf("%d bits for %d paths", bits, n)
	}
}
