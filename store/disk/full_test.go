package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/storetest"
)

// A store fills its disk down to the reserve and goes on reading; then somebody
// else takes the rest.
func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, 96<<20)
	const reserve, ballast = 24 << 20, 8 << 20
	o := disk.Options{Reserve: reserve, Ballast: ballast, MaxPack: 16 << 20}
	s := open(t, dir, o)
	acknowledged := 0
	put := func() error {
		b, err := s.Begin(t.Context())
		if err != nil {
			return err
		}
		defer b.Close()
		for range 5 {
			k, raw := big(acknowledged)
			if err := b.Put(t.Context(), k, store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}); err != nil {
				return err
			}
			if err := b.Commit(t.Context()); err != nil {
				return err
			}
			acknowledged++
		}
		return nil
	}
	var err error
	for err == nil {
		err = put()
	}
	if !errors.Is(err, store.ErrFull) || acknowledged < 100 {
		t.Fatalf("after %d: %v", acknowledged, err)
	}
	if free := freeOf(t, dir); free < reserve || free > reserve+(2<<20) {
		t.Errorf("%d bytes free, the reserve is %d", free, reserve)
	}
	wantBig(t, s, acknowledged)

	hog := fillUp(t, dir)
	for range 5 {
		if err := put(); !errors.Is(err, store.ErrFull) {
			t.Errorf("on a full disk: %v", err)
		}
	}
	wantBig(t, s, acknowledged)
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, dir, o)
	wantBig(t, s, acknowledged)
}

// Without a reserve the pack itself meets the full disk: the write fails, what
// was acknowledged stays, and there is room again for more as soon as the disk
// has it.
func TestWriteMeetsFullDisk(t *testing.T) {
	dir := tmpfs(t, 48<<20)
	// The disk seems to have room, as one does whose room others take meanwhile.
	seems := func(string) (durable.Space, error) { return durable.Space{Free: 1 << 40, Total: 1 << 40}, nil }
	s := open(t, dir, disk.Options{Ballast: 8 << 20, MaxPack: 16 << 20, Space: seems})
	fill(t, s, 0, 4)
	hog := fillUp(t, dir)
	b := begin(t, s)
	k, raw := big(1)
	var full *store.FullError
	err := b.Put(t.Context(), k, store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw})
	if !errors.As(err, &full) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Put: %v", err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Errorf("Commit of nothing: %v", err)
	}
	wantStates(t, s, "right", 0, 4)
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 4, 8)
	wantStates(t, s, "right", 0, 8)
	if report, err := s.Check(t.Context(), nil); err != nil || len(report.Damaged) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

const condemned = 4000

// condemner is a child that stores contents and, when it is told to, reads them
// all and says how many are damaged. Each costs the index a write.
func condemner() int {
	ctx := context.Background()
	seems := func(string) (durable.Space, error) { return durable.Space{Free: 1 << 40, Total: 1 << 40}, nil }
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	s, err := disk.Open(ctx, os.Getenv(dirEnv), disk.Options{Reserve: 1, Ballast: 8 << 20, Space: seems, Log: log})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	b, err := s.Begin(ctx)
	for i := tiny; i < tiny+condemned && err == nil; i++ {
		k, raw := chunk(i)
		err = b.Put(ctx, k, store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw})
	}
	if err == nil {
		err = b.Commit(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("open")
	_, _ = io.ReadFull(os.Stdin, make([]byte, 1)) // meanwhile the disk is filled
	for i := tiny; i < tiny+condemned; i++ {
		k, _ := chunk(i)
		if _, err := s.Frame(ctx, k, nil); !errors.Is(err, store.ErrCorrupt) {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(i)
	}
	return 0
}

// Pebble meets a full disk: it gets the ballast, and goes on.
func TestIndexMeetsFullDisk(t *testing.T) {
	dir := tmpfs(t, 48<<20)
	cmd := child(t, "condemner", dir)
	var log strings.Builder
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("open\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		t.Fatal(err, log.String())
	}
	fillUp(t, dir)
	damageInPlace(t, packs(t, dir)[0])
	if _, err := in.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || strings.Count(string(text), "\n") != condemned {
		t.Errorf("%v after %d of %d; %s", err, strings.Count(string(text), "\n"), condemned, log.String())
	}
	if !strings.Contains(log.String(), "set aside") {
		t.Errorf("the ballast was not needed: the test tests nothing; %s", log.String())
	}
	s := open(t, dir, disk.Options{}) // the room that is left of the ballast is enough for that
	if st := stats(t, s); st.Chunks != 0 || st.Damaged != condemned || st.Ballast {
		t.Errorf("%+v", st)
	}
}

// damageInPlace spoils every record of a pack without needing room.
func damageInPlace(t *testing.T, path string) {
	t.Helper()
	pack, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, off := range records(t, pack)[:condemned] {
		if _, err := f.WriteAt([]byte{^pack[off+60]}, int64(off+60)); err != nil {
			t.Fatal(err)
		}
	}
}

// big is content of 200,000 bytes that does not compress.
func big(i int) (store.Key, []byte) { return storetest.Noise(uint64(i)+1<<16, 200_000) }

func wantBig(t *testing.T, s store.Reader, n int) {
	t.Helper()
	c := store.NewCodec()
	for i := range n {
		k, _ := big(i)
		if _, err := store.Get(t.Context(), s, c, k); err != nil {
			t.Errorf("content %d of %d: %v", i, n, err)
		}
	}
}

func freeOf(t *testing.T, dir string) int64 {
	t.Helper()
	sp, err := durable.SpaceAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	return sp.Free
}

// fillUp takes all the room there is, and returns the file that has it.
func fillUp(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "hog"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for step := 1 << 20; step > 0; step /= 2 {
		for {
			if _, err := f.Write(make([]byte, step)); err != nil {
				break
			}
		}
	}
	if free := freeOf(t, dir); free != 0 {
		t.Fatalf("%d bytes are left", free)
	}
	return f.Name()
}
