package catalog

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

const testKey = "acme-1:PeaSFzM/9oizN+wXN1HELiixfTrTNmOaYyFAg5xjkEU="

func samples(t testing.TB) map[string][]byte {
	address, err := namespace.ParseAddress(testKey)
	if err != nil {
		t.Fatal(err)
	}
	path, err := nix.ParseBaseName("00bgd045z0d4icpbc2yyz4gx48ak44la-hello-1.0")
	if err != nil {
		t.Fatal(err)
	}
	e := &namespace.Entry{
		Path:       path,
		NarHash:    nix.NarHash{1},
		NarSize:    5,
		References: []nix.StorePath{path},
		Sigs:       []nix.Signature{{Name: "acme-1"}},
		Body:       [32]byte{2},
		Slots:      []nix.PathHash{path.Hash()},
	}
	n := namespaceRecord{address: address, left: true, serial: 1 << 40, document: namespace.ID{3}, lists: []namespace.ID{{4}, {5}}, rival: namespace.ID{6}}
	f := facts{signer: address.Key(), time: 1, expires: 2, entries: 3, text: 4, nar: 5, uses: []namespace.ID{{7}}}
	d := details{roots: []nix.StorePath{path}, pins: []namespace.Pin{{Name: "v1", Last: 3}, {Name: "v2", For: time.Hour}}}
	l := listing{size: e.NarSize, name: path.Name(), hash: e.NarHash, fact: factOf(e), refs: []reference{referenceTo(path)}, elsewhere: []elsewhere{{ref: 0, key: address.Key()}, {ref: 0}}}
	return map[string][]byte{"n": n.encode(), "p": f.encode(), "d": d.encode(), "i": l.encode(), "e": e.Append(nil)}
}

// reprint decodes a value of that kind and encodes it again.
func reprint(kind string, v []byte) ([]byte, error) {
	switch kind {
	case "n":
		n, err := decodeNamespace(v)
		if err != nil {
			return nil, err
		}
		return n.encode(), nil
	case "p":
		f, err := decodeFacts(namespace.ID{}, v)
		if err != nil {
			return nil, err
		}
		return f.encode(), nil
	case "d":
		d, err := decodeDetails(v)
		if err != nil {
			return nil, err
		}
		return d.encode(), nil
	case "i":
		var l listing
		if err := l.decode(v); err != nil {
			return nil, err
		}
		return l.encode(), nil
	}
	e, err := decodeEntry(v)
	if err != nil {
		return nil, err
	}
	return e.Append(nil), nil
}

// TestRecords: what was written is read, and what was cut off or has more is
// damage.
func TestRecords(t *testing.T) {
	for kind, v := range samples(t) {
		if got, err := reprint(kind, v); err != nil || !bytes.Equal(got, v) {
			t.Errorf("%s: %q, %v, want %q", kind, got, err, v)
		}
		for n := range v {
			if bytes.HasPrefix(v[n:], []byte("Body: ")) {
				continue // an entry may have none
			}
			if _, err := reprint(kind, v[:n]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s cut off at %d: %v", kind, n, err)
			}
		}
		if _, err := reprint(kind, append(v, 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s with a byte more: %v", kind, err)
		}
	}
}

// FuzzRecords: whatever the index holds, it is a value that prints, or damage.
func FuzzRecords(f *testing.F) {
	for kind, v := range samples(f) {
		f.Add(kind, v)
	}
	f.Add("p", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, kind string, v []byte) {
		once, err := reprint(kind, v)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("%v is no damage", err)
			}
			return
		}
		twice, err := reprint(kind, once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q prints as %q: %v", once, twice, err)
		}
	})
}

// TestFields: a key of another width is damage.
func TestFields(t *testing.T) {
	var s spaceID
	var path nix.PathHash
	var id namespace.ID
	key := s.listerKey(nix.PathHash{1}, namespace.ID{2})
	if err := fields(key, path[:], id[:]); err != nil || path != (nix.PathHash{1}) || id != (namespace.ID{2}) {
		t.Fatalf("%v, %v, %v", path, id, err)
	}
	for _, wrong := range [][]byte{nil, key[:len(key)-1], append(key, 0)} {
		if err := fields(wrong, path[:], id[:]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%x: %v", wrong, err)
		}
	}
}
