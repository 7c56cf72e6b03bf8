package content

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew; only for a new version of the format")

// vectors are the format's golden vectors, in a form that an implementation in
// another language can read.
type vectors struct {
	About string `json:"about"`
	// GearSHA256 is the SHA-256 of the 256 gear numbers, 8 bytes big-endian each.
	GearSHA256 string   `json:"gear_sha256"`
	Vectors    []vector `json:"vectors"`
}

// vector is a NAR, or what the format may as well take for one, and what becomes
// of it.
type vector struct {
	Name       string    `json:"name"`
	NAR        []segment `json:"nar"`
	Candidates []string  `json:"candidates"`

	NarHash          string   `json:"nar_hash"`
	NarSize          int      `json:"nar_size"`
	NormalisedSHA256 string   `json:"normalised_sha256"`
	Normalised       string   `json:"normalised,omitempty"` // hexadecimal; of short ones
	Lengths          []int    `json:"lengths"`              // of the chunks
	FirstChunk       string   `json:"first_chunk,omitempty"`
	Rewrites         [][2]int `json:"rewrites"` // gap, slot
	Slots            []string `json:"slots"`
	Body             string   `json:"body"` // hexadecimal
	BodyID           string   `json:"body_id"`
}

// segment is a part of a NAR: one of text, hex and stream, Times times over.
type segment struct {
	Text string `json:"text,omitempty"`
	Hex  string `json:"hex,omitempty"`
	// Stream is the seed of Times bytes of SHA-256(seed ‖ i) for i = 0, 1, 2…, 8
	// bytes big-endian each.
	Stream string `json:"stream,omitempty"`
	Times  int    `json:"times"`
}

const aboutVectors = "Golden vectors of flurry's chunks and bodies, version 1; docs/PROTOCOL.md has the rules. " +
	"A NAR is its segments one after the other, each `times` times: text, hex, or as many bytes of " +
	"SHA-256(stream, i as 8 bytes big-endian) for i = 0, 1, 2... Rewrites are pairs of gap and slot."

func TestVectors(t *testing.T) {
	path := filepath.Join("testdata", "vectors.json")
	fromRules := vectorsFromRules()
	if *update {
		if os.Getenv("CI") == "true" {
			t.Fatal("-update is refused in CI: the vectors are what the format is held against")
		}
		if err := os.WriteFile(path, encodeVectors(t, fromRules), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, encodeVectors(t, fromRules)) {
		t.Errorf("%s is not what the rules, implemented naively, give", path)
	}

	var want vectors
	if err := json.Unmarshal(golden, &want); err != nil {
		t.Fatal(err)
	}
	if got := gearDigest(gearTable); got != want.GearSHA256 {
		t.Errorf("digest of the gear table is %s, want %s", got, want.GearSHA256)
	}
	for _, v := range want.Vectors {
		t.Run(v.Name, func(t *testing.T) { checkVector(t, v) })
	}
}

// checkVector holds the package against a vector.
func checkVector(t *testing.T, v vector) {
	nar, candidates := v.bytes(), parseHashes(t, v.Candidates)
	split, chunks := splitAll(t, nar, SplitOptions{Candidates: candidates}, 100_000)
	raw := split.Body.Append(nil)
	normalised := bytes.Join(chunks, nil)
	digest := sha256.Sum256(normalised)
	got := vector{
		Name: v.Name, NAR: v.NAR, Candidates: v.Candidates,
		NarHash:          split.NarHash.String(),
		NarSize:          int(split.NarSize),
		NormalisedSHA256: hex.EncodeToString(digest[:]),
		Lengths:          []int{},
		Rewrites:         [][2]int{},
		Slots:            formatHashes(split.Slots),
		Body:             hex.EncodeToString(raw),
		BodyID:           split.Body.ID().String(),
	}
	if v.Normalised != "" {
		got.Normalised = hex.EncodeToString(normalised)
	}
	for _, p := range split.Body.Chunks {
		got.Lengths = append(got.Lengths, int(p.Length))
	}
	for _, r := range split.Body.Rewrites {
		got.Rewrites = append(got.Rewrites, [2]int{int(r.Gap), int(r.Slot)})
	}
	if len(split.Body.Chunks) > 0 {
		got.FirstChunk = split.Body.Chunks[0].ID.String()
	}
	if g, w := encodeVectors(t, vectors{Vectors: []vector{got}}), encodeVectors(t, vectors{Vectors: []vector{v}}); !bytes.Equal(g, w) {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}

	parsed, err := ParseBody(raw)
	if err != nil {
		t.Fatalf("ParseBody of the vector's body: %v", err)
	}
	if err := parsed.Check(uint64(len(nar)), split.Slots, func(h nix.PathHash) bool { return slices.Contains(candidates, h) }); err != nil {
		t.Errorf("Check of the vector's body: %v", err)
	}
	if !bytes.Equal(assemble(t, parsed, split.Slots, chunks), nar) {
		t.Error("the chunks do not give the NAR back")
	}
}

// vectorsFromRules computes the vectors with the naive implementation.
func vectorsFromRules() vectors {
	const (
		libc  = "0c2cv2mdqk9lhg3ljz1qsvwi1pbpmaqf" // any two hash parts
		hello = "xj2ai9qkvd2p44g2b7kz5hw3r8s1f0ny"
	)
	cases := []vector{
		{Name: "nothing"},
		{Name: "one byte", NAR: []segment{{Hex: "00", Times: 1}}},
		{Name: "a NAR", NAR: helloNar(libc, hello), Candidates: []string{hello, libc}},
		{Name: "the longest chunk", NAR: []segment{{Hex: "00", Times: 262144}}},
		{Name: "the longest chunk and a byte", NAR: []segment{{Hex: "00", Times: 262145}}},
		{Name: "2 MiB of noise", NAR: []segment{{Stream: "flurry:vectors:v1:", Times: 2 << 20}}},
		{Name: "a rewrite across chunks", NAR: []segment{
			{Hex: "00", Times: 262144 - 10}, {Text: libc, Times: 1}, {Hex: "00", Times: 1000}, {Text: hello, Times: 1},
		}, Candidates: []string{hello, libc}},
		{Name: "leftmost first", NAR: []segment{
			{Text: "lib", Times: 1}, {Text: strings.Repeat("01", 16), Times: 1}, {Text: "01", Times: 16},
			{Text: "0", Times: 1}, {Text: strings.Repeat("10", 16), Times: 2}, {Text: Placeholder, Times: 1},
		}, Candidates: []string{strings.Repeat("10", 16), strings.Repeat("01", 16)}},
		{Name: "many rewrites in noise", NAR: slices.Concat(
			[]segment{{Stream: "a", Times: 50_001}, {Text: hello, Times: 3}},
			[]segment{{Stream: "b", Times: 99_999}, {Text: libc, Times: 2}},
			[]segment{{Stream: "c", Times: 300_000}, {Text: "lib" + hello, Times: 1}, {Text: libc[:31], Times: 1}},
		), Candidates: []string{libc, hello}},
	}
	for i := range cases {
		cases[i].fill()
	}
	return vectors{About: aboutVectors, GearSHA256: gearDigest(naiveGear()), Vectors: cases}
}

// fill sets what becomes of the vector's NAR.
func (v *vector) fill() {
	nar := v.bytes()
	var candidates []nix.PathHash
	for _, s := range v.Candidates {
		h, err := nix.ParsePathHash(s)
		if err != nil {
			panic(err) // the tests' own constant
		}
		candidates = append(candidates, h)
	}
	n := naive(nar, candidates, 1<<20)
	digest, bodyID := sha256.Sum256(n.normalised), sha256.Sum256(n.body)
	v.Candidates = append([]string{}, v.Candidates...)
	v.NAR = append([]segment{}, v.NAR...)
	v.NarHash = nix.NarHash(sha256.Sum256(nar)).String()
	v.NarSize = len(nar)
	v.NormalisedSHA256 = hex.EncodeToString(digest[:])
	if len(nar) <= 4096 {
		v.Normalised = hex.EncodeToString(n.normalised)
	}
	v.Lengths = append([]int{}, n.lengths...)
	if len(n.lengths) > 0 {
		v.FirstChunk = ChunkID(sha256.Sum256(n.normalised[:n.lengths[0]])).String()
	}
	v.Rewrites = [][2]int{}
	end := 0
	for i, place := range n.places {
		v.Rewrites = append(v.Rewrites, [2]int{place - end, slices.Index(n.slots, n.hashes[i])})
		end = place + 32
	}
	v.Slots = formatHashes(n.slots)
	v.Body = hex.EncodeToString(n.body)
	v.BodyID = "sha256:" + hex.EncodeToString(bodyID[:])
}

// helloNar is a small package: a program that names the library it is linked
// to, a file that names itself, and a trap or two.
func helloNar(libc, hello string) []segment {
	var nar bytes.Buffer
	word := func(words ...string) {
		for _, w := range words {
			var size [8]byte
			binary.LittleEndian.PutUint64(size[:], uint64(len(w)))
			nar.Write(size[:])
			nar.WriteString(w)
			nar.Write(make([]byte, (8-len(w)%8)%8))
		}
	}
	word("nix-archive-1", "(", "type", "directory")
	word("entry", "(", "name", "bin", "node", "(", "type", "directory")
	word("entry", "(", "name", "hello", "node", "(", "type", "regular", "executable", "", "contents")
	word("\x7fELF\x02\x01\x01 /nix/store/" + libc + "-glibc-2.40/lib:/nix/store/" + hello + "-hello-1.0/lib lib" + libc)
	word(")", ")", ")", ")")
	word("entry", "(", "name", "self", "node", "(", "type", "symlink", "target", "/nix/store/"+hello+"-hello-1.0", ")", ")")
	word("entry", "(", "name", "trap", "node", "(", "type", "regular", "contents")
	word(Placeholder + libc[1:] + hello[:31] + "e" + hello)
	word(")", ")", ")")
	return []segment{{Hex: hex.EncodeToString(nar.Bytes()), Times: 1}}
}

// bytes returns the vector's NAR.
func (v *vector) bytes() []byte {
	var nar []byte
	for _, s := range v.NAR {
		if s.Stream != "" {
			nar = append(nar, stream(s.Stream, s.Times)...)
			continue
		}
		part, err := hex.DecodeString(s.Hex)
		if err != nil {
			panic(err) // testdata is ours
		}
		nar = append(nar, bytes.Repeat(append(part, s.Text...), s.Times)...)
	}
	return nar
}

// stream returns n bytes of SHA-256(seed ‖ i), i = 0, 1, 2…
func stream(seed string, n int) []byte {
	var out []byte
	for i := uint64(0); len(out) < n; i++ {
		digest := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(seed), i))
		out = append(out, digest[:]...)
	}
	return out[:n]
}

func gearDigest(gear [256]uint64) string {
	var raw []byte
	for _, g := range gear {
		raw = binary.BigEndian.AppendUint64(raw, g)
	}
	digest := sha256.Sum256(raw)
	return hex.EncodeToString(digest[:])
}

// encodeVectors prints the vectors as they stand in testdata.
func encodeVectors(t *testing.T, v vectors) []byte {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, '\n')
}

func parseHashes(t *testing.T, texts []string) []nix.PathHash {
	t.Helper()
	hashes := make([]nix.PathHash, len(texts))
	for i, s := range texts {
		h, err := nix.ParsePathHash(s)
		if err != nil {
			t.Fatal(err)
		}
		hashes[i] = h
	}
	return hashes
}

func formatHashes(hashes []nix.PathHash) []string {
	texts := make([]string, len(hashes))
	for i, h := range hashes {
		texts[i] = h.String()
	}
	return texts
}

// splitAll splits nar in writes of step bytes and returns the chunks' bytes in
// the body's order.
func splitAll(t *testing.T, nar []byte, o SplitOptions, step int) (Split, [][]byte) {
	t.Helper()
	return splitBounded(t, nar, o, bounds{chunks: MaxChunks, rewrites: MaxRewrites}, func() int { return step })
}

func splitBounded(t *testing.T, nar []byte, o SplitOptions, b bounds, step func() int) (Split, [][]byte) {
	t.Helper()
	chunks := newChunkMap()
	o.Put = chunks.put
	s := newSplitter(context.Background(), o, b)
	defer s.Abort()
	for p := nar; len(p) > 0; {
		n := min(len(p), step())
		if wrote, err := s.Write(p[:n]); err != nil || wrote != n {
			t.Fatalf("Write of %d bytes: %d, %v", n, wrote, err)
		}
		p = p[n:]
	}
	split, err := s.Close()
	if err != nil {
		t.Fatalf("Close: %v", err)
	}
	return split, chunks.of(t, split.Body)
}
