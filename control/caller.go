package control

import (
	"net"
	"os/user"
	"strconv"
)

// caller is who is at the other end of a connection, as the kernel says. The zero value is nobody known.
type caller struct {
	uid, gid int
	known    bool
}

// callerOf asks the kernel who made the connection.
func callerOf(c net.Conn) caller {
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return caller{}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return caller{}
	}
	var who caller
	if err := raw.Control(func(fd uintptr) { who = credentials(int(fd)) }); err != nil {
		return caller{}
	}
	return who
}

// name is the user's name, or number where there is no name.
func (c caller) name() string {
	if !c.known {
		return "unknown"
	}
	id := strconv.Itoa(c.uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
