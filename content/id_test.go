package content

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

func TestChunkIDIsACID(t *testing.T) {
	id := ChunkID(sha256.Sum256([]byte("a chunk")))
	sum, err := multihash.Sum([]byte("a chunk"), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := id.String(), cid.NewCidV1(cid.Raw, sum).String(); got != want {
		t.Errorf("String is %s, go-cid prints %s", got, want)
	}
	if back, err := ParseChunkID(id.String()); err != nil || back != id {
		t.Errorf("ParseChunkID(%s) = %v, %v", id, back, err)
	}
}

func TestParseChunkIDRefuses(t *testing.T) {
	digest := sha256.Sum256([]byte("a chunk"))
	good := ChunkID(digest).String()
	// The last of 58 characters carries three bits of the digest and two of
	// padding; the character after it in the alphabet differs in the padding.
	padded := good[:58] + string(good[58]+1)
	sum := multihash.Multihash("\x12\x20" + string(digest[:]))
	for name, s := range map[string]string{
		"empty":          "",
		"short":          good[:58],
		"long":           good + "a",
		"upper case":     "B" + strings.ToUpper(good[1:]),
		"upper digits":   "b" + strings.ToUpper(good[1:]),
		"other base":     "z" + good[1:],
		"padding bits":   padded,
		"line break":     good[:30] + "\n" + good[30:58],
		"not base 32":    good[:58] + "1",
		"codec dag-pb":   cid.NewCidV1(cid.DagProtobuf, sum).String(),
		"version 0":      cid.NewCidV0(sum).String(),
		"other hash":     "b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(append([]byte("\x01\x55\x16\x20"), digest[:]...))),
		"NUL characters": strings.Repeat("\x00", 59),
	} {
		if id, err := ParseChunkID(s); err == nil {
			t.Errorf("%s: ParseChunkID(%q) = %s", name, s, id)
		}
	}
}

func TestParseBodyID(t *testing.T) {
	id := BodyID(sha256.Sum256([]byte("a body")))
	good := id.String()
	if want := "sha256:"; !strings.HasPrefix(good, want) || len(good) != len(want)+64 {
		t.Errorf("String is %q", good)
	}
	if back, err := ParseBodyID(good); err != nil || back != id {
		t.Errorf("ParseBodyID(%s) = %v, %v", good, back, err)
	}
	for name, s := range map[string]string{
		"empty":      "",
		"no prefix":  good[7:],
		"SRI":        "sha256-" + good[7:],
		"short":      good[:70],
		"long":       good + "0",
		"upper case": "sha256:" + strings.ToUpper(good[7:]),
		"not hex":    good[:70] + "g",
	} {
		if id, err := ParseBodyID(s); err == nil {
			t.Errorf("%s: ParseBodyID(%q) = %s", name, s, id)
		}
	}
}

func TestVerifyChunk(t *testing.T) {
	data := []byte("a chunk")
	id := ChunkID(sha256.Sum256(data))
	if !VerifyChunk(id, data) {
		t.Error("the chunk itself is refused")
	}
	for i := range len(data) * 8 {
		data[i/8] ^= 1 << (i % 8)
		if VerifyChunk(id, data) {
			t.Errorf("with bit %d flipped it is accepted", i)
		}
		data[i/8] ^= 1 << (i % 8)
	}
}

func TestPieceVerify(t *testing.T) {
	data := []byte("a chunk")
	id := ChunkID(sha256.Sum256(data))
	for _, c := range []struct {
		length uint32
		data   string
		ok     bool
	}{
		{7, "a chunk", true},
		{6, "a chunk", false}, // a body that lies about the length of a chunk that exists
		{8, "a chunk", false},
		{7, "a chunq", false},
	} {
		if err := (Piece{c.length, id}).Verify([]byte(c.data)); (err == nil) != c.ok {
			t.Errorf("piece of %d bytes, given %q: %v", c.length, c.data, err)
		}
	}
}
