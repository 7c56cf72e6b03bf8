package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
)

// texts puts a catalog's texts into packs, as the daemon does.
type texts struct {
	packs *storedisk.Store
	codec *store.Codec
}

// key is where a text of that kind lies.
func key(kind catalog.TextKind, id namespace.ID) store.Key {
	switch kind {
	case catalog.TextDocument:
		return store.DocumentKey(id)
	case catalog.TextPublication:
		return store.PublicationKey(id)
	}
	return store.KeepListKey(id)
}

func (t texts) PutText(ctx context.Context, kind catalog.TextKind, raw []byte) error {
	id, err := namespace.TextID(raw)
	if err != nil {
		return err
	}
	batch, err := t.packs.Begin(ctx)
	if err != nil {
		return err
	}
	defer batch.Close()
	if err := store.Receive(ctx, batch, t.codec, key(kind, id), raw); err != nil {
		return err
	}
	return batch.Commit(ctx)
}

func (t texts) Text(ctx context.Context, kind catalog.TextKind, id namespace.ID) ([]byte, error) {
	raw, err := store.Get(ctx, t.packs, t.codec, key(kind, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, errors.Join(catalog.ErrNotFound, err)
	}
	return raw, err
}

// declare makes the daemon on state use a.
func declare(state string, a namespace.Address) error {
	table := fmt.Sprintf("[namespace.%q]\nkey = %q\nuse = true\n", a.Name(), a)
	return os.WriteFile(filepath.Join(state, "namespaces.toml"), []byte(table), 0o644)
}
