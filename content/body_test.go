package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// rawBody encodes a body from its numbers, right or wrong.
func rawBody(size uint64, lengths []uint64, rewrites ...uint64) []byte {
	raw := binary.AppendUvarint([]byte("flurryB1"), size)
	raw = binary.AppendUvarint(raw, uint64(len(lengths)))
	for i, n := range lengths {
		id := sha256.Sum256([]byte{byte(i)})
		raw = append(binary.AppendUvarint(raw, n), id[:]...)
	}
	raw = binary.AppendUvarint(raw, uint64(len(rewrites)/2))
	for _, v := range rewrites {
		raw = binary.AppendUvarint(raw, v)
	}
	return raw
}

func TestParseBodyAccepts(t *testing.T) {
	for name, raw := range map[string][]byte{
		"nothing":                  rawBody(0, nil),
		"one byte":                 rawBody(1, []uint64{1}),
		"longest chunk":            rawBody(MaxChunk, []uint64{MaxChunk}),
		"any cuts":                 rawBody(10, []uint64{1, 2, 3, 4}),
		"a rewrite is all":         rawBody(32, []uint64{32}, 0, 0),
		"a rewrite across chunks":  rawBody(40, []uint64{20, 20}, 8, 0),
		"rewrites side by side":    rawBody(64, []uint64{64}, 0, 0, 0, 0),
		"a slot for each":          rawBody(96, []uint64{96}, 0, 0, 0, 1, 0, 2),
		"slots again":              rawBody(160, []uint64{160}, 0, 0, 0, 1, 0, 0, 0, 1, 0, 2),
		"a gap, and bytes at last": rawBody(100, []uint64{100}, 10, 0, 20, 1),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := ParseBody(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Append([]byte("kept")); !bytes.Equal(got, append([]byte("kept"), raw...)) {
				t.Errorf("Append gives %x, want %x", got, raw)
			}
			if want := BodyID(sha256.Sum256(raw)); b.ID() != want {
				t.Errorf("ID is %s, want %s", b.ID(), want)
			}
		})
	}
}

func TestParseBodyRefuses(t *testing.T) {
	good := rawBody(100, []uint64{60, 40}, 10, 0, 20, 1)
	if _, err := ParseBody(good); err != nil {
		t.Fatal(err)
	}
	splice := func(at, cut int, with ...byte) []byte { return slices.Replace(bytes.Clone(good), at, at+cut, with...) }
	for name, raw := range map[string][]byte{
		"empty":                    {},
		"half a magic":             good[:4],
		"other magic":              append([]byte("flurryB2"), good[8:]...),
		"only the magic":           good[:8],
		"trailing byte":            append(bytes.Clone(good), 0),
		"size not minimal":         splice(8, 1, 0xe4, 0x00),
		"number not minimal":       splice(9, 1, 0x82, 0x00),
		"size beyond 64 bits":      splice(8, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02),
		"size of eleven bytes":     splice(8, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
		"sum below size":           rawBody(101, []uint64{60, 40}),
		"sum above size":           rawBody(99, []uint64{60, 40}),
		"size wraps round":         rawBody(math.MaxUint64, []uint64{60, 40}),
		"size without chunks":      rawBody(1, nil),
		"chunks without size":      rawBody(0, []uint64{1}),
		"chunk of no bytes":        rawBody(60, []uint64{60, 0}),
		"chunk too long":           rawBody(MaxChunk+1, []uint64{MaxChunk + 1}),
		"length wraps 32 bits":     rawBody(1, []uint64{1<<32 + 1}),
		"more chunks than bytes":   append(binary.AppendUvarint(binary.AppendUvarint([]byte("flurryB1"), 1<<20), 1<<20), 1),
		"too many chunks":          binary.AppendUvarint(binary.AppendUvarint([]byte("flurryB1"), 1<<21), 1<<20+1),
		"more rewrites than bytes": append(good[:len(good)-5:len(good)-5], 0xff, 0xff, 0x3f, 0, 0),
		"rewrite overruns":         rawBody(100, []uint64{100}, 69, 0),
		"second overruns":          rawBody(100, []uint64{100}, 10, 0, 27, 0),
		"no room for a rewrite":    rawBody(31, []uint64{31}, 0, 0),
		"no room at the end":       rawBody(32, []uint64{32}, 0, 0, 0, 0),
		"gap wraps round":          rawBody(100, []uint64{100}, math.MaxUint64-31, 0),
		"second gap wraps round":   rawBody(100, []uint64{100}, 40, 0, math.MaxUint64-71, 0),
		"first slot is 1":          rawBody(100, []uint64{100}, 0, 1),
		"a slot is skipped":        rawBody(100, []uint64{100}, 0, 0, 0, 2),
		"slot wraps 32 bits":       rawBody(100, []uint64{100}, 0, 1<<32),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := ParseBody(raw)
			if !errors.Is(err, ErrBody) {
				t.Errorf("error is %v, want an ErrBody", err)
			}
			if b != nil {
				t.Error("a body is returned with the error")
			}
		})
	}
}

func TestParseBodyRefusesEveryTruncation(t *testing.T) {
	good := rawBody(100_000, []uint64{60_000, 40_000}, 10_000, 0, 20_000, 1)
	for n := range good {
		if _, err := ParseBody(good[:n]); !errors.Is(err, ErrBody) {
			t.Errorf("the first %d of %d bytes: %v", n, len(good), err)
		}
	}
	const secondID = 8 + 3 + 1 + 3 + 32 + 3
	_, err := ParseBody(good[:secondID+31])
	if want := fmt.Sprintf("ends in 32 bytes at byte %d", secondID); !strings.Contains(err.Error(), want) {
		t.Errorf("cut off in the second id: %v; want it to say %q", err, want)
	}
}

// A flipped bit may leave a well-formed body, but never the same one.
func TestParseBodyNoticesEveryFlippedBit(t *testing.T) {
	good := rawBody(100_000, []uint64{60_000, 40_000}, 10_000, 0, 20_000, 1)
	for i := range len(good) * 8 {
		raw := bytes.Clone(good)
		raw[i/8] ^= 1 << (i % 8)
		b, err := ParseBody(raw)
		if err == nil && !bytes.Equal(b.Append(nil), raw) {
			t.Errorf("with bit %d flipped the body prints otherwise than it was read", i)
		}
	}
}

func TestBodyCounts(t *testing.T) {
	many := func(n int, v ...uint64) []uint64 { return slices.Repeat(v, n) }
	for _, c := range []struct {
		name string
		raw  []byte
		ok   bool
	}{
		{"most chunks", rawBody(MaxChunks, many(MaxChunks, 1)), true},
		{"a chunk more", rawBody(MaxChunks+1, many(MaxChunks+1, 1)), false},
		{"most rewrites", rawBody(MaxRewrites*32, many(MaxRewrites*32/MaxChunk, MaxChunk), many(MaxRewrites, 0, 0)...), true},
		{"a rewrite more", rawBody(MaxRewrites*32+32, append(many(MaxRewrites*32/MaxChunk, MaxChunk), 32), many(MaxRewrites+1, 0, 0)...), false},
	} {
		b, err := ParseBody(c.raw)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.ok && !bytes.Equal(b.Append(nil), c.raw) {
			t.Errorf("%s: the body prints otherwise than it was read", c.name)
		}
	}
}

// Too long is refused for its length, before anything of it is read: with one
// byte less, it is the magic that is wrong.
func TestParseBodyLooksAtTheLengthFirst(t *testing.T) {
	raw := make([]byte, MaxBody+1)
	_, tooLong := ParseBody(raw)
	_, wrong := ParseBody(raw[:MaxBody])
	if !errors.Is(tooLong, ErrBody) || !errors.Is(wrong, ErrBody) || tooLong.Error() == wrong.Error() {
		t.Errorf("%v; %v", tooLong, wrong)
	}
}

// The counts of a few bytes cannot make the reader allocate what they claim.
func TestParseBodyAllocatesWithinItsInput(t *testing.T) {
	most := binary.AppendUvarint(binary.AppendUvarint([]byte("flurryB1"), MaxChunks), MaxChunks)
	for name, raw := range map[string][]byte{
		"chunks":   append(most, 1),
		"rewrites": append(binary.AppendUvarint(rawBody(1<<20, slices.Repeat([]uint64{MaxChunk}, 4))[:8+3+1+4*35], MaxRewrites), 0, 0),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseBody(raw)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrBody) || !strings.Contains(err.Error(), "room") {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes made the reader allocate %d", name, len(raw), n)
		}
	}
}

// The most chunks and rewrites of the longest encodings fit into MaxBody, so that
// no publisher can make a body that readers refuse for its length.
func TestMaxBodyHoldsEveryBody(t *testing.T) {
	const most = len(bodyMagic) + 3*binary.MaxVarintLen64 +
		MaxChunks*(3+len(ChunkID{})) + // a length takes 3 bytes: MaxChunk < 2^21
		MaxRewrites*(6+3) // a gap takes 6: MaxChunks*MaxChunk < 2^42; a slot 3
	if most > MaxBody {
		t.Errorf("a body may take %d bytes, MaxBody is %d", most, MaxBody)
	}
}

func TestBodyCheck(t *testing.T) {
	hashes := make([]nix.PathHash, 3)
	for i := range hashes {
		hashes[i] = randomHash(newRand(uint64(i)))
	}
	b, err := ParseBody(rawBody(100, []uint64{100}, 0, 0, 4, 1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if b.Slots() != 2 {
		t.Errorf("Slots is %d, want 2", b.Slots())
	}
	stranger := randomHash(newRand(3))
	allowed := func(h nix.PathHash) bool { return h != stranger }
	for _, c := range []struct {
		name  string
		size  uint64
		slots []nix.PathHash
		ok    bool
	}{
		{"fits", 100, hashes[:2], true},
		{"in another order", 100, []nix.PathHash{hashes[1], hashes[0]}, true},
		{"too long for the NAR", 99, hashes[:2], false},
		{"too short for the NAR", 101, hashes[:2], false},
		{"a slot without a hash", 100, hashes[:1], false},
		{"a hash without a slot", 100, hashes, false},
		{"a hash twice", 100, []nix.PathHash{hashes[0], hashes[0]}, false},
		{"a hash that is no reference", 100, []nix.PathHash{hashes[0], stranger}, false},
	} {
		if err := b.Check(c.size, c.slots, allowed); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrBody) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
