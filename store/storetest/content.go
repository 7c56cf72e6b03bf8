package storetest

import (
	"crypto/sha256"
	"math/rand/v2"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
)

// Chunk makes size bytes that depend on seed alone, and their key. About half
// of them compress away.
func Chunk(seed uint64, size int) (store.Key, []byte) {
	raw := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 0x666c75727279))
	for i := range raw {
		raw[i] = byte(r.Uint32() & 15)
	}
	return store.ChunkKey(content.ChunkID(sha256.Sum256(raw))), raw
}

// Noise is Chunk with bytes that do not compress.
func Noise(seed uint64, size int) (store.Key, []byte) {
	raw := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(raw)
	return store.ChunkKey(content.ChunkID(sha256.Sum256(raw))), raw
}
