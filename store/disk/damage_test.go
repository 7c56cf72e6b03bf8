package disk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable/durabletest"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
)

// fields is the fields of a record by their offset from its beginning.
var fields = map[string]int{
	"mark": 3, "kind": 8, "encoding": 9, "zero": 10, "id": 30, "raw length": 45, "stored length": 50,
	"data checksum": 53, "header checksum": 57, "first byte": 60, "data": 100,
}

// flip changes one bit of a file.
func flip(t testing.TB, path string, off int, bit int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[off] ^= 1 << bit
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A flipped bit in any field of a record, or any other damage, is found on
// read, the content is out of use from then on, also in the next process, and
// is stored again by the next put.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	const n, victim = 4, 1
	whole := t.TempDir()
	offsets := records(t, storeOf(t, whole, 0, n))
	for name, off := range fields {
		for bit := range 8 {
			dir := copyDir(t, whole)
			flip(t, packs(t, dir)[0], offsets[victim]+off, bit)
			checkDamage(t, dir, n, victim)
			if t.Failed() {
				t.Fatalf("bit %d of %s", bit, name)
			}
		}
	}
}

// checkDamage expects that in dir one of n contents is damaged.
func checkDamage(t *testing.T, dir string, n, victim int) {
	t.Helper()
	key, _ := chunk(victim)
	others := func(s *disk.Store) {
		t.Helper()
		wantStates(t, s, "right", 0, victim)
		wantStates(t, s, "right", victim+1, n)
	}
	s := open(t, dir, disk.Options{})
	live := stats(t, s).LiveBytes
	if ok, err := s.Has(t.Context(), key); !ok || err != nil {
		t.Errorf("before it is read: %v, %v", ok, err)
	}
	wantStates(t, s, "corrupt", victim, victim+1)
	wantStates(t, s, "absent", victim, victim+1)
	others(s)
	closeStore(t, s)

	s = open(t, dir, disk.Options{})
	wantStates(t, s, "absent", victim, victim+1)
	if got := damagedOf(t, s); !slices.Equal(got, []store.Key{key}) {
		t.Errorf("damaged: %v", got)
	}
	if st := stats(t, s); st.Damaged != 1 || st.Chunks != int64(n-1) || st.LiveBytes >= live {
		t.Errorf("%+v", st)
	}
	fill(t, s, victim, victim+1)
	wantStates(t, s, "right", victim, victim+1)
	others(s)
	closeStore(t, s)

	s = open(t, dir, disk.Options{})
	wantStates(t, s, "right", 0, n)
	if st := stats(t, s); st.Damaged != 0 || len(damagedOf(t, s)) != 0 || st.Chunks != int64(n) || st.LiveBytes != live {
		t.Errorf("%+v", st)
	}
	closeStore(t, s)
}

// A record that is whole and says what it is, but holds other content: only
// the id tells.
func TestWrongContent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	key, _ := chunk(0)
	_, other := chunk(3)
	b := begin(t, s)
	if err := b.Put(t.Context(), key, store.Frame{Encoding: store.Raw, RawLength: len(other), Data: other}); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1, 3)
	if _, err := s.Frame(t.Context(), key, nil); err != nil {
		t.Errorf("Frame: %v; it does not look at the id", err)
	}
	wantStates(t, s, "corrupt", 0, 1)
	wantStates(t, s, "absent", 0, 1)
	rebuild := func() {
		t.Helper()
		closeStore(t, s)
		if err := disk.RebuildIndex(t.Context(), dir, quiet(disk.Options{})); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, disk.Options{})
	}
	rebuild()
	if ok, err := s.Has(t.Context(), key); ok || err != nil {
		t.Errorf("a new index has the wrong content: %v, %v", ok, err)
	}
	fill(t, s, 0, 1)
	wantStates(t, s, "right", 0, 3)
	rebuild()
	wantStates(t, s, "right", 0, 3)
}

// Damage before the commit: the batch must not vouch for it.
func TestDamageBeforeCommit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	fill(t, s, 0, 2)
	one, two := begin(t, s), begin(t, s)
	key, raw := chunk(2)
	c := store.NewCodec()
	if err := store.Receive(t.Context(), one, c, key, raw); err != nil {
		t.Fatal(err)
	}
	if ok, err := two.Has(t.Context(), key); !ok || err != nil {
		t.Fatal(ok, err)
	}
	pack, err := os.ReadFile(packs(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	flip(t, packs(t, dir)[0], len(pack)-1, 0)
	wantStates(t, s, "corrupt", 2, 3)
	wantStates(t, s, "absent", 2, 3)
	for _, b := range []store.Batch{one, two, one} {
		if err := b.Commit(t.Context()); err == nil {
			t.Error("committed what is gone")
		}
	}
	fill(t, s, 2, 4)
	wantStates(t, s, "right", 0, 4)
	closeStore(t, s)
	wantStates(t, open(t, dir, disk.Options{}), "right", 0, 4)
}

func TestMissingPack(t *testing.T) {
	const n = 30
	dir := t.TempDir()
	o := disk.Options{MaxPack: 8000}
	s := open(t, dir, o)
	fill(t, s, 0, n)
	closeStore(t, s)
	all := packs(t, dir)
	for _, p := range []string{all[1], all[len(all)-1]} {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, o)
	c := store.NewCodec()
	got := map[string]int{}
	for i := range n {
		got[state(t, s, c, i)]++
	}
	if got["right"] == 0 || got["corrupt"] == 0 || got["right"]+got["corrupt"] != n || len(damagedOf(t, s)) != got["corrupt"] {
		t.Errorf("%v", got)
	}
	fill(t, s, 0, n)
	wantStates(t, s, "right", 0, n)
	if names := packs(t, dir); slices.Contains(names, all[len(all)-1]) {
		t.Errorf("the number of a missing pack was used again: %v", names)
	}
	closeStore(t, s)
	wantStates(t, open(t, dir, o), "right", 0, n)
}

// A sector that cannot be read is damage; any other failure to read is none.
func TestReadErrors(t *testing.T) {
	for err, want := range map[error]string{syscall.EIO: "corrupt", syscall.EMFILE: "", syscall.EACCES: ""} {
		for _, op := range []durabletest.Op{durabletest.OpRead, durabletest.OpOpen} {
			dir := t.TempDir()
			d := durabletest.New()
			s := open(t, dir, disk.Options{FS: d})
			fill(t, s, 0, 2)
			d.Fail(func(o durabletest.Op, _ string) (durabletest.Effect, error) {
				if o == op {
					return durabletest.Undone, err
				}
				return durabletest.Done, nil
			})
			got := state(t, s, store.NewCodec(), 0)
			d.Fail(nil)
			if want == "corrupt" && op == durabletest.OpRead {
				if got != want {
					t.Errorf("%s: %v: content is %s", op, err, got)
				}
				wantStates(t, s, "absent", 0, 1)
				fill(t, s, 0, 1)
			} else if !strings.Contains(got, err.Error()) {
				t.Errorf("%s: %v: content is %s", op, err, got)
			}
			wantStates(t, s, "right", 0, 2)
			closeStore(t, s)
		}
	}
}

// One unreadable sector costs the records in it, also when all is read to make
// a new index.
func TestUnreadableSector(t *testing.T) {
	const n = 40
	dir := t.TempDir()
	pack := storeOf(t, dir, 0, n)
	offsets := records(t, pack)
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	const from, to = 2 * 4096, 3 * 4096
	d := &badSector{FS: durabletest.New(), from: from, to: to}
	s := open(t, dir, disk.Options{FS: d})
	c := store.NewCodec()
	for i := range n {
		want := "right"
		if offsets[i] < to && offsets[i+1] > from {
			want = "absent"
		}
		if got := state(t, s, c, i); got != want {
			t.Errorf("content %d at %d is %s; want %s", i, offsets[i], got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	const n = 60
	dir := t.TempDir()
	o := disk.Options{MaxPack: 10_000}
	s := open(t, dir, o)
	fill(t, s, 0, n)
	closeStore(t, s)
	flip(t, packs(t, dir)[0], 24+100, 3)
	flip(t, packs(t, dir)[2], 24+20, 3)
	if err := os.Remove(packs(t, dir)[4]); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	live := stats(t, s).LiveBytes
	var calls, last int64
	report, err := s.Check(t.Context(), func(done, total int64) {
		if calls++; done <= last || total != live {
			t.Errorf("progress %d of %d after %d; %d bytes are live", done, total, last, live)
		}
		last = done
	})
	if err != nil || report.Contents != n || report.Bytes != live || last != live {
		t.Errorf("%+v, %v; last progress %d of %d", report, err, last, live)
	}
	damaged := damagedOf(t, s)
	if len(damaged) < 3 {
		t.Errorf("damaged: %v", damaged)
	}
	less := func(a, b store.Key) int { return slices.Compare(a.ID[:], b.ID[:]) }
	slices.SortFunc(report.Damaged, less)
	slices.SortFunc(damaged, less)
	if !slices.Equal(report.Damaged, damaged) {
		t.Errorf("reported %v, listed %v", report.Damaged, damaged)
	}
	again, err := s.Check(t.Context(), nil)
	if err != nil || len(again.Damaged) != 0 || again.Contents != n-int64(len(damaged)) {
		t.Errorf("again: %+v, %v", again, err)
	}
	fill(t, s, 0, n)
	wantStates(t, s, "right", 0, n)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Check(ctx, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The index, thrown away and made again from the packs alone, is the same.
func TestRebuildIndex(t *testing.T) {
	dir := t.TempDir()
	o := disk.Options{MaxPack: 15_000}
	s := open(t, dir, o)
	for i := 0; i < 90; i += 30 {
		fill(t, s, i, i+30)
	}
	closeStore(t, s)
	flip(t, packs(t, dir)[1], 24+100, 1)
	s = open(t, dir, o)
	if _, err := s.Check(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 0, 90) // stores the damaged one again
	keys, before := keysOf(t, s), stats(t, s)
	closeStore(t, s)

	if err := disk.RebuildIndex(t.Context(), dir, quiet(o)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	if got := keysOf(t, s); got != keys {
		t.Errorf("keys were\n%snow\n%s", keys, got)
	}
	after := stats(t, s)
	before.DiskFree, after.DiskFree = 0, 0
	if after != before {
		t.Errorf("%+v; was %+v", after, before)
	}
	wantStates(t, s, "right", 0, 90)
}

// An index that Pebble cannot open is made again when the store is opened; one
// that turns out damaged later, at the next opening.
func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	const n = 600
	whole := t.TempDir()
	storeOf(t, whole, tiny, tiny+n)
	closeStore(t, open(t, whole, disk.Options{})) // makes a table of the log
	met := map[string]int{}
	names, err := os.ReadDir(filepath.Join(whole, "index"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		kind := filepath.Ext(name.Name())
		if strings.HasPrefix(name.Name(), "MANIFEST") {
			kind = "MANIFEST"
		}
		if kind != "MANIFEST" && kind != ".sst" {
			continue
		}
		met[kind]++
		for _, from := range []float64{0, 0.4} {
			dir := copyDir(t, whole)
			spoil(t, filepath.Join(dir, "index", name.Name()), from)
			s := open(t, dir, disk.Options{})
			if kind == ".sst" && from > 0 { // what opening reads is right
				late := 0
				for i := tiny; i < tiny+n; i++ {
					k, _ := chunk(i)
					_, err := s.Frame(t.Context(), k, nil)
					if errors.Is(err, store.ErrNotFound) {
						t.Fatal("a damaged index says that content is not there; it cannot know")
					} else if err != nil {
						late++
					}
				}
				if late == 0 {
					t.Error("no damage was met")
				}
				closeStore(t, s)
				s = open(t, dir, disk.Options{})
			}
			wantStates(t, s, "right", tiny, tiny+n)
			fill(t, s, 0, 2)
			closeStore(t, s)
			wantStates(t, open(t, dir, disk.Options{}), "right", 0, 2)
		}
	}
	if met["MANIFEST"] == 0 || met[".sst"] == 0 {
		t.Errorf("damaged %v: the test tests little", met)
	}
}

// spoil changes bytes all over a file from some part of it on, but for its end,
// where tables have their magic number.
func spoil(t *testing.T, path string, from float64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := int(from * float64(len(b))); i < len(b)*3/4; i += 50 {
		b[i] ^= 0x55
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
