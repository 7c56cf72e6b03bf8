package catalog_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// TestTogether lets everything happen at the same time: for the race detector,
// and to see that no reader is ever told of damage, or of a thing half done.
func TestTogether(t *testing.T) {
	b := catalogtest.NewBench(t, new(catalogtest.MemKV))
	ci := b.Key("ci")
	b.Adopt(b.Document(1, catalogtest.Writers(ci)))
	const n = 30
	var pubs []trust.Publication
	for i := range n {
		pubs = append(pubs, b.Verify(b.Publication(ci, func(p *namespace.Publication) {
			p.Expires = p.Time.Add(time.Duration(1+i) * time.Minute)
			p.Entries = []namespace.Entry{
				catalogtest.Entry(fmt.Sprint("own", i), "", catalogtest.Path("common")),
				catalogtest.Entry("common", ""),
			}
		})))
	}
	docs := []trust.Document{}
	for i := range uint64(10) {
		docs = append(docs, b.Document(2+i, catalogtest.Writers(ci)))
	}
	ctx, c := t.Context(), b.Catalog
	quiet := func(err error) error {
		if errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		return err
	}
	acts := []func(i int) error{
		func(i int) error { _, err := c.Add(ctx, pubs[i]); return err },
		func(i int) error { _, err := c.Add(ctx, pubs[n-1-i]); return err },
		func(i int) error {
			if i%3 == 0 {
				return c.Adopt(ctx, docs[i/3], nil)
			}
			return nil
		},
		func(i int) error { b.Clock.Add(20 * time.Second); c.Generation(); return nil },
		func(i int) error {
			err := c.Drop(ctx, b.Address, pubs[i].ID())
			if known, _ := c.Knows(ctx, b.Address, pubs[i].ID()); known {
				return nil // it was alive
			}
			return err
		},
		func(i int) error {
			found, err := c.Lookup(ctx, b.Address, catalogtest.Path("common").Hash())
			if err != nil {
				return quiet(err)
			}
			if _, _, err := c.Complete(ctx, found[0], 1, func(nix.PublicKey) bool { return true }, func(nix.StorePath) bool { return true }); err != nil {
				return err
			}
			_, err = c.HasBody(ctx, b.Address, found[0].Entry().Body)
			return errors.Join(err, c.MarkProven(ctx, found[0]))
		},
		func(i int) error {
			for _, err := range c.Entries(ctx, b.Address, "own*") {
				if err != nil {
					return err
				}
			}
			for _, err := range c.Publications(ctx, b.Address) {
				if quiet(err) != nil {
					return err
				}
			}
			c.Stats(b.Address)
			return nil
		},
		func(i int) error {
			_, next, _, err := c.Changes(ctx, b.Address, catalog.Cursor{}, 5)
			if err == nil {
				_, _, _, err = c.Changes(ctx, b.Address, next, 5)
			}
			c.Changed(b.Address)
			_, err2 := c.Digest(ctx, b.Address)
			return errors.Join(err, err2)
		},
	}
	var wait sync.WaitGroup
	for a, act := range acts {
		wait.Go(func() {
			for i := range n {
				if err := act(i); err != nil {
					t.Errorf("act %d, %d: %v", a, i, err)
				}
			}
		})
	}
	wait.Wait()
	b.Alive()
	b.Reopen()
	b.Alive()
}
