package disk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
)

// records is the offsets at which the records of a pack begin, and its end. It
// knows the format by itself: a mark of 8 bytes, the stored length at 48, 60
// bytes of header.
func records(t testing.TB, pack []byte) []int {
	t.Helper()
	offsets := []int{24}
	for off := 24; off < len(pack); {
		if !bytes.Equal(pack[off:off+8], pack[12:20]) {
			t.Fatalf("no record at %d", off)
		}
		n := int(pack[off+48])<<24 | int(pack[off+49])<<16 | int(pack[off+50])<<8 | int(pack[off+51])
		off += 60 + n
		offsets = append(offsets, off)
	}
	return offsets
}

// storeOf makes a store that holds contents from up to, not including, to in
// one pack, closed, and returns the pack's bytes.
func storeOf(t testing.TB, dir string, from, to int) []byte {
	t.Helper()
	s := open(t, dir, disk.Options{})
	fill(t, s, from, to)
	closeStore(t, s)
	pack, err := os.ReadFile(packs(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	return pack
}

// A pack that ends anywhere in its last three records: the whole records before
// the cut are there, the others are not, and can be put again.
func TestTornTail(t *testing.T) {
	t.Parallel()
	const n = 5
	whole := t.TempDir()
	pack := storeOf(t, whole, tiny, tiny+n)
	offsets := records(t, pack)
	if len(offsets) != n+1 || offsets[n] != len(pack) {
		t.Fatalf("records at %v in %d bytes", offsets, len(pack))
	}
	for cut := offsets[n-3]; cut < len(pack); cut++ {
		left := 0
		for left < n && offsets[left+1] <= cut {
			left++
		}
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "packs"), 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "packs", filepath.Base(packs(t, whole)[0]))
		if err := os.WriteFile(path, pack[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := disk.Open(t.Context(), dir, quiet(disk.Options{}))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		wantStates(t, s, "right", tiny, tiny+left)
		wantStates(t, s, "absent", tiny+left, tiny+n)
		if fi, err := os.Stat(path); err != nil || fi.Size() != int64(offsets[left]) {
			t.Errorf("cut at %d: %d bytes left, %v; want %d", cut, fi.Size(), err, offsets[left])
		}
		if st := stats(t, s); st.Bytes != int64(offsets[left]) || st.Chunks != int64(left) {
			t.Errorf("cut at %d: %+v", cut, st)
		}
		fill(t, s, tiny+left, tiny+n)
		wantStates(t, s, "right", tiny, tiny+n)
		if len(packs(t, dir)) != 1 {
			t.Errorf("cut at %d: the pack is not used any more", cut)
		}
		closeStore(t, s)
		if t.Failed() {
			t.Fatalf("cut at %d", cut)
		}
	}
}

// The same under an index that knows more than there is: the disk lost what it
// had confirmed.
func TestTornTailBelowIndex(t *testing.T) {
	const n = 5
	whole := t.TempDir()
	pack := storeOf(t, whole, 0, n)
	offsets := records(t, pack)
	for _, cut := range []int{0, 10, 24, offsets[1], offsets[1] + 30, offsets[n-1] + 60, len(pack) - 1} {
		left := 0
		for left < n && offsets[left+1] <= cut {
			left++
		}
		dir := copyDir(t, whole)
		if err := os.Truncate(packs(t, dir)[0], int64(cut)); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, disk.Options{})
		wantStates(t, s, "right", 0, left)
		wantStates(t, s, "corrupt", left, n)
		wantStates(t, s, "absent", left, n)
		if got := damagedOf(t, s); len(got) != n-left {
			t.Errorf("cut at %d: damaged %v", cut, got)
		}
		fill(t, s, left, n)
		wantStates(t, s, "right", 0, n)
		if got := damagedOf(t, s); len(got) != 0 {
			t.Errorf("cut at %d: still damaged: %v", cut, got)
		}
		if len(packs(t, dir)) != 2 {
			t.Errorf("cut at %d: the pack that is cut short is written to", cut)
		}
		closeStore(t, s)
		s = open(t, dir, disk.Options{})
		wantStates(t, s, "right", 0, n)
		closeStore(t, s)
		if t.Failed() {
			t.Fatalf("cut at %d", cut)
		}
	}
}

// A loss of power may leave holes: blocks of zeros where the disk had not yet
// written, with whole records behind them.
func TestHoles(t *testing.T) {
	const n = 6
	whole := t.TempDir()
	pack := storeOf(t, whole, 0, n)
	offsets := records(t, pack)
	for name, hole := range map[string]struct{ from, to, lost, alsoLost int }{
		"a record's data":         {offsets[2] + 60, offsets[3], 2, 2},
		"a record's header":       {offsets[2], offsets[2] + 60, 2, 2},
		"a whole record":          {offsets[2], offsets[3], 2, 2},
		"across two records":      {offsets[2] + 100, offsets[3] + 1, 2, 3},
		"one byte of a header":    {offsets[3], offsets[3] + 1, 3, 3},
		"header and first record": {0, offsets[1], 0, 0},
		"the last record's end":   {offsets[n] - 3, offsets[n], n - 1, n - 1},
	} {
		dir := copyDir(t, whole)
		bad := bytes.Clone(pack)
		clear(bad[hole.from:hole.to])
		if err := os.WriteFile(packs(t, dir)[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, disk.Options{})
		wantStates(t, s, "right", 0, hole.lost)
		wantStates(t, s, "absent", hole.lost, hole.alsoLost+1)
		wantStates(t, s, "right", hole.alsoLost+1, n)
		fill(t, s, 0, n+2)
		wantStates(t, s, "right", 0, n+2)
		closeStore(t, s)
		s = open(t, dir, disk.Options{})
		wantStates(t, s, "right", 0, n+2)
		closeStore(t, s)
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// Content that looks like a record must not be taken for one when the header
// before it is damaged, nor make the scan pass over what follows.
func TestRecordsInsideContent(t *testing.T) {
	inner := storeOf(t, t.TempDir(), 0, 1)[24:] // a well-made record, of another pack
	k, raw := asChunk(append(bytes.Repeat([]byte{0xff}, 100), inner...))
	dir := t.TempDir()
	s := open(t, dir, disk.Options{})
	b := begin(t, s)
	if err := b.Put(t.Context(), k, store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1, 3)
	closeStore(t, s)
	path := packs(t, dir)[0]
	pack, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pack[24+20] ^= 1 // in the first record's id
	if err := os.WriteFile(path, pack, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, disk.Options{})
	wantStates(t, s, "absent", 0, 1)
	wantStates(t, s, "right", 1, 3)
	if ok, err := s.Has(t.Context(), k); ok || err != nil {
		t.Errorf("the damaged content: %v, %v", ok, err)
	}
}
