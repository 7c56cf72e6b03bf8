package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/internal/durable/durabletest"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := durable.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := durable.TryLock(path); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second lock: %v, %v", l, err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := durable.TryLock(path)
	if err != nil {
		t.Fatalf("after Unlock: %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.TryLock(filepath.Join(path, "below")); err == nil || errors.Is(err, durable.ErrLocked) {
		t.Errorf("a lock that cannot be: %v", err)
	}
}

// A copy of the descriptor, as a process that is being started has, does not
// keep the lock.
func TestUnlockDespiteCopies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := durable.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	copies := descriptors(t, path)
	if len(copies) != 1 {
		t.Skipf("%d descriptors of the lock file found", len(copies))
	}
	dup, err := syscall.Dup(copies[0])
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(dup)
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := durable.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// descriptors is this process's descriptors of the file at path, as far as
// /dev/fd tells.
func descriptors(t *testing.T, path string) (fds []int) {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join("/dev/fd", e.Name()))
		if fd, aerr := strconv.Atoi(e.Name()); err == nil && aerr == nil && target == path {
			fds = append(fds, fd)
		}
	}
	return fds
}

func TestSpaceAt(t *testing.T) {
	s, err := durable.SpaceAt(t.TempDir())
	if err != nil || s.Free < 0 || s.Total < s.Free || s.Total == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := durable.SpaceAt(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("space of what is not there")
	}
}

func TestIsFull(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EIO: false,
		&os.PathError{Op: "write", Err: syscall.ENOSPC}: true,
		fmt.Errorf("x: %w", syscall.ENOSPC):             true,
	} {
		if durable.IsFull(err) != want {
			t.Errorf("IsFull(%v) = %v", err, !want)
		}
	}
}

func TestBallast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ballast")
	const size = 3<<20 + 17
	b := durable.NewBallast(durable.OS{}, path, size)
	if b.Held() {
		t.Error("held before Hold")
	}
	for range 2 {
		if err := b.Hold(); err != nil || !b.Held() {
			t.Fatalf("Hold: %v", err)
		}
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil || st.Size != size || st.Blocks*512 < size {
		t.Errorf("%d bytes in %d blocks, %v: the room is not really taken", st.Size, st.Blocks, err)
	}
	if !durable.NewBallast(durable.OS{}, path, size).Held() {
		t.Error("what an earlier process left is not counted")
	}
	if durable.NewBallast(durable.OS{}, path, size+1).Held() {
		t.Error("a file of another size is taken for the ballast")
	}
	for range 2 {
		if err := b.Release(); err != nil || b.Held() {
			t.Fatalf("Release: %v", err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// A ballast that could not be filled must not stay half filled: it would take
// the room and not give it back.
func TestBallastFaults(t *testing.T) {
	for _, effect := range []durabletest.Effect{durabletest.Undone, durabletest.Half, durabletest.Done} {
		for n := 0; ; n++ {
			path := filepath.Join(t.TempDir(), "ballast")
			d := durabletest.New()
			met := false
			d.Fail(failNth(n, effect, &met))
			b := durable.NewBallast(d, path, 2<<20)
			err := b.Hold()
			d.Fail(nil)
			if !met {
				if n < 4 {
					t.Errorf("only %d operations", n)
				}
				break
			}
			if err == nil {
				t.Errorf("operation %d, effect %d: no error", n, effect)
			}
			if _, err := os.Stat(path); b.Held() || err == nil {
				t.Errorf("operation %d, effect %d: held %v, file %v", n, effect, b.Held(), err)
			}
			if err := b.Hold(); err != nil || !b.Held() {
				t.Errorf("operation %d, effect %d: the next Hold: %v", n, effect, err)
			}
		}
	}
}

// A directory is locked as a file is, and one that was taken away while it was
// being locked keeps nobody out.
func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	if _, err := durable.TryLockDir(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := durable.TryLockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := durable.TryLockDir(dir); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second lock: %v, %v", l, err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := durable.TryLockDir(dir)
	if err != nil {
		t.Fatalf("after Unlock: %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+".file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := durable.TryLockDir(dir + ".file"); err == nil {
		t.Errorf("a file is no directory: %v", l)
	}
}

// A lock on a directory that its holder takes away keeps others out all the
// same: who opened it before it went has a lock of nothing, and is told so.
func TestLockDirTakenAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	var all sync.WaitGroup
	var holders, held atomic.Int32
	for range 4 {
		all.Go(func() {
			for range 1000 {
				if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
					t.Error(err)
				}
				l, err := durable.TryLockDir(dir)
				if errors.Is(err, durable.ErrLocked) || errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				held.Add(1)
				if holders.Add(1) != 1 {
					t.Error("two hold the lock")
				}
				holders.Add(-1)
				if err := os.Remove(dir); err != nil { // and then the next may come
					t.Errorf("the directory of who holds the lock: %v", err)
				}
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if held.Load() == 0 {
		t.Error("nobody held the lock")
	}
}
