package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// TestIndexIsMadeAnew: whatever happens to the catalog's index, the next start has all that the packs have.
func TestIndexIsMadeAnew(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	var address namespace.Address
	var paths []nix.StorePath
	t.Run("publish", func(t *testing.T) {
		var i *instance
		i, paths = publishing(t, state)
		address = i.node.Spaces()[0].Address
	})
	dir := filepath.Join(state, "db", "catalog")
	reopened := func(what string) {
		t.Helper()
		again, err := open(t.Context(), config{State: state, Budget: time.Second, Reserve: 1 << 20}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if have := again.catalog.Stats(address).Paths; have != len(paths) {
			t.Errorf("%s: %d of %d paths are listed", what, have, len(paths))
		}
		if err := again.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	reopened("untouched")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	reopened("index gone")
	if err := os.Remove(filepath.Join(dir, "WHOLE")); err != nil { // as if the process had ended while it was made
		t.Fatal(err)
	}
	reopened("index half made")
	if err := os.WriteFile(filepath.Join(dir, "DAMAGED"), nil, 0o644); err != nil { // as a question that met damage leaves it
		t.Fatal(err)
	}
	reopened("index damaged")
}
