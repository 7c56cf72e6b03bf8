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

var kinds = [...]store.Kind{catalog.TextDocument: store.KindDocument, catalog.TextPublication: store.KindPublication, catalog.TextKeepList: store.KindKeepList}

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
	if err := store.Receive(ctx, batch, t.codec, store.Key{Kind: kinds[kind], ID: id}, raw); err != nil {
		return err
	}
	return batch.Commit(ctx)
}

func (t texts) Text(ctx context.Context, kind catalog.TextKind, id namespace.ID) ([]byte, error) {
	raw, err := store.Get(ctx, t.packs, t.codec, store.Key{Kind: kinds[kind], ID: id})
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
