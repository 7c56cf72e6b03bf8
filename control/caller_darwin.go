package control

import "golang.org/x/sys/unix"

// credentials are those of the process at the other end when it connected.
func credentials(fd int) caller {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil || cred.Ngroups == 0 {
		return caller{}
	}
	return caller{uid: int(cred.Uid), gid: int(cred.Groups[0]), known: true}
}
