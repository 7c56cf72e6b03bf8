//go:build unix

package durable

import (
	"errors"
	"fmt"
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
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f: f}, nil
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
