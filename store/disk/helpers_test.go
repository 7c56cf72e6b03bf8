package disk_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/storetest"
)

// quiet completes o for tests: no ballast, no reserve, no log.
func quiet(o disk.Options) disk.Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Ballast == 0 {
		o.Ballast = -1
	}
	if o.Reserve == 0 {
		o.Reserve = 1
	}
	return o
}

// open opens the store in dir and closes it with the test, if that does not.
func open(t testing.TB, dir string, o disk.Options) *disk.Store {
	t.Helper()
	s, err := disk.Open(t.Context(), dir, quiet(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *disk.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func begin(t testing.TB, s store.Store) store.Batch {
	t.Helper()
	b, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// tiny is the number from which on contents are 30 to 60 bytes long, for tests
// that do something at every byte.
const tiny = 1 << 20

// chunk is content number i; sizes vary, and some does not compress.
func chunk(i int) (store.Key, []byte) {
	size := 200 + i*137%3000
	if i >= tiny {
		size = 30 + i*7%31
	}
	if i%3 == 0 {
		return storetest.Noise(uint64(i), size)
	}
	return storetest.Chunk(uint64(i), size)
}

// fill puts and commits contents from up to, not including, to.
func fill(t testing.TB, s store.Store, from, to int) {
	t.Helper()
	b, c := begin(t, s), store.NewCodec()
	for i := from; i < to; i++ {
		k, raw := chunk(i)
		if err := store.Receive(t.Context(), b, c, k, raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// state is what reading content i gives: "right", "absent", "corrupt", or what
// else happened. Wrong bytes fail the test whatever it expects.
func state(t testing.TB, s store.Store, c *store.Codec, i int) string {
	t.Helper()
	k, raw := chunk(i)
	got, err := store.Get(t.Context(), s, c, k)
	switch {
	case err == nil && bytes.Equal(got, raw):
		return "right"
	case err == nil:
		t.Fatalf("content %d: wrong bytes were given out", i)
	case errors.Is(err, store.ErrNotFound):
		return "absent"
	case errors.Is(err, store.ErrCorrupt):
		return "corrupt"
	}
	return err.Error()
}

// wantStates checks contents from up to, not including, to.
func wantStates(t testing.TB, s store.Store, want string, from, to int) {
	t.Helper()
	c := store.NewCodec()
	for i := from; i < to; i++ {
		if got := state(t, s, c, i); got != want {
			t.Errorf("content %d is %s; want %s", i, got, want)
		}
	}
}

// packs is the paths of the packs in dir, in order.
func packs(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// copyDir copies a store that is not open.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// indexDump is what the index says, as text: each key and whether it is there.
func keysOf(t testing.TB, s *disk.Store) string {
	t.Helper()
	var b strings.Builder
	for kind := store.KindChunk; kind.Valid(); kind++ {
		for k, err := range s.Keys(t.Context(), kind) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, k)
		}
	}
	return b.String()
}

func damagedOf(t testing.TB, s *disk.Store) []store.Key {
	t.Helper()
	var keys []store.Key
	for k, err := range s.Damaged(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

func stats(t testing.TB, s *disk.Store) disk.Stats {
	t.Helper()
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// asChunk is raw as content.
func asChunk(raw []byte) (store.Key, []byte) {
	return store.ChunkKey(content.ChunkID(sha256.Sum256(raw))), raw
}
