//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// ErrLocked means that another process, or another part of this one, holds the
// lock.
var ErrLocked = errors.New("locked by another process")

// Lock is a held lock on a file. It ends with Unlock, and with the process
// however that ends: nothing stale is left behind.
type Lock struct{ f *os.File }

// TryLock locks the file at path, which is created when it is missing, or
// returns an error that wraps [ErrLocked] at once. The file is never removed:
// removing a lock file lets two processes each hold a different one.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := tryFlock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f: f}, nil
}

// TryLockDir locks a directory that may be removed, without a file in it. Where
// the directory is gone, or another one is in its place by the time it is
// locked, the error wraps [fs.ErrNotExist]: the lock would keep nobody out.
func TryLockDir(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	err = tryFlock(f)
	if err == nil {
		err = isAt(f, path)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f: f}, nil
}

// isAt says whether path is still what f was opened as.
func isAt(f *os.File, path string) error {
	opened, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err == nil && !os.SameFile(opened, there) {
		return fs.ErrNotExist
	}
	return err
}

// tryFlock locks an open file unless somebody else has.
func tryFlock(f *os.File) error {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrLocked
	}
	return err
}

// Unlock gives the lock up. It says so to the system before it closes the file:
// a process that this one is just starting may have a copy of the descriptor,
// and the lock would live until that is closed.
func (l *Lock) Unlock() error {
	return errors.Join(flock(l.f, syscall.LOCK_UN), l.f.Close())
}

// flock is flock(2), begun again when a signal interrupts it.
func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}
