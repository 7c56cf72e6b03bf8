//go:build unix

package durable

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Space is the room on a file system, in bytes.
type Space struct {
	Free  int64 // what this process may still use
	Total int64 // all there is
}

// SpaceAt asks how much room the file system of path has.
func SpaceAt(path string) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return Space{}, fmt.Errorf("free space of %s: %w", path, err)
		}
	}
	size := uint64(st.Bsize)
	return Space{Free: int64(uint64(st.Bavail) * size), Total: int64(uint64(st.Blocks) * size)}, nil
}

// IsFull tells whether err says that there is no room left, on the disk or in
// the user's disk quota.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
