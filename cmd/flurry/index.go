package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flurry-nix/flurry/catalog"
	catalogdisk "github.com/flurry-nix/flurry/catalog/disk"
	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
)

// The catalog's index holds nothing of its own: it is made anew from the packs when it is missing, damaged, or was being
// made when the process ended. A file in it says that it is whole.

// openCatalog opens the catalog, with a new index if there is no whole one.
func (i *instance) openCatalog(ctx context.Context) (*catalog.Catalog, error) {
	dir := filepath.Join(i.cfg.State, "db", "catalog")
	whole := filepath.Join(dir, "WHOLE")
	_, err := os.Stat(whole)
	if err == nil {
		c, err := i.openIndex(ctx, dir)
		if !errors.Is(err, catalog.ErrDamaged) {
			return c, err
		}
		i.log.Error("the catalog's index is damaged and is made anew", "err", err)
		if i.index != nil {
			if err := i.index.Close(); err != nil {
				return nil, err
			}
			i.index = nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	c, err := i.openIndex(ctx, dir)
	if err != nil {
		return nil, err
	}
	texts := storeTexts{i.packs, i.codec}
	if err := c.Rebuild(ctx, texts.all(ctx, store.KindDocument), texts.all(ctx, store.KindKeepList), texts.all(ctx, store.KindPublication)); err != nil {
		return nil, fmt.Errorf("making the catalog's index anew: %w", err)
	}
	return c, durable.WriteFile(durable.OS{}, whole, []byte("made from the packs; remove this file to have it made anew\n"), 0o644)
}

func (i *instance) openIndex(ctx context.Context, dir string) (c *catalog.Catalog, err error) {
	if i.index, err = catalogdisk.Open(dir, i.log); err != nil {
		return nil, err
	}
	return catalog.Open(ctx, i.index, storeTexts{i.packs, i.codec}, i.cfg.Clock, i.log)
}
