package handover

import (
	"os"

	"golang.org/x/sys/unix"
)

// newMemory makes the file that both processes map.
func newMemory() (*os.File, error) {
	fd, err := unix.MemfdCreate("flurry-handover", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "handover memory")
	if err := f.Truncate(memorySize); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
