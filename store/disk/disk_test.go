package disk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/internal/durable/durabletest"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/storetest"
)

func TestMain(m *testing.M) {
	if run, ok := children()[os.Getenv(childEnv)]; ok {
		os.Exit(run())
	}
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]disk.Options{"default": {}, "small packs": {MaxPack: 20_000}} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir(), o) })
			storetest.RunCollector(t, func(t *testing.T) store.Collector { return open(t, t.TempDir(), o) })
		})
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	o := disk.Options{MaxPack: 20_000}
	s := open(t, dir, o)
	for i := 0; i < 60; i += 10 {
		fill(t, s, i, i+10)
	}
	keys, st := keysOf(t, s), stats(t, s)
	if st.Chunks != 60 || st.Packs != len(packs(t, dir)) || st.Packs < 3 {
		t.Errorf("%+v, %d packs on disk", st, len(packs(t, dir)))
	}
	var size int64
	for _, p := range packs(t, dir) {
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() > 20_000 {
			t.Errorf("%s has %d bytes", p, fi.Size())
		}
		size += fi.Size()
	}
	if st.Bytes != size {
		t.Errorf("Bytes %d, on disk %d", st.Bytes, size)
	}
	closeStore(t, s)

	s = open(t, dir, o)
	wantStates(t, s, "right", 0, 60)
	if got := keysOf(t, s); got != keys {
		t.Errorf("keys were\n%snow\n%s", keys, got)
	}
	if got := stats(t, s); got.Bytes != st.Bytes || got.LiveBytes != st.LiveBytes || got.Chunks != st.Chunks || got.Packs != st.Packs {
		t.Errorf("%+v; was %+v", got, st)
	}
	fill(t, s, 60, 61) // goes into a pack that has room
	if got := stats(t, s); got.Packs != st.Packs {
		t.Errorf("%d packs; the last of %d had room", got.Packs, st.Packs)
	}
}

// However many put the same content at once, it is stored once, and all of them
// can commit.
func TestStoredOnce(t *testing.T) {
	dir := t.TempDir()
	o := disk.Options{MaxPack: 50_000}
	s := open(t, dir, o)
	const n, workers = 200, 8
	c := store.NewCodec()
	var wg sync.WaitGroup
	for range workers {
		b := begin(t, s)
		wg.Go(func() {
			for i := range n {
				k, raw := chunk(i)
				if err := store.Receive(t.Context(), b, c, k, raw); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := b.Commit(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
			if err := b.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	st := stats(t, s)
	if st.Chunks != n || st.LiveBytes+int64(24*st.Packs) != st.Bytes {
		t.Errorf("%+v: something is stored twice", st)
	}
	if st.Packs < 4 {
		t.Errorf("%d packs: batches share one", st.Packs)
	}
	wantStates(t, s, "right", 0, n)
}

// What was put and not committed is settled by Close: a download that was
// interrupted goes on where it was.
func TestCloseKeepsUncommitted(t *testing.T) {
	dir, d := t.TempDir(), durabletest.New()
	s := open(t, dir, disk.Options{FS: d})
	k, raw := chunk(1)
	if err := store.Receive(t.Context(), begin(t, s), store.NewCodec(), k, raw); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := d.PowerCut(nil); err != nil {
		t.Fatal(err)
	}
	wantStates(t, open(t, dir, disk.Options{}), "right", 1, 2)
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	b := begin(t, s)
	closeStore(t, s)
	closeStore(t, s)
	k, raw := chunk(1)
	f := store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}
	_, errBegin := s.Begin(t.Context())
	_, errFrame := s.Frame(t.Context(), k, nil)
	_, errHas := s.Has(t.Context(), k)
	_, errStats := s.Stats(t.Context())
	_, errBatchHas := b.Has(t.Context(), k)
	_, errCheck := s.Check(t.Context(), nil)
	for name, err := range map[string]error{
		"Begin": errBegin, "Frame": errFrame, "Has": errHas, "Stats": errStats, "Check": errCheck, "Condemn": s.Condemn(t.Context(), k),
		"Batch.Has": errBatchHas, "Batch.Put": b.Put(t.Context(), k, f), "Batch.Commit": b.Commit(t.Context()),
	} {
		if !errors.Is(err, disk.ErrClosed) {
			t.Errorf("%s on a closed store: %v", name, err)
		}
	}
	for _, err := range s.Keys(t.Context(), store.KindChunk) {
		if !errors.Is(err, disk.ErrClosed) {
			t.Errorf("Keys on a closed store: %v", err)
		}
	}
	s = open(t, t.TempDir(), disk.Options{})
	b = begin(t, s)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, errBatchHas = b.Has(t.Context(), k)
	for name, err := range map[string]error{"Has": errBatchHas, "Put": b.Put(t.Context(), k, f), "Commit": b.Commit(t.Context())} {
		if !errors.Is(err, disk.ErrClosed) {
			t.Errorf("%s on a closed batch: %v", name, err)
		}
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, disk.Options{})
	if _, err := disk.Open(t.Context(), dir, quiet(disk.Options{})); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second Open: %v", err)
	}
	if err := disk.RebuildIndex(t.Context(), dir, quiet(disk.Options{})); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("RebuildIndex of an open store: %v", err)
	}
}

func TestFormat(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, open(t, dir, disk.Options{}))
	path := filepath.Join(dir, "format")
	for text, ok := range map[string]bool{
		"flurry store 1\n": true, "flurry store 1": true, "flurry store 2\n": false, "flurry store 0\n": false,
		"flurry store x\n": false, "": false, "something else": false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := disk.Open(t.Context(), dir, quiet(disk.Options{}))
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			closeStore(t, s)
		}
		var newer *disk.NewerError
		if strings.Contains(text, "2") && (!errors.As(err, &newer) || newer.Have != 2 || newer.Want != 1) {
			t.Errorf("%q: %v; want a NewerError", text, err)
		}
	}
}

// A file that is larger than the format can describe is refused, not
// misread.
func TestGiantPack(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, open(t, dir, disk.Options{}))
	path := filepath.Join(dir, "packs", "00000001.pack")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<32); err != nil {
		t.Skipf("no sparse files here: %v", err)
	}
	if s, err := disk.Open(t.Context(), dir, quiet(disk.Options{})); err == nil {
		closeStore(t, s)
		t.Error("opened")
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]disk.Options{
		"no log":       {Ballast: -1},
		"large pack":   quiet(disk.Options{MaxPack: 1 << 32}),
		"below zero":   quiet(disk.Options{MaxPack: -1}),
		"quota":        quiet(disk.Options{Quota: -1}),
		"reserve":      quiet(disk.Options{Reserve: -1}),
		"no directory": quiet(disk.Options{}),
	} {
		dir := t.TempDir()
		if name == "no directory" {
			dir = filepath.Join(dir, "file")
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := disk.Open(t.Context(), dir, o); err == nil {
			closeStore(t, s)
			t.Errorf("%s: opened", name)
		}
	}
}

func TestKeys(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	const n = 2500 // more than two pages
	b := begin(t, s)
	var want []store.Key
	for i := range n {
		k, raw := storetest.Noise(uint64(i), 40)
		want = append(want, k)
		if err := b.Put(t.Context(), k, store.Frame{Encoding: store.Raw, RawLength: 40, Data: raw}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(want, func(a, b store.Key) int { return slices.Compare(a.ID[:], b.ID[:]) })
	var got []store.Key
	for k, err := range s.Keys(t.Context(), store.KindChunk) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, k); len(got) == 10 { // the store is free to be used meanwhile
			fill(t, s, 1, 2)
		}
	}
	got = slices.DeleteFunc(got, func(k store.Key) bool { other, _ := chunk(1); return k == other })
	if !slices.Equal(got, want) {
		t.Errorf("%d keys; want %d, in order", len(got), len(want))
	}
	for range s.Keys(t.Context(), store.KindBody) {
		t.Error("a body")
	}
	for range s.Keys(t.Context(), store.KindChunk) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.Keys(ctx, store.KindChunk) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("under an ended context: %v", err)
		}
	}
}
