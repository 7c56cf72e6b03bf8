package control

import (
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/flurry-nix/flurry/report"
)

// Role is what somebody may do over the socket. Each includes the ones before.
type Role int

const (
	Anyone    Role = iota // look
	Publisher             // publish
	Admin                 // change what this machine's Nix trusts, make namespaces
)

// Roles says who has which role. Names are users, or groups with an @ before them. Root is always an admin.
type Roles struct {
	Owner      int // the user who owns the state directory: an admin
	Admins     []string
	Publishers []string
}

// caller is who is at the other end of a connection, as the kernel says.
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
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			who = caller{uid: int(cred.Uid), gid: int(cred.Gid), known: true}
		}
	})
	if err != nil {
		return caller{}
	}
	return who
}

// of returns the role of who.
func (r Roles) of(who caller) Role {
	switch {
	case !who.known:
		return Anyone
	case who.uid == 0 || who.uid == r.Owner || r.named(r.Admins, who):
		return Admin
	case r.named(r.Publishers, who):
		return Publisher
	}
	return Anyone
}

// named reports whether who is one of names, or in one of the groups among them.
func (r Roles) named(names []string, who caller) bool {
	if len(names) == 0 {
		return false
	}
	var groups []string
	u, err := user.LookupId(strconv.Itoa(who.uid))
	if err == nil {
		if slices.Contains(names, u.Username) {
			return true
		}
		groups, _ = u.GroupIds() // without them, the connection's own group is left
	}
	groups = append(groups, strconv.Itoa(who.gid))
	for _, name := range names {
		group, ok := strings.CutPrefix(name, "@")
		if !ok {
			continue
		}
		if g, err := user.LookupGroup(group); err == nil && slices.Contains(groups, g.Gid) {
			return true
		}
	}
	return false
}

// mayNot is the answer to somebody whose role does not suffice.
func (r Roles) mayNot(need Role, who caller) *report.Problem {
	allowed := r.Admins
	act := "change what is trusted on this machine"
	if need == Publisher {
		allowed, act = r.Publishers, "publish on this machine"
	}
	name := strconv.Itoa(who.uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if len(allowed) == 0 {
		allowed = []string{"root"}
	}
	return &report.Problem{ID: "may-not", Exit: report.ExitNoDaemon, Message: fmt.Sprintf("only %s may %s; you are %s", strings.Join(allowed, " and "), act, name),
		Try: []string{"sudo flurry …"}}
}
