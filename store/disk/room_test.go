package disk_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/storetest"
)

// putNoise puts content of size bytes that does not compress.
func putNoise(t *testing.T, b store.Batch, seed uint64, size int) error {
	t.Helper()
	k, raw := storetest.Noise(seed, size)
	return b.Put(t.Context(), k, store.Frame{Encoding: store.Raw, RawLength: size, Data: raw})
}

// The quota holds to the byte: 24 bytes of pack header, 60 of each record's.
func TestQuota(t *testing.T) {
	const quota = 24 + 3*(60+1000)
	dir := t.TempDir()
	s := open(t, dir, disk.Options{Quota: quota})
	b := begin(t, s)
	for i := range uint64(2) {
		if err := putNoise(t, b, i, 1000); err != nil {
			t.Fatal(err)
		}
	}
	var full *store.FullError
	if err := putNoise(t, b, 2, 1001); !errors.As(err, &full) || !errors.Is(err, store.ErrFull) || full.Quota != quota || full.Used != 24+2*1060 {
		t.Errorf("one byte over the quota: %v", err)
	}
	if err := putNoise(t, b, 3, 1000); err != nil {
		t.Errorf("the last byte of the quota: %v", err)
	}
	if err := putNoise(t, b, 4, 1); !errors.Is(err, store.ErrFull) {
		t.Errorf("over the quota: %v", err)
	}
	if err := putNoise(t, b, 3, 1000); err != nil {
		t.Errorf("what is there already: %v", err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, dir, disk.Options{Quota: quota})
	if err := putNoise(t, begin(t, s), 5, 1); !errors.Is(err, store.ErrFull) {
		t.Errorf("over the quota, opened again: %v", err)
	}
	if st := stats(t, s); st.Bytes != quota || st.Quota != quota || st.Chunks != 3 {
		t.Errorf("%+v", st)
	}
	closeStore(t, s)
	s = open(t, dir, disk.Options{Quota: quota + 61})
	if err := putNoise(t, begin(t, s), 5, 1); err != nil {
		t.Errorf("under a larger quota: %v", err)
	}
}

// fakeDisk is the room on a disk, as a test has it.
type fakeDisk struct{ free, total atomic.Int64 }

func (f *fakeDisk) space(string) (durable.Space, error) {
	return durable.Space{Free: f.free.Load(), Total: f.total.Load()}, nil
}

func TestReserve(t *testing.T) {
	const reserve = 1 << 20
	var f fakeDisk
	f.total.Store(1 << 30)
	f.free.Store(1 << 29)
	s := open(t, t.TempDir(), disk.Options{Reserve: reserve, Space: f.space})
	b := begin(t, s)
	f.free.Store(reserve + 1060)
	if err := putNoise(t, b, 1, 1000); err != nil {
		t.Errorf("down to the reserve: %v", err)
	}
	f.free.Store(reserve + 1059)
	var full *store.FullError
	if err := putNoise(t, b, 2, 1000); !errors.As(err, &full) || full.Free != reserve+1059 || full.Reserve != reserve {
		t.Errorf("one byte into the reserve: %v", err)
	}
	if st := stats(t, s); st.Bytes != 24+1060 || st.DiskFree != reserve+1059 || st.Reserve != reserve {
		t.Errorf("what was refused is counted: %+v", st)
	}
	f.free.Store(1 << 25) // plenty for the index, nothing for content
	if err := b.Commit(t.Context()); err != nil {
		t.Errorf("Commit of what was accepted: %v", err)
	}
	k, _ := storetest.Noise(1, 1000)
	if _, err := s.Frame(t.Context(), k, nil); err != nil {
		t.Errorf("reading: %v", err)
	}
}

func TestAutoReserve(t *testing.T) {
	for total, want := range map[int64]int64{1 << 30: 1 << 30, 50 << 30: 1 << 30, 51 << 30: 51 << 30 / 50, 10 << 40: 10 << 40 / 50} {
		var f fakeDisk
		f.total.Store(total)
		f.free.Store(total)
		o := quiet(disk.Options{Space: f.space})
		o.Reserve = 0
		s, err := disk.Open(t.Context(), t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := stats(t, s).Reserve; got != want {
			t.Errorf("reserve of a disk of %d bytes: %d; want %d", total, got, want)
		}
		closeStore(t, s)
	}
}

// A document may revoke a key: neither quota nor reserve keeps it out, until
// the disk is nearly full.
func TestDocumentsUseTheReserve(t *testing.T) {
	var f fakeDisk
	f.total.Store(1 << 40)
	f.free.Store(200 << 20)
	s := open(t, t.TempDir(), disk.Options{Reserve: 1 << 30, Quota: 30, Space: f.space})
	b := begin(t, s)
	put := func(kind store.Kind, seed uint64) error {
		_, raw := storetest.Noise(seed, 1000)
		return b.Put(t.Context(), store.Key{Kind: kind, ID: sha256.Sum256(raw)}, store.Frame{Encoding: store.Raw, RawLength: 1000, Data: raw})
	}
	for _, kind := range []store.Kind{store.KindChunk, store.KindBody, store.KindPublication} {
		if err := put(kind, 1); !errors.Is(err, store.ErrFull) {
			t.Errorf("a %v: %v", kind, err)
		}
	}
	for _, kind := range []store.Kind{store.KindDocument, store.KindKeepList} {
		f.free.Store(64<<20 + 1060)
		if err := put(kind, 2); err != nil {
			t.Errorf("a %v: %v", kind, err)
		}
		f.free.Store(64<<20 + 1059)
		if err := put(kind, 3); !errors.Is(err, store.ErrFull) {
			t.Errorf("a %v on a disk that is full: %v", kind, err)
		}
	}
}

// The index is not written to on a disk that is full: that would end the
// process. The batch fails, and nothing else.
func TestNoRoomForIndex(t *testing.T) {
	var f fakeDisk
	f.total.Store(1 << 30)
	f.free.Store(1 << 29)
	dir := t.TempDir()
	s := open(t, dir, disk.Options{Space: f.space})
	fill(t, s, 0, 2)
	b := begin(t, s)
	k, raw := chunk(2)
	if err := store.Receive(t.Context(), b, store.NewCodec(), k, raw); err != nil {
		t.Fatal(err)
	}
	f.free.Store(8<<20 - 1)
	if err := b.Commit(t.Context()); !errors.Is(err, store.ErrFull) {
		t.Errorf("Commit without room for the index: %v", err)
	}
	wantStates(t, s, "right", 0, 2)
	f.free.Store(8 << 20)
	fill(t, s, 2, 4)
	wantStates(t, s, "right", 0, 4)
	closeStore(t, s)
	wantStates(t, open(t, dir, disk.Options{}), "right", 0, 4)
}

// The ballast is there when there is plenty of room, and counts for no quota.
func TestBallast(t *testing.T) {
	const size, reserve = 1 << 20, 10 << 20
	var f fakeDisk
	f.total.Store(1 << 30)
	f.free.Store(reserve + 2*size - 1)
	dir := t.TempDir()
	path := filepath.Join(dir, "ballast")
	s := open(t, dir, disk.Options{Ballast: size, Reserve: reserve, Space: f.space, Quota: 24 + 2*1060})
	held := func(want bool) {
		t.Helper()
		fi, err := os.Stat(path)
		if stats(t, s).Ballast != want || (err == nil) != want || want && fi.Size() != size {
			t.Errorf("ballast %v, file %v; want %v", stats(t, s).Ballast, err, want)
		}
	}
	held(false)
	b := begin(t, s)
	if err := putNoise(t, b, 1, 1000); err != nil {
		t.Fatal(err)
	}
	held(false)
	f.free.Store(reserve + 2*size + 1060)
	if err := putNoise(t, b, 2, 1000); err != nil {
		t.Fatal(err)
	}
	held(true)
	f.free.Store(0)
	if err := b.Commit(t.Context()); err != nil {
		t.Errorf("Commit with a ballast to drop: %v", err)
	}
	closeStore(t, s)
	s = open(t, dir, disk.Options{Ballast: size, Reserve: reserve, Space: f.space})
	held(true) // from before
}
