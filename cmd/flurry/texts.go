package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
)

// storeTexts keeps the catalog's texts in the packs, so that the catalog's index holds nothing of its own.
type storeTexts struct {
	packs *storedisk.Store
	codec *store.Codec
}

func textKey(kind catalog.TextKind, id namespace.ID) (store.Key, error) {
	switch kind {
	case catalog.TextDocument:
		return store.DocumentKey(id), nil
	case catalog.TextPublication:
		return store.PublicationKey(id), nil
	case catalog.TextKeepList:
		return store.KeepListKey(id), nil
	}
	return store.Key{}, fmt.Errorf("text of kind %d", kind)
}

func (t storeTexts) PutText(ctx context.Context, kind catalog.TextKind, raw []byte) error {
	id, err := namespace.TextID(raw)
	if err != nil {
		return err
	}
	key, err := textKey(kind, id)
	if err != nil {
		return err
	}
	batch, err := t.packs.Begin(ctx)
	if err != nil {
		return err
	}
	defer batch.Close()
	if err := store.Receive(ctx, batch, t.codec, key, raw); err != nil {
		return err
	}
	return batch.Commit(ctx)
}

func (t storeTexts) Text(ctx context.Context, kind catalog.TextKind, id namespace.ID) ([]byte, error) {
	key, err := textKey(kind, id)
	if err != nil {
		return nil, err
	}
	raw, err := store.Get(ctx, t.packs, t.codec, key)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return nil, errors.Join(catalog.ErrNotFound, err)
	}
	return raw, err
}

// all yields every text of a kind, to make the catalog's index from.
func (t storeTexts) all(ctx context.Context, kind store.Kind) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for key, err := range t.packs.Keys(ctx, kind) {
			if err != nil {
				yield(nil, err)
				return
			}
			raw, err := store.Get(ctx, t.packs, t.codec, key)
			if errors.Is(err, store.ErrCorrupt) {
				continue // peers have it; nothing is made of damaged texts
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}
