package catalog

import (
	"encoding/binary"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// sketch says of a path hash that it is certainly not listed, without a look at
// the index: nearly all that Nix asks for is not. It is a Bloom filter (Bloom,
// 1970) that grows in layers, each twice the one before: with sixteen bits a path
// and six of them tested, a full layer lets one absent path in a thousand
// through, to be looked up in vain. What is not listed any more stays in it until
// the next start. The zero value is empty.
//
// A path hash needs no hashing: it is one. Who makes paths whose hashes collide
// makes lookups slower by a microsecond.
type sketch struct {
	layers []sketchLayer
}

type sketchLayer struct {
	bits []uint64
	room int // paths until the next layer
}

const (
	sketchBits  = 16   // a path
	sketchTests = 6    // bits a path
	sketchFirst = 1024 // paths in the first layer: 2 KiB
)

// places are two numbers from which the bits of a path follow, as Kirsch and
// Mitzenmacher (2006) show to be enough.
func places(h nix.PathHash) (start, step uint64) {
	return binary.LittleEndian.Uint64(h[:8]), binary.LittleEndian.Uint64(h[8:16]) | 1
}

func (s *sketch) add(h nix.PathHash) {
	if s.has(h) {
		return
	}
	if n := len(s.layers); n == 0 || s.layers[n-1].room == 0 {
		room := sketchFirst << n
		s.layers = append(s.layers, sketchLayer{bits: make([]uint64, room*sketchBits/64), room: room})
	}
	l := &s.layers[len(s.layers)-1]
	l.room--
	at, step := places(h)
	for range sketchTests {
		k := at % uint64(len(l.bits)*64)
		l.bits[k/64] |= 1 << (k % 64)
		at += step
	}
}

// has reports false only if h was never added.
func (s *sketch) has(h nix.PathHash) bool {
	start, step := places(h)
	for i := range s.layers {
		l := &s.layers[i]
		at, all := start, true
		for range sketchTests {
			k := at % uint64(len(l.bits)*64)
			if l.bits[k/64]&(1<<(k%64)) == 0 {
				all = false
				break
			}
			at += step
		}
		if all {
			return true
		}
	}
	return false
}

// loadSketch fills the sketch of a space from the index.
func (c *Catalog) loadSketch(s *space) error {
	return c.kv.Scan(s.id.key(keyListed), nil, func(k, _ []byte) (bool, error) {
		var h nix.PathHash
		if err := fields(k, h[:]); err != nil {
			return false, err
		}
		s.sketch.add(h)
		return true, nil
	})
}

// Absent reports, without a look at the disk, that a path is certainly not
// listed in a namespace that this catalog knows. False says nothing.
func (c *Catalog) Absent(a namespace.Address, h nix.PathHash) bool {
	s, unlock, err := c.reading(a)
	if err != nil {
		return false
	}
	defer unlock()
	return !s.sketch.has(h)
}
