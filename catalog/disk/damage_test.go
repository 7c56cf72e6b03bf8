package disk

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/flurry-nix/flurry/catalog"
)

// TestDamageEndsNothing: a question that meets a damaged table fails, the process goes on, and the next Open says that
// the index is damaged.
func TestDamageEndsNothing(t *testing.T) {
	dir := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	kv, err := Open(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000
	for i := range n {
		if err := kv.Apply([]catalog.Op{{Kind: catalog.OpPut, Key: fmt.Appendf(nil, "key %d", i), Value: fmt.Appendf(nil, "%d %x", i, make([]byte, 500))}}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no tables: %v", err)
	}
	for _, name := range tables {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 100; at < len(raw)/2; at += 50 {
			raw[at] ^= 0x40
		}
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kv, err = Open(dir, log); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i := range n {
		if _, err := kv.Get(fmt.Appendf(nil, "key %d", i)); err != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Fatal("no question met the damage")
	}
	if err := kv.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, log); !errors.Is(err, catalog.ErrDamaged) {
		t.Errorf("opened again: %v", err)
	}
}
