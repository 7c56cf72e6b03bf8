package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
)

// TestDigestVectors pins the digest, which peers compute too.
func TestDigestVectors(t *testing.T) {
	for _, v := range []struct {
		ids []namespace.ID
		sum string
	}{
		{nil, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{[]namespace.ID{{}}, "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"},
		{[]namespace.ID{{1}, {0xff}}, hexSum("01" + zeros + "ff" + zeros)},
	} {
		d := digestOf(v.ids)
		if got := hex.EncodeToString(d.Sum[:]); got != v.sum || d.Count != uint64(len(v.ids)) {
			t.Errorf("digest of %v: %d, %s, want %s", v.ids, d.Count, got, v.sum)
		}
	}
}

const zeros = "00000000000000000000000000000000000000000000000000000000000000"

func hexSum(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// TestBuckets: the first and the last id of a bucket are in it, and in no other.
func TestBuckets(t *testing.T) {
	var s idSet
	last := func(b byte) (id namespace.ID) {
		for i := range id {
			id[i] = 0xff
		}
		id[0] = b
		return id
	}
	for _, b := range []byte{0xff, 0, 0x7f, 0x80, 1} {
		s.insert(last(b))
		s.insert(namespace.ID{b})
		s.insert(namespace.ID{b}) // twice
	}
	for b := range 256 {
		want := 0
		switch b {
		case 0, 1, 0x7f, 0x80, 0xff:
			want = 2
		}
		got := s.bucket(byte(b))
		if len(got) != want || want == 2 && (got[0] != namespace.ID{byte(b)} || got[1] != last(byte(b))) {
			t.Errorf("bucket %d: %v", b, got)
		}
	}
	before := s.sum()
	s.remove(namespace.ID{2})
	if s.sum() != before {
		t.Error("taking out what is not there changes the digest")
	}
	s.remove(namespace.ID{1})
	if len(s.bucket(1)) != 1 || s.sum().Count != 9 || s.sum() == before {
		t.Error("not taken out")
	}
}
