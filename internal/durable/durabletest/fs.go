// Package durabletest is a file system that fails on command and forgets what
// was not synced: for tests of software that writes through package durable.
package durabletest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/flurry-nix/flurry/internal/durable"
)

// Op names an operation that a [Fault] can decide about.
type Op string

// The operations.
const (
	OpOpen     Op = "open"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpRead     Op = "read"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "sync directory"
)

// Effect is how much of an operation is done although it fails.
type Effect int

// The effects.
const (
	Undone Effect = iota // nothing
	Half                 // of a write the first half, of all else nothing
	Done                 // all of it: "failed, and yet done"
)

// Fault decides about one operation: nil lets it happen.
type Fault func(op Op, path string) (Effect, error)

// FS is the system's file system, made unreliable. Use [New]. Nothing is really
// fsynced: PowerCut is where that shows.
type FS struct {
	mu    sync.Mutex
	fault Fault
	undo  []undo // what was done and not synced, oldest first
	ops   map[Op]int
}

var _ durable.FS = (*FS)(nil)

// undo takes one change back. It is void once name is synced.
type undo struct {
	name string // a file for what is in it, a directory for the names in it
	do   func() error
}

// New returns a file system that works.
func New() *FS { return &FS{ops: make(map[Op]int)} }

// Fail makes f decide about every operation from now on; nil ends that.
func (d *FS) Fail(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// Count is how often op was asked for.
func (d *FS) Count(op Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops[op]
}

// PowerCut takes back what was not synced: each change or not, as r decides, as
// a disk that writes in its own order would; with r nil all of it. No file may
// be in use any more.
func (d *FS) PowerCut(r *rand.Rand) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for i := len(d.undo) - 1; i >= 0; i-- {
		if r == nil || r.IntN(2) == 0 {
			errs = append(errs, d.undo[i].do())
		}
	}
	d.undo = nil
	return errors.Join(errs...)
}

// step runs one operation under the fault's decision. It needs mu, and gives it
// up while the fault is asked.
func (d *FS) step(op Op, path string, do func(Effect) error) error {
	d.mu.Lock()
	d.ops[op]++
	fault := d.fault
	d.mu.Unlock()
	effect, failed := Done, error(nil)
	if fault != nil {
		effect, failed = fault(op, path)
	}
	if failed == nil {
		effect = Done
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if effect == Undone || effect == Half && op != OpWrite {
		return failed
	}
	err := do(effect)
	if failed != nil {
		return failed
	}
	return err
}

// synced forgets how to undo what happened to name. It needs mu.
func (d *FS) synced(name string) {
	kept := d.undo[:0]
	for _, u := range d.undo {
		if u.name != name {
			kept = append(kept, u)
		}
	}
	d.undo = kept
}

// OpenFile implements [durable.FS].
func (d *FS) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	var f *os.File
	err := d.step(OpOpen, name, func(Effect) error {
		_, missing := os.Lstat(name)
		var err error
		if f, err = os.OpenFile(name, flag, perm); err == nil && errors.Is(missing, fs.ErrNotExist) {
			d.undo = append(d.undo, undo{filepath.Dir(name), func() error { return ignoreMissing(os.Remove(name)) }})
		}
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return &file{d: d, f: f, name: name}, nil
}

// Rename implements [durable.FS].
func (d *FS) Rename(oldname, newname string) error {
	return d.step(OpRename, oldname, func(Effect) error {
		before, err := os.ReadFile(newname)
		existed := err == nil
		if err := os.Rename(oldname, newname); err != nil {
			return err
		}
		d.undo = append(d.undo, undo{filepath.Dir(newname), func() error {
			if !existed {
				return ignoreMissing(os.Rename(newname, oldname))
			}
			return os.WriteFile(newname, before, 0o600)
		}})
		return nil
	})
}

// Remove implements [durable.FS].
func (d *FS) Remove(name string) error {
	return d.step(OpRemove, name, func(Effect) error {
		before, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
		d.undo = append(d.undo, undo{filepath.Dir(name), func() error { return os.WriteFile(name, before, 0o600) }})
		return nil
	})
}

// SyncDir implements [durable.FS].
func (d *FS) SyncDir(dir string) error {
	return d.step(OpSyncDir, dir, func(Effect) error {
		d.synced(dir)
		return nil
	})
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// file is an open file of an FS.
type file struct {
	d    *FS
	f    *os.File
	name string
}

// ReadAt implements [io.ReaderAt].
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.d.step(OpRead, f.name, func(Effect) error {
		n, err = f.f.ReadAt(p, off)
		return err
	})
	return n, err
}

// WriteAt implements [io.WriterAt].
func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	whole := len(p)
	err = f.d.step(OpWrite, f.name, func(e Effect) error {
		if e == Half {
			p = p[:len(p)/2]
		}
		if err := f.remember(off, int64(len(p))); err != nil {
			return err
		}
		n, err = f.f.WriteAt(p, off)
		return err
	})
	if err != nil && n == whole {
		n = 0 // done, and not told
	}
	return n, err
}

// remember keeps what stands where n bytes are about to be written at off.
func (f *file) remember(off, n int64) error {
	fi, err := f.f.Stat()
	if err != nil {
		return err
	}
	before := make([]byte, max(0, min(n, fi.Size()-off)))
	if _, err := f.f.ReadAt(before, off); err != nil && len(before) > 0 {
		// Files opened for writing alone are new ones here.
		return fmt.Errorf("durabletest: overwriting %s, opened for writing alone: %w", f.name, err)
	}
	name, size := f.name, fi.Size()
	f.d.undo = append(f.d.undo, undo{name, func() error { return restore(name, off, n, before, size) }})
	return nil
}

// restore undoes a write of n bytes at off to a file that had size bytes, with
// before in their place. If something that was written later stays behind it,
// zeros are left in its place.
func restore(name string, off, n int64, before []byte, size int64) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return ignoreMissing(err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() <= off+n {
		if err := f.Truncate(min(size, fi.Size())); err != nil {
			return err
		}
	} else {
		before = append(before, make([]byte, n-int64(len(before)))...)
	}
	_, err = f.WriteAt(before, off)
	return err
}

// Sync implements [durable.File].
func (f *file) Sync() error {
	return f.d.step(OpSync, f.name, func(Effect) error {
		f.d.synced(f.name)
		return nil
	})
}

// Truncate implements [durable.File].
func (f *file) Truncate(size int64) error {
	return f.d.step(OpTruncate, f.name, func(Effect) error {
		fi, err := f.f.Stat()
		if err != nil {
			return err
		}
		tail := make([]byte, max(0, fi.Size()-size))
		if _, err := f.f.ReadAt(tail, size); err != nil && err != io.EOF {
			return err
		}
		name := f.name
		f.d.undo = append(f.d.undo, undo{name, func() error {
			o, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				return ignoreMissing(err)
			}
			defer o.Close()
			if fi, err := o.Stat(); err != nil || fi.Size() != size {
				return err // something else came to stand there
			}
			_, err = o.WriteAt(tail, size)
			return err
		}})
		return f.f.Truncate(size)
	})
}

// Size implements [durable.File].
func (f *file) Size() (int64, error) {
	fi, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// Close implements [io.Closer].
func (f *file) Close() error { return f.f.Close() }
