package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/store/storetest"
)

// stays tells which contents the tests here keep.
func stays(i int) bool { return i%4 == 1 }

// fateOf keeps contents below n for which keep is true; the rest is dead.
func fateOf(n int, keep func(int) bool) func(store.Key) store.Fate {
	kept := make(map[store.Key]bool)
	for i := range n {
		if k, _ := chunk(i); keep(i) {
			kept[k] = true
		}
	}
	return func(k store.Key) store.Fate {
		if kept[k] {
			return store.Keep
		}
		return store.Dead
	}
}

// collect is one collection.
func collect(t testing.TB, s store.Collector, fate func(store.Key) store.Fate, o store.SweepOptions) (store.Swept, error) {
	t.Helper()
	c, err := s.StartCollection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o.Now = time.Unix(1_800_000_000, 0)
	return c.Sweep(t.Context(), fate, o)
}

func mustCollect(t testing.TB, s store.Collector, fate func(store.Key) store.Fate, o store.SweepOptions) store.Swept {
	t.Helper()
	swept, err := collect(t, s, fate, o)
	if err != nil {
		t.Fatal(err)
	}
	return swept
}

// wantStaying checks contents below n.
func wantStaying(t testing.TB, s store.Store, n int) {
	t.Helper()
	c := store.NewCodec()
	for i := range n {
		want := "absent"
		if stays(i) {
			want = "right"
		}
		if got := state(t, s, c, i); got != want {
			t.Errorf("content %d is %s; want %s", i, got, want)
		}
	}
}

// onDisk is the bytes of all packs.
func onDisk(t testing.TB, dir string) (sum int64) {
	t.Helper()
	for _, p := range packs(t, dir) {
		fi, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		sum += fi.Size()
	}
	return sum
}

func TestCollect(t *testing.T) {
	const n = 400
	dir, o := t.TempDir(), disk.Options{MaxPack: 40_000}
	s := open(t, dir, o)
	fill(t, s, 0, n)
	before := onDisk(t, dir)
	dry := mustCollect(t, s, fateOf(n, stays), store.SweepOptions{DryRun: true})
	if onDisk(t, dir) != before || stats(t, s).Chunks != n {
		t.Error("a dry run did something")
	}
	swept := mustCollect(t, s, fateOf(n, stays), store.SweepOptions{})
	wantStaying(t, s, n)
	after := onDisk(t, dir)
	if swept.Contents != n-n/4 || before-after != swept.Freed || after > before/2 {
		t.Errorf("%d bytes of packs became %d: %+v", before, after, swept)
	}
	if dry.Contents != swept.Contents || max(dry.Freed-swept.Freed, swept.Freed-dry.Freed) > 1000 {
		t.Errorf("the dry run said %+v, then %+v", dry, swept)
	}
	check := func(s *disk.Store) {
		t.Helper()
		wantStaying(t, s, n)
		st := stats(t, s)
		if st.Bytes != after || st.Chunks != n/4 || st.Damaged != 0 || st.Packs != len(packs(t, dir)) || st.LiveBytes > st.Bytes {
			t.Errorf("%+v; %d bytes on disk in %d packs", st, after, len(packs(t, dir)))
		}
		if report, err := s.Check(t.Context(), nil); err != nil || len(report.Damaged) != 0 || report.Contents != n/4 || report.Bytes != st.LiveBytes {
			t.Errorf("check: %+v, %v", report, err)
		}
	}
	check(s)
	closeStore(t, s)
	s = open(t, dir, o)
	check(s)
	if swept := mustCollect(t, s, fateOf(n, stays), store.SweepOptions{}); swept.Contents != 0 || swept.Freed != 0 {
		t.Errorf("collected again: %+v", swept)
	}
	closeStore(t, s)
	if err := disk.RebuildIndex(t.Context(), dir, quiet(o)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	c := store.NewCodec()
	for i := range n {
		// Of a pack that was not worth writing anew some is found again.
		if got := state(t, s, c, i); got != "right" && (stays(i) || got != "absent") {
			t.Errorf("after the index was made again, content %d is %s", i, got)
		}
	}
	fill(t, s, 0, n)
	wantStates(t, s, "right", 0, n)
}

// All of a store can go, the packs that are being written to included.
func TestCollectAll(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{MaxPack: 9000})
	for round := range 3 {
		fill(t, s, 0, 60)
		swept := mustCollect(t, s, fateOf(0, nil), store.SweepOptions{})
		if st := stats(t, s); swept.Contents != 60 || st.Bytes != 0 || st.Packs != 0 || st.LiveBytes != 0 || onDisk(t, dir) != 0 {
			t.Errorf("round %d: %+v; %+v", round, swept, st)
		}
		if round == 1 {
			closeStore(t, s)
			s = open(t, dir, disk.Options{MaxPack: 9000})
		}
	}
	fill(t, s, 0, 3)
	if names := packs(t, dir); len(names) == 0 || filepath.Base(names[0]) < "00000010.pack" {
		t.Errorf("packs %v: a number was used twice", names)
	}
}

// What batches have put and not committed survives that its pack is written anew.
func TestCollectUncommitted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	fill(t, s, 0, 50)
	b := begin(t, s)
	c := store.NewCodec()
	for i := 50; i < 60; i++ {
		k, raw := chunk(i)
		if err := store.Receive(t.Context(), b, c, k, raw); err != nil {
			t.Fatal(err)
		}
	}
	before := packs(t, dir)
	mustCollect(t, s, fateOf(0, nil), store.SweepOptions{})
	if slices.Equal(before, packs(t, dir)) {
		t.Error("the pack was not written anew: the test tests little")
	}
	wantStates(t, s, "absent", 0, 50)
	wantStates(t, s, "right", 50, 60)
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	wantStates(t, open(t, dir, disk.Options{}), "right", 50, 60)
}

// A store at its quota takes more after a collection, which itself may go over the quota for a while.
func TestCollectMakesRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{Quota: 200_000, MaxPack: 30_000})
	n := 0
	b := begin(t, s)
	for ; ; n++ {
		k, raw := chunk(n)
		if err := store.Receive(t.Context(), b, store.NewCodec(), k, raw); errors.Is(err, store.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.Commit(t.Context()), b.Close()); err != nil {
		t.Fatal(err)
	}
	swept := mustCollect(t, s, fateOf(n, stays), store.SweepOptions{})
	wantStaying(t, s, n)
	if swept.Freed < 100_000 {
		t.Errorf("%+v", swept)
	}
	fill(t, s, n, n+20)
}

// Where room is needed, packs are written anew of which less is out of use.
func TestCollectNeed(t *testing.T) {
	const n = 200
	most := func(i int) bool { return i%5 != 0 }
	dir := t.TempDir()
	s := open(t, dir, disk.Options{MaxPack: 20_000})
	fill(t, s, 0, n)
	before := onDisk(t, dir)
	if swept := mustCollect(t, s, fateOf(n, most), store.SweepOptions{}); swept.Freed > before/20 || swept.Contents != n/5 {
		t.Errorf("without need: %+v of %d", swept, before)
	}
	swept := mustCollect(t, s, fateOf(n, most), store.SweepOptions{Need: 10_000})
	if swept.Freed < 9000 || swept.Freed > 30_000 || before-onDisk(t, dir) < swept.Freed {
		t.Errorf("10,000 bytes were needed: %+v", swept)
	}
	c := store.NewCodec()
	for i := range n {
		if got := state(t, s, c, i); most(i) != (got == "right") {
			t.Errorf("content %d is %s", i, got)
		}
	}
}

// A full disk ends the writing anew, not the sweep; packs of which nothing is in use go first.
func TestCollectOnFullDisk(t *testing.T) {
	var f fakeDisk
	f.total.Store(1 << 40)
	f.free.Store(1 << 39)
	dir := t.TempDir()
	s := open(t, dir, disk.Options{MaxPack: 20_000, Space: f.space, Ballast: 1 << 10})
	const n = 200
	fill(t, s, 0, n)
	f.free.Store(0)
	keep := func(i int) bool { return i > n/2 && i%4 == 0 }
	before := onDisk(t, dir)
	swept := mustCollect(t, s, fateOf(n, keep), store.SweepOptions{})
	if swept.Freed < before/4 || onDisk(t, dir) < before/4 {
		t.Errorf("%+v of %d", swept, before)
	}
	f.free.Store(1 << 39)
	mustCollect(t, s, fateOf(n, keep), store.SweepOptions{})
	c := store.NewCodec()
	for i := range n {
		if got := state(t, s, c, i); keep(i) != (got == "right") {
			t.Errorf("content %d is %s", i, got)
		}
	}
	if left := onDisk(t, dir); left > before/3 {
		t.Errorf("%d bytes of %d are left", left, before)
	}
}

// Content that turns out damaged while its pack is written anew is put out of use, and holds up nothing.
func TestCollectDamaged(t *testing.T) {
	const n = 100
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	fill(t, s, 0, n)
	closeStore(t, s)
	path := packs(t, dir)[0]
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, noise := chunk(9) // number 9 does not compress and stays
	at := indexOf(t, raw, noise)
	raw[at+50] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, disk.Options{})
	mustCollect(t, s, fateOf(n, stays), store.SweepOptions{})
	k, _ := chunk(9)
	if got := damagedOf(t, s); !slices.Equal(got, []store.Key{k}) {
		t.Errorf("damaged: %v", got)
	}
	if slices.Contains(packs(t, dir), path) {
		t.Error("the damaged pack is still there")
	}
	fill(t, s, 9, 10)
	wantStaying(t, s, n)
}

func indexOf(t *testing.T, in, what []byte) int {
	t.Helper()
	for i := range in {
		if i+len(what) <= len(in) && string(in[i:i+len(what)]) == string(what) {
			return i
		}
	}
	t.Fatal("not there")
	return 0
}

// What stays can be read, checked and found while packs are written anew, and others put.
func TestCollectWhileInUse(t *testing.T) {
	const n = 160
	s := open(t, t.TempDir(), disk.Options{MaxPack: 20_000})
	fill(t, s, 0, n)
	stop := make(chan struct{})
	var users sync.WaitGroup
	use := func(do func()) {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do()
				}
			}
		})
	}
	c := store.NewCodec()
	use(func() {
		for i := range n {
			if got := state(t, s, c, i); stays(i) && got != "right" {
				t.Errorf("content %d is %s", i, got)
			}
		}
	})
	use(func() {
		if report, err := s.Check(t.Context(), nil); err != nil || len(report.Damaged) != 0 {
			t.Errorf("check: %+v, %v", report, err)
		}
	})
	for round := range 6 {
		fill(t, s, 0, n)
		k, _ := storetest.Chunk(uint64(n+round), 100)
		if err := s.Condemn(t.Context(), k); err != nil {
			t.Error(err)
		}
		mustCollect(t, s, fateOf(n, stays), store.SweepOptions{DeadPart: 0.1})
	}
	close(stop)
	users.Wait()
	wantStaying(t, s, n)
}

// A collection ends with its store, whatever it was doing.
func TestCollectAfterClose(t *testing.T) {
	s := open(t, t.TempDir(), disk.Options{})
	fill(t, s, 0, 10)
	col, err := s.StartCollection(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer col.Close()
	closeStore(t, s)
	if _, err := col.Sweep(t.Context(), fateOf(0, nil), store.SweepOptions{}); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("Sweep: %v", err)
	}
	if _, err := s.StartCollection(t.Context()); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("StartCollection: %v", err)
	}
	if _, _, err := s.Stored(t.Context(), store.Key{}); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("Stored: %v", err)
	}
}
