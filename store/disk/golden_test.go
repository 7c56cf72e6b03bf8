package disk

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/store"
)

// TestGoldenRecord pins the bytes of a record: packs that exist have to be read by every later version.
func TestGoldenRecord(t *testing.T) {
	text, err := os.ReadFile("testdata/record.hex")
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("what a pack holds")
	key := store.Key{Kind: store.KindChunk}
	for i := range key.ID {
		key.ID[i] = byte(i)
	}
	m := mark{'f', 'l', 'u', 'r', 'r', 'y', 'm', 'k'}
	r := newRecord(key, store.Frame{Encoding: store.Raw, RawLength: len(data), Data: data})
	got := append(r.append(nil, m), data...)
	if !bytes.Equal(got, want) {
		t.Errorf("the record is\n%x\nand was\n%x", got, want)
	}
	back, read, err := parseRecord(want)
	if err != nil || back != m || read != r {
		t.Errorf("it is read as %v, %+v, %v", back, read, err)
	}
}
