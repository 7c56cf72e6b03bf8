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

// written is how many bytes were ever written to a TCP connection, from an origin that is the connection's own. It is of use
// only while nobody writes.
func written(fd int) (uint64, bool) {
	for range 10 { // what the client acknowledges meanwhile goes from one number to the other
		before, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, false
		}
		queued, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		if err != nil {
			return 0, false
		}
		after, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, false
		}
		if before.Bytes_acked == after.Bytes_acked {
			return after.Bytes_acked + uint64(queued), true
		}
	}
	return 0, false
}
