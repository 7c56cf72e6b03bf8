package node

import (
	"context"
	"errors"
	"hash/maphash"
	"math"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
)

// rank says how long content stays: that of rank 0 goes at once, that of a claim's rank when the claim and all those before
// it are lost, and that of rankLive never. What has none is named by nothing.
type rank uint32

const rankLive rank = math.MaxUint32

// marks is the rank of everything that is named: the highest that something gives it. Keys are remembered by a 64-bit hash under
// a random seed, some 20 bytes for each: two that fall together may keep something longer, and nobody can make them do so.
type marks struct {
	node  *Node
	seed  maphash.Seed
	ranks map[uint64]rank
	sums  map[rank]int64 // bytes that the store has of what has a rank, for those that were asked for
	// spared is how many of the bytes that go are had from /nix/store as well.
	spared int64
}

func newMarks(n *Node) *marks {
	return &marks{node: n, seed: maphash.MakeSeed(), ranks: make(map[uint64]rank), sums: make(map[rank]int64)}
}

func (m *marks) hash(k store.Key) uint64 { return maphash.Comparable(m.seed, k) }

func (m *marks) of(k store.Key) (rank, bool) {
	r, ok := m.ranks[m.hash(k)]
	return r, ok
}

// mark gives a body and its chunks the rank r where they have none that is higher. counted: what is new to marks is added up.
func (m *marks) mark(ctx context.Context, id content.BodyID, r rank, counted bool) error {
	if err := m.one(ctx, store.BodyKey(id), r, counted); err != nil {
		return err
	}
	chunks, err := m.chunks(ctx, id)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		if err := m.one(ctx, store.ChunkKey(c.ID), r, counted); err != nil {
			return err
		}
	}
	return nil
}

// markBody is mark without the chunks.
func (m *marks) markBody(ctx context.Context, id content.BodyID, r rank, counted bool) error {
	return m.one(ctx, store.BodyKey(id), r, counted)
}

// spare lets go what has no rank yet, since it is had from /nix/store as well.
func (m *marks) spare(ctx context.Context, k store.Key) error {
	h := m.hash(k)
	if _, named := m.ranks[h]; named {
		return nil
	}
	m.ranks[h] = 0
	bytes, _, err := m.node.Store.Stored(ctx, k)
	m.spared += bytes
	return err
}

func (m *marks) one(ctx context.Context, k store.Key, r rank, counted bool) error {
	h := m.hash(k)
	if old, ok := m.ranks[h]; ok && old >= r {
		return nil
	}
	m.ranks[h] = r
	if !counted {
		return nil
	}
	bytes, _, err := m.node.Store.Stored(ctx, k)
	m.sums[r] += bytes
	return err
}

// chunks is the chunks of a body; none when it is not here.
func (m *marks) chunks(ctx context.Context, id content.BodyID) ([]content.Piece, error) {
	if b := m.node.bodies.get(id); b != nil {
		return b.body.Chunks, nil
	}
	raw, err := store.Get(ctx, m.node.Store, m.node.Codec, store.BodyKey(id)) // past the cache, which others need
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := content.ParseBody(raw)
	if err != nil {
		return nil, nil // the namespace's signer named what is no body
	}
	return b.Chunks, nil
}
