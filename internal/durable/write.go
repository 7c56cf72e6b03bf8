package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile makes path hold data, all of it or none of it: at every moment,
// and after every crash, the file is either as it was before or as data says.
// Once WriteFile has returned nil it stays so through a loss of power.
//
// After an error the file may hold the old or the new content, whole: a rename
// may report failure and have happened.
//
// The system calls, in order: unlink(path.tmp); open(path.tmp, O_CREAT|O_EXCL);
// write; fsync; close; rename(path.tmp, path); fsync of the directory. What a
// crash left of path.tmp is removed by the next call. The file never has more
// permissions than perm, not even while it is written, so secrets may be
// written this way. Calls for one path must not overlap.
func WriteFile(fsys FS, path string, data []byte, perm fs.FileMode) error {
	return replace(fsys, path, path+".tmp", data, perm, func(File) error { return nil })
}

// Owned is a [File] that can be given to another user. Those of [OS] can.
type Owned interface {
	File
	Chown(uid, gid int) error
	Chmod(mode fs.FileMode) error
}

// WriteOwned is [WriteFile] for a file of uid and gid with the permissions
// perm whatever the umask, all of which it has before it gets its name: nobody
// ever sees path with new data and an owner or permissions that are not its
// own. It is called tmp while it is written, in the same directory. The files
// of fsys have to be [Owned].
func WriteOwned(fsys FS, path, tmp string, data []byte, perm fs.FileMode, uid, gid int) error {
	return replace(fsys, path, tmp, data, perm&^0o077, func(f File) error {
		o, ok := f.(Owned)
		if !ok {
			return fmt.Errorf("give %s an owner: %w", tmp, errors.ErrUnsupported)
		}
		return errors.Join(o.Chown(uid, gid), o.Chmod(perm))
	})
}

// replace puts a file in the place of path that has data and on which settle
// was called. Until then it is called tmp.
func replace(fsys FS, path, tmp string, data []byte, perm fs.FileMode, settle func(File) error) error {
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := writeNew(fsys, tmp, data, perm, settle); err != nil {
		// The error that is reported is the first; a leftover is harmless.
		_ = fsys.Remove(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := fsys.Rename(tmp, path); err != nil {
		_ = fsys.Remove(tmp)
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writeNew creates name with data, settles it and syncs it.
func writeNew(fsys FS, name string, data []byte, perm fs.FileMode, settle func(File) error) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return err
	}
	if err := settle(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// MkdirAll creates path and the directories above it that are missing, with
// perm, and syncs the directory above each one made.
func MkdirAll(fsys FS, path string, perm fs.FileMode) error {
	var missing []string
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		fi, err := os.Stat(p)
		if err == nil {
			if !fi.IsDir() {
				return fmt.Errorf("create directory %s: %s is not a directory", path, p)
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || p == filepath.Dir(p) {
			return fmt.Errorf("create directory %s: %w", path, err)
		}
		missing = append(missing, p)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], perm); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("create directory %s: %w", path, err)
		}
		if err := fsys.SyncDir(filepath.Dir(missing[i])); err != nil {
			return fmt.Errorf("create directory %s: %w", path, err)
		}
	}
	return nil
}
