package content

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// chunkMap is a store for tests: Put's chunks by id.
type chunkMap struct {
	mu     sync.Mutex
	chunks map[ChunkID][]byte
	puts   int
}

func newChunkMap() *chunkMap { return &chunkMap{chunks: map[ChunkID][]byte{}} }

func (m *chunkMap) put(id ChunkID, data []byte) error {
	if !VerifyChunk(id, data) {
		return fmt.Errorf("%d bytes were put under a wrong id", len(data))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chunks[id] = bytes.Clone(data)
	m.puts++
	return nil
}

// of returns copies of the body's chunks, in order.
func (m *chunkMap) of(t *testing.T, b *Body) [][]byte {
	t.Helper()
	if m.puts != len(b.Chunks) {
		t.Fatalf("Put was called %d times for a body of %d chunks", m.puts, len(b.Chunks))
	}
	var chunks [][]byte
	for i, p := range b.Chunks {
		data, ok := m.chunks[p.ID]
		if !ok {
			t.Fatalf("chunk %d was not put", i)
		}
		if err := p.Verify(data); err != nil {
			t.Fatalf("chunk %d: %v", i, err)
		}
		chunks = append(chunks, bytes.Clone(data))
	}
	return chunks
}

// assemble gives the NAR of a body and its chunks, last chunk first, since order
// must not matter.
func assemble(t *testing.T, b *Body, slots []nix.PathHash, chunks [][]byte) []byte {
	t.Helper()
	r, err := NewRewriter(b, slots)
	if err != nil {
		t.Fatalf("NewRewriter: %v", err)
	}
	parts := make([][]byte, len(chunks))
	for i := len(chunks) - 1; i >= 0; i-- {
		parts[i] = r.Chunk(i, bytes.Clone(chunks[i]))
	}
	return bytes.Join(parts, nil)
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func randomHash(rng *rand.Rand) (h nix.PathHash) {
	for i := range h {
		h[i] = byte(rng.Uint32())
	}
	return h
}

func noise(rng *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(rng.Uint32())
	}
	return out
}

// alphabet is Nix's base 32.
const alphabet = "0123456789abcdfghijklmnpqrsvwxyz"

func alphabetNoise(rng *rand.Rand, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return out
}
