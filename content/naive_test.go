package content

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// This file is the format a second time, written from docs/PROTOCOL.md alone, one
// sentence after the other and one byte after the other, and sharing no code or
// constant with the package. What it lacks in speed it should have in being
// obviously right. The tests hold the package against it.

type naiveSplit struct {
	normalised []byte
	lengths    []int
	places     []int // where the rewrites are
	hashes     []nix.PathHash
	slots      []nix.PathHash
	body       []byte
}

func naive(nar []byte, candidates []nix.PathHash, maxMatches int) naiveSplit {
	var n naiveSplit
	n.normalised, n.places, n.hashes = naiveNormalise(nar, candidates, maxMatches)
	n.lengths = naiveCut(n.normalised)
	n.body, n.slots = naiveBody(n.normalised, n.lengths, n.places, n.hashes)
	return n
}

// "The raw NAR is scanned left to right, the leftmost match first, going on
// after it. A match is replaced by the placeholder and listed. Beyond 2^20
// matches the rest stays as it is."
func naiveNormalise(nar []byte, candidates []nix.PathHash, maxMatches int) (out []byte, places []int, hashes []nix.PathHash) {
	texts := map[string]nix.PathHash{}
	for _, h := range candidates {
		texts[h.String()] = h
	}
	for i := 0; i < len(nar); {
		if i+32 <= len(nar) && len(places) < maxMatches {
			if h, ok := texts[string(nar[i:i+32])]; ok {
				out = append(out, "flurryflurryflurryflurryflurryfl"...)
				places = append(places, i)
				hashes = append(hashes, h)
				i += 32
				continue
			}
		}
		out = append(out, nar[i])
		i++
	}
	return out, places, hashes
}

// "gear[b] = the first 8 bytes, big-endian, of SHA-256("flurry:gear:v1:" ‖ b)."
func naiveGear() [256]uint64 {
	var gear [256]uint64
	for b := range gear {
		digest := sha256.Sum256(append([]byte("flurry:gear:v1:"), byte(b)))
		gear[b] = binary.BigEndian.Uint64(digest[:8])
	}
	return gear
}

// "n counts the chunk's bytes including the current one. Bytes 1 to 16,384 do
// not enter h, which starts at 0; then h = (h<<1) + gear[b]. Cut after the byte
// when n < 65,536 and h>>46 = 0, or n >= 65,536 and h>>50 = 0, or n = 262,144,
// or at the NAR's end."
func naiveCut(normalised []byte) (lengths []int) {
	gear := naiveGear()
	n, h := 0, uint64(0)
	for _, b := range normalised {
		n++
		if n <= 16384 {
			continue
		}
		h = (h << 1) + gear[b]
		if n < 65536 && h>>46 == 0 || n >= 65536 && h>>50 == 0 || n == 262144 {
			lengths = append(lengths, n)
			n, h = 0, 0
		}
	}
	if n > 0 {
		lengths = append(lengths, n)
	}
	return lengths
}

// ""flurryB1" size nChunks (length id32)* nRewrites (gap slot)*, integers as
// minimal uvarints; a gap counts from the end of the rewrite before, the first
// from 0; slots are numbered by first occurrence."
func naiveBody(normalised []byte, lengths, places []int, hashes []nix.PathHash) (body []byte, slots []nix.PathHash) {
	body = []byte("flurryB1")
	body = append(body, naiveUvarint(len(normalised))...)
	body = append(body, naiveUvarint(len(lengths))...)
	for _, n := range lengths {
		id := sha256.Sum256(normalised[:n])
		normalised = normalised[n:]
		body = append(body, naiveUvarint(n)...)
		body = append(body, id[:]...)
	}
	body = append(body, naiveUvarint(len(places))...)
	end := 0
	numbers := map[nix.PathHash]int{}
	for i, place := range places {
		number, ok := numbers[hashes[i]]
		if !ok {
			number = len(numbers)
			numbers[hashes[i]] = number
			slots = append(slots, hashes[i])
		}
		body = append(body, naiveUvarint(place-end)...)
		body = append(body, naiveUvarint(number)...)
		end = place + 32
	}
	return body, slots
}

// Seven bits a byte, the lowest first; the top bit says that more follow.
func naiveUvarint(v int) []byte {
	var out []byte
	for v >= 128 {
		out = append(out, byte(v%128+128))
		v /= 128
	}
	return append(out, byte(v))
}

// naiveRewrite writes the hashes back into a normalised NAR.
func naiveRewrite(normalised []byte, places []int, hashes []nix.PathHash) []byte {
	var out strings.Builder
	end := 0
	for i, place := range places {
		out.Write(normalised[end:place])
		out.WriteString(hashes[i].String())
		end = place + 32
	}
	out.Write(normalised[end:])
	return []byte(out.String())
}
