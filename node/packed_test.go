package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/inplace"
	"github.com/flurry-nix/flurry/store/storetest"
)

// TestPackedOnce: what is read from /nix/store is encoded for others, what lies raw in the store goes out as it lies there.
func TestPackedOnce(t *testing.T) {
	mem, codec := storetest.NewMem(t), store.NewCodec()
	s := &Server{&Node{Needs: Needs{Store: mem, Codec: codec, InPlace: inplace.New(mem, codec, nil, nil)}}}
	raw := bytes.Repeat([]byte("text "), 10_000)
	f, k := store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}, store.ChunkKey(sha256.Sum256(raw))
	if got := s.packed(t.Context(), k, f); got.Encoding != store.Zstd {
		t.Errorf("from /nix/store: %v", got.Encoding)
	}
	b, err := mem.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := errors.Join(b.Put(t.Context(), k, f), b.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := s.packed(t.Context(), k, f); got.Encoding != store.Raw {
		t.Errorf("from the store: %v", got.Encoding)
	}
}
