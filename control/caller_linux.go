package control

import "golang.org/x/sys/unix"

// credentials are those of the process at the other end when it connected.
func credentials(fd int) caller {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return caller{}
	}
	return caller{uid: int(cred.Uid), gid: int(cred.Gid), known: true}
}
