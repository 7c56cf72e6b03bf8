package durable

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File is an open file that is read and written at positions.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync returns once everything written so far would survive a loss of
	// power. After an error nothing is known about what was written since the
	// last Sync that succeeded, and a later Sync that succeeds says nothing
	// about it either: the kernel reports a failed write-back once.
	Sync() error
	// Truncate makes the file exactly size bytes long.
	Truncate(size int64) error
	// Size is the file's length in bytes.
	Size() (int64, error)
}

// FS is the operations on names that durability depends on.
type FS interface {
	// OpenFile opens name as os.OpenFile does.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename replaces newname by oldname at once.
	Rename(oldname, newname string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir returns once the names in dir would survive a loss of power.
	SyncDir(dir string) error
}

// OS is the operating system's file system. Its zero value is ready to use.
type OS struct{}

var _ FS = OS{}

// OpenFile implements [FS].
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

var _ Owned = osFile{}

// Rename implements [FS].
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// Remove implements [FS].
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir implements [FS].
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		d.Close()
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return d.Close()
}

// osFile adds Size to *os.File.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}
