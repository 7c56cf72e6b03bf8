package inplace

import (
	"context"
	"fmt"
	"sync"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
)

// Begin starts a batch of the store below, whose Has finds what is in paths as well.
func (s *Store) Begin(ctx context.Context) (store.Batch, error) {
	b, err := s.Collector.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &batch{Batch: b, store: s, lent: make(map[content.ChunkID]struct{})}, nil
}

// batch is a batch that remembers which of its chunks are in paths alone.
type batch struct {
	store.Batch
	store *Store

	mu     sync.Mutex
	lent   map[content.ChunkID]struct{}
	failed error // of the first copy that did
}

func (b *batch) Has(ctx context.Context, k store.Key) (bool, error) {
	has, err := b.Batch.Has(ctx, k)
	if err != nil || has || k.Kind != store.KindChunk || !b.store.covers(k.ID) {
		return has, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent[k.ID] = struct{}{}
	return true, nil
}

// Commit copies what was found in paths, and commits.
func (b *batch) Commit(ctx context.Context) error {
	b.mu.Lock()
	lent, err := b.lent, b.failed
	b.lent = make(map[content.ChunkID]struct{})
	b.mu.Unlock()
	for id := range lent {
		if err == nil {
			err = b.copy(ctx, id)
		}
	}
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.failed = err
		return err
	}
	return b.Batch.Commit(ctx)
}

func (b *batch) copy(ctx context.Context, id content.ChunkID) error {
	key := store.ChunkKey(id)
	if has, err := b.Batch.Has(ctx, key); err != nil || has {
		return err
	}
	raw, found, err := b.store.chunk(ctx, id, nil)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%v was in the Nix store alone and is gone: %w", key, store.ErrNotFound)
	}
	return store.Receive(ctx, b.Batch, b.store.codec, key, raw)
}
