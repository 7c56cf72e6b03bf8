package content

import (
	"bytes"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// What is parsed prints as it was, or is an error.
func FuzzParseBody(f *testing.F) {
	f.Add(rawBody(0, nil))
	f.Add(rawBody(1, []uint64{1}))
	f.Add(rawBody(100, []uint64{60, 40}, 10, 0, 20, 1))
	f.Add(rawBody(100, []uint64{60, 40}, 10, 1))
	f.Add(rawBody(MaxChunk+5, []uint64{MaxChunk, 5}, 1000, 0, 0, 1, 0, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := ParseBody(raw)
		if err != nil {
			return
		}
		if got := b.Append(nil); !bytes.Equal(got, raw) {
			t.Fatalf("%x prints as %x", raw, got)
		}
		// Whatever was accepted can be used without a panic.
		r, err := NewRewriter(b, make([]nix.PathHash, b.Slots()))
		if err != nil {
			t.Fatalf("NewRewriter of a parsed body: %v", err)
		}
		for i, p := range b.Chunks {
			r.Chunk(i, make([]byte, p.Length))
		}
		if n := b.Index().Find(b.Size); n != len(b.Chunks) {
			t.Fatalf("the end is in chunk %d of %d", n, len(b.Chunks))
		}
	})
}

func FuzzParseChunkID(f *testing.F) {
	f.Add(ChunkID{}.String())
	f.Add(ChunkID{1, 2, 3}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseChunkID(s); err == nil && id.String() != s {
			t.Fatalf("%q prints as %q", s, id)
		}
	})
}

func FuzzParseBodyID(f *testing.F) {
	f.Add(BodyID{}.String())
	f.Add(BodyID{1, 2, 3}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseBodyID(s); err == nil && id.String() != s {
			t.Fatalf("%q prints as %q", s, id)
		}
	})
}

// Split and rewritten, a NAR is itself, and its body is the one of the rules. The
// fuzzer chooses the bytes, a hash part, how they are repeated, and the writes.
func FuzzSplitRewrite(f *testing.F) {
	f.Add([]byte("lib"), []byte("hash of twenty bytes"), uint16(1), uint16(1), uint16(1))
	f.Add([]byte(Placeholder), make([]byte, 20), uint16(100), uint16(31), uint16(33))
	f.Add([]byte("00000000000000000000000000000000"), make([]byte, 20), uint16(9000), uint16(500), uint16(1000))
	f.Add([]byte{0}, []byte{255}, uint16(65535), uint16(9999), uint16(3))
	f.Fuzz(func(t *testing.T, part, hash []byte, times, step, block uint16) {
		var h nix.PathHash
		copy(h[:], hash)
		nar := bytes.Repeat(part, min(int(times), 1+300_000/(len(part)+1)))
		nar = append(nar, h.String()...)
		nar = append(nar, part...)
		checkSplit(t, nar, SplitOptions{Candidates: []nix.PathHash{h}, Pool: &Pool{size: headroom + 1 + int(block)}},
			realBounds, always(1+int(step)))
	})
}
