package content

import (
	"encoding/binary"
	"math/bits"

	"github.com/flurry-nix/flurry/nix"
)

// matcher finds the texts of hash parts in bytes. It never changes.
type matcher struct {
	hashes  []nix.PathHash
	texts   [][hashChars]byte // of the hashes
	buckets []int32           // 1 + an index into texts, or 0; open addressing, a power of two of them
	shift   uint              // turns 64 bits into an index into buckets
}

// spareBuckets is how many buckets there are for each candidate, at least: so
// many that most windows that are no candidate meet an empty one at once.
const spareBuckets = 8

func newMatcher(candidates []nix.PathHash) *matcher {
	width := bits.Len(uint(spareBuckets * len(candidates)))
	m := &matcher{buckets: make([]int32, 1<<width), shift: uint(64 - width)}
	for _, h := range candidates {
		var text [hashChars]byte
		h.AppendTo(text[:0])
		if m.lookup(&text) >= 0 {
			continue
		}
		k := m.bucket(&text)
		for m.buckets[k] != 0 {
			k = (k + 1) & (len(m.buckets) - 1)
		}
		m.hashes = append(m.hashes, h)
		m.texts = append(m.texts, text)
		m.buckets[k] = int32(len(m.texts))
	}
	return m
}

// find returns the place of the leftmost match in p at or after from, and which
// hash it is. Without a match which is negative, and at is where the search must
// go on when p has grown: no match begins before it. It is at least
// len(p)-hashChars+1 then.
//
// A match consists of characters of Nix's base 32. So the last byte of a window
// is looked at first: if it is another, no match overlaps it, and the search
// goes on behind it.
func (m *matcher) find(p []byte, from int) (at, which int) {
	if len(m.texts) == 0 {
		return len(p), -1
	}
	known := from // p[at:known] are all of the alphabet
	for at = from; at+hashChars <= len(p); {
		last := at + hashChars - 1
		k := last
		for k >= known && isNix32[p[k]] {
			k--
		}
		if k >= known {
			at, known = k+1, last+1
			continue
		}
		known = last + 1
		if which = m.lookup((*[hashChars]byte)(p[at:])); which >= 0 {
			return at, which
		}
		at++
	}
	return at, -1
}

// lookup returns the index of the text, or -1.
func (m *matcher) lookup(text *[hashChars]byte) int {
	for k := m.bucket(text); m.buckets[k] != 0; k = (k + 1) & (len(m.buckets) - 1) {
		if i := int(m.buckets[k]) - 1; m.texts[i] == *text {
			return i
		}
	}
	return -1
}

// bucket mixes all 32 bytes, since windows of one long run of the alphabet's
// characters often agree in most of them.
func (m *matcher) bucket(text *[hashChars]byte) int {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: Knuth's multiplicative hashing
	x := binary.LittleEndian.Uint64(text[0:])
	x = x*odd ^ binary.LittleEndian.Uint64(text[8:])
	x = x*odd ^ binary.LittleEndian.Uint64(text[16:])
	x = x*odd ^ binary.LittleEndian.Uint64(text[24:])
	return int(x * odd >> m.shift)
}

// isNix32 says which bytes are characters of Nix's base 32
// (libutil/hash.cc, nix32Chars).
var isNix32 = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true,
	'8': true, '9': true, 'a': true, 'b': true, 'c': true, 'd': true, 'f': true, 'g': true,
	'h': true, 'i': true, 'j': true, 'k': true, 'l': true, 'm': true, 'n': true, 'p': true,
	'q': true, 'r': true, 's': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
}
