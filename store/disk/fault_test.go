package disk_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable/durabletest"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/disk"
)

var errInjected = errors.New("injected")

// faultOptions fills a pack every few records, so that packs are begun, filled
// and left often.
func faultOptions(d *durabletest.FS) disk.Options { return disk.Options{FS: d, MaxPack: 9000} }

// scenario puts 24 contents in six batches, commits after every second and
// returns those that were acknowledged. Errors are what it is made for.
func scenario(t *testing.T, s store.Store) (acknowledged []int) {
	c := store.NewCodec()
	for i := 0; i < 24; i += 4 {
		b, err := s.Begin(t.Context())
		if err != nil {
			continue
		}
		var mine []int
		for n := i; n < i+4; n++ {
			k, raw := chunk(n)
			if err := store.Receive(t.Context(), b, c, k, raw); err == nil {
				mine = append(mine, n)
			}
			if n%2 == 1 && b.Commit(t.Context()) == nil {
				acknowledged = append(acknowledged, mine...)
				mine = nil
			}
		}
		b.Close()
	}
	return acknowledged
}

// survey opens the store again, expects that what was acknowledged is there and
// that nothing is wrong, and that all can be put.
func survey(t *testing.T, dir string, acknowledged []int) {
	t.Helper()
	s := open(t, dir, disk.Options{MaxPack: 9000})
	defer closeStore(t, s)
	for _, i := range acknowledged {
		wantStates(t, s, "right", i, i+1)
	}
	c := store.NewCodec()
	for i := range 24 {
		if got := state(t, s, c, i); got != "right" && got != "absent" {
			t.Errorf("content %d is %s", i, got)
		}
	}
	fill(t, s, 0, 24)
	wantStates(t, s, "right", 0, 24)
	if report, err := s.Check(t.Context(), nil); err != nil || len(report.Damaged) != 0 || report.Contents < 24 {
		t.Errorf("check: %+v, %v", report, err)
	}
}

// Each operation on the packs fails once, in each way, "failed, and yet done"
// among them; then the process ends, or the power does.
func TestFaults(t *testing.T) {
	t.Parallel()
	ops := []durabletest.Op{
		durabletest.OpOpen, durabletest.OpWrite, durabletest.OpSync, durabletest.OpSyncDir, durabletest.OpTruncate, durabletest.OpRename, durabletest.OpRemove,
	}
	met := map[durabletest.Op]int{}
	for _, effect := range []durabletest.Effect{durabletest.Undone, durabletest.Half, durabletest.Done} {
		for _, op := range ops {
			if effect == durabletest.Half && op != durabletest.OpWrite {
				continue // the same as Undone
			}
			for nth := 0; ; nth++ {
				if !oneFault(t, op, nth, effect) {
					break
				}
				met[op]++
				if t.Failed() {
					t.Fatalf("%s number %d, effect %d", op, nth, effect)
				}
			}
		}
	}
	for _, op := range ops[:4] {
		if met[op] < 6 {
			t.Errorf("%s failed %d times: the test tests little", op, met[op])
		}
	}
}

// oneFault tells whether there was an nth operation to fail.
func oneFault(t *testing.T, op durabletest.Op, nth int, effect durabletest.Effect) (met bool) {
	dir, d := t.TempDir(), durabletest.New()
	var mu sync.Mutex
	d.Fail(func(o durabletest.Op, path string) (durabletest.Effect, error) {
		mu.Lock()
		defer mu.Unlock()
		if o == op {
			if nth--; nth == -1 {
				met = true
				return effect, errInjected
			}
		}
		return durabletest.Done, nil
	})
	var acknowledged []int
	if s, err := disk.Open(t.Context(), dir, quiet(faultOptions(d))); err == nil {
		acknowledged = scenario(t, s)
		if len(acknowledged) < 12 {
			t.Errorf("one fault, and only %d of 24 got through", len(acknowledged))
		}
		c := store.NewCodec()
		for _, i := range acknowledged {
			if got := state(t, s, c, i); got != "right" && !strings.Contains(got, errInjected.Error()) {
				t.Errorf("content %d was acknowledged and is %s", i, got)
			}
		}
		_ = s.Close() // may be what fails
	} else if !errors.Is(err, errInjected) {
		t.Errorf("open: %v", err)
	}
	d.Fail(nil)
	if nth%2 == 0 {
		cut(t, d, uint64(nth))
	}
	survey(t, dir, acknowledged)
	return met
}

func cut(t *testing.T, d *durabletest.FS, seed uint64) {
	t.Helper()
	if err := d.PowerCut(rand.New(rand.NewPCG(seed, 7))); err != nil {
		t.Fatal(err)
	}
}

// A disk on which, from some moment on, every write fails, half done: a failed
// write is followed by a failed truncate.
func TestDeadDisk(t *testing.T) {
	t.Parallel()
	for after := range 40 {
		dir, d := t.TempDir(), durabletest.New()
		left := after
		var mu sync.Mutex
		s, err := disk.Open(t.Context(), dir, quiet(faultOptions(d)))
		if err != nil {
			t.Fatal(err)
		}
		dying := func(durabletest.Op, string) (durabletest.Effect, error) {
			mu.Lock()
			defer mu.Unlock()
			if left--; left < 0 {
				return durabletest.Half, errInjected
			}
			return durabletest.Done, nil
		}
		d.Fail(dying)
		acknowledged := scenario(t, s)
		d.Fail(nil)
		for _, i := range acknowledged {
			wantStates(t, s, "right", i, i+1)
		}
		d.Fail(dying)
		_ = s.Close()
		d.Fail(nil)
		cut(t, d, uint64(after))
		survey(t, dir, acknowledged)
		if t.Failed() {
			t.Fatalf("after %d operations", after)
		}
	}
}

// The power is cut while all is well: what was not fsynced goes, in part or as a
// whole, and what was acknowledged stays. With the index as it was (some of it
// may have reached the disk), and without.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		dir, d := t.TempDir(), durabletest.New()
		s, err := disk.Open(t.Context(), dir, quiet(faultOptions(d)))
		if err != nil {
			t.Fatal(err)
		}
		acknowledged := scenario(t, s)
		if len(acknowledged) != 24 {
			t.Fatalf("acknowledged %v", acknowledged)
		}
		b := begin(t, s) // and some that are not
		for i := 24; i < 30; i++ {
			k, raw := chunk(i)
			if err := store.Receive(t.Context(), b, store.NewCodec(), k, raw); err != nil {
				t.Fatal(err)
			}
		}
		// Closing would commit; a disk that fails from here on keeps it from that.
		d.Fail(func(durabletest.Op, string) (durabletest.Effect, error) { return durabletest.Undone, errInjected })
		_ = s.Close()
		d.Fail(nil)
		cut(t, d, seed)
		if seed%2 == 0 {
			removeAll(t, filepath.Join(dir, "index"))
		}
		survey(t, dir, acknowledged)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// What a crash of the process left unsynced is fsynced before the index vouches
// for it: the next put of it would be told that it is there.
func TestRecoverySyncs(t *testing.T) {
	dir, d := t.TempDir(), durabletest.New()
	o := disk.Options{FS: d}
	s, err := disk.Open(t.Context(), dir, quiet(o))
	if err != nil {
		t.Fatal(err)
	}
	k, raw := chunk(0)
	if err := store.Receive(t.Context(), begin(t, s), store.NewCodec(), k, raw); err != nil {
		t.Fatal(err)
	}
	d.Fail(func(op durabletest.Op, _ string) (durabletest.Effect, error) {
		if op == durabletest.OpSync {
			return durabletest.Undone, errInjected
		}
		return durabletest.Done, nil
	})
	_ = s.Close()
	d.Fail(nil)

	s = open(t, dir, o)
	b := begin(t, s)
	if ok, err := b.Has(t.Context(), k); !ok || err != nil {
		t.Fatalf("%v, %v: the crash of a process loses nothing that was written", ok, err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if err := d.PowerCut(nil); err != nil {
		t.Fatal(err)
	}
	wantStates(t, open(t, dir, o), "right", 0, 1)
}

// After a failed fsync nothing may be believed about the bytes before it, a
// later fsync that succeeds included.
func TestFailedSyncIsNotRetried(t *testing.T) {
	dir, d := t.TempDir(), durabletest.New()
	s := open(t, dir, disk.Options{FS: d})
	fill(t, s, 0, 1)
	one, two := begin(t, s), begin(t, s)
	c := store.NewCodec()
	k, raw := chunk(1)
	if err := store.Receive(t.Context(), one, c, k, raw); err != nil {
		t.Fatal(err)
	}
	if ok, err := two.Has(t.Context(), k); !ok || err != nil {
		t.Fatal(ok, err)
	}
	failed := false
	d.Fail(func(op durabletest.Op, _ string) (durabletest.Effect, error) {
		if op == durabletest.OpSync && !failed {
			failed = true
			return durabletest.Undone, errInjected
		}
		return durabletest.Done, nil
	})
	for _, b := range []store.Batch{one, one, two} {
		if err := b.Commit(t.Context()); !errors.Is(err, errInjected) {
			t.Errorf("Commit: %v", err)
		}
	}
	wantStates(t, s, "absent", 1, 2)
	wantStates(t, s, "right", 0, 1)
	fill(t, s, 1, 3) // by another batch, into another pack
	wantStates(t, s, "right", 0, 3)
	if n := len(packs(t, dir)); n != 2 {
		t.Errorf("%d packs", n)
	}
}

// Commits that come while an fsync is under way share the next one.
func TestGroupCommit(t *testing.T) {
	const n = 20
	d := durabletest.New()
	s := open(t, t.TempDir(), disk.Options{FS: d})
	fill(t, s, 0, 1) // makes the pack
	before := d.Count(durabletest.OpSync)
	entered, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.Fail(func(op durabletest.Op, _ string) (durabletest.Effect, error) {
		if op == durabletest.OpSync {
			once.Do(func() {
				close(entered)
				<-proceed
			})
		}
		return durabletest.Done, nil
	})
	var wg sync.WaitGroup
	commit := func(b store.Batch) {
		wg.Go(func() {
			if err := b.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	c, first := store.NewCodec(), begin(t, s)
	put := func(i int) {
		k, raw := chunk(i)
		if err := store.Receive(t.Context(), first, c, k, raw); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	commit(first)
	<-entered
	for i := 2; i < n; i++ {
		put(i)
		b := begin(t, s)
		k, _ := chunk(i)
		if ok, err := b.Has(t.Context(), k); !ok || err != nil {
			t.Fatal(ok, err)
		}
		commit(b)
	}
	wantStates(t, s, "right", 0, n) // while the fsync hangs
	close(proceed)
	wg.Wait()
	if got := d.Count(durabletest.OpSync) - before; got != 2 {
		t.Errorf("%d fsyncs for %d commits; want 2", got, n-1)
	}
}

// What a failed write left is cut off at once, so that it takes no room, and
// the pack goes on to be used.
func TestFailedWriteIsCutOff(t *testing.T) {
	for _, effect := range []durabletest.Effect{durabletest.Undone, durabletest.Half, durabletest.Done} {
		dir, d := t.TempDir(), durabletest.New()
		s := open(t, dir, disk.Options{FS: d})
		fill(t, s, 0, 1)
		before := stats(t, s).Bytes
		d.Fail(func(op durabletest.Op, _ string) (durabletest.Effect, error) {
			if op == durabletest.OpWrite {
				return effect, errInjected
			}
			return durabletest.Done, nil
		})
		k, raw := chunk(1)
		b := begin(t, s)
		if err := store.Receive(t.Context(), b, store.NewCodec(), k, raw); !errors.Is(err, errInjected) {
			t.Errorf("effect %d: %v", effect, err)
		}
		d.Fail(nil)
		fi, err := os.Stat(packs(t, dir)[0])
		if err != nil || fi.Size() != before || stats(t, s).Bytes != before {
			t.Errorf("effect %d: %d bytes on disk, %d counted, %v; want %d", effect, fi.Size(), stats(t, s).Bytes, err, before)
		}
		if err := b.Commit(t.Context()); err != nil {
			t.Errorf("effect %d: a batch whose put failed: %v", effect, err)
		}
		wantStates(t, s, "absent", 1, 2)
		if err := b.Close(); err != nil { // which leaves the pack to the next
			t.Fatal(err)
		}
		fill(t, s, 1, 3)
		wantStates(t, s, "right", 0, 3)
		if n := len(packs(t, dir)); n != 1 {
			t.Errorf("effect %d: %d packs", effect, n)
		}
	}
}

// What is put while a commit is under way needs another one.
func TestPutDuringCommit(t *testing.T) {
	d := durabletest.New()
	s := open(t, t.TempDir(), disk.Options{FS: d})
	fill(t, s, 0, 1)
	entered, proceed := make(chan struct{}), make(chan struct{})
	syncs := 0
	d.Fail(func(op durabletest.Op, _ string) (durabletest.Effect, error) {
		if op != durabletest.OpSync {
			return durabletest.Done, nil
		}
		if syncs++; syncs > 1 {
			return durabletest.Undone, errInjected
		}
		close(entered)
		<-proceed
		return durabletest.Done, nil
	})
	b, c := begin(t, s), store.NewCodec()
	put := func(i int) {
		k, raw := chunk(i)
		if err := store.Receive(t.Context(), b, c, k, raw); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	done := make(chan error)
	go func() { done <- b.Commit(t.Context()) }()
	<-entered
	put(2)
	close(proceed)
	if err := <-done; err != nil {
		t.Errorf("the first commit: %v", err)
	}
	if err := b.Commit(t.Context()); !errors.Is(err, errInjected) {
		t.Errorf("the second commit: %v; what was put meanwhile cannot be durable", err)
	}
	wantStates(t, s, "right", 0, 2)
	wantStates(t, s, "absent", 2, 3)
}

func removeAll(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
