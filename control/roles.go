package control

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/flurry-nix/flurry/report"
)

// Role is what somebody may do over the socket. Each includes the ones before.
type Role int

// The roles.
const (
	Anyone    Role = iota // look
	Publisher             // publish
	Admin                 // change what this machine's Nix trusts, make namespaces
)

// Roles says who has which role. Names are users, or groups with an @ before them. Root is always an admin.
type Roles struct {
	Owner      int // the user who owns the state directory: an admin, who could change it all anyway
	Admins     []string
	Publishers []string
}

// of returns the role of who. Somebody of whom the kernel says nothing may look.
func (r Roles) of(who caller) Role {
	switch {
	case !who.known:
		return Anyone
	case who.uid == 0 || who.uid == r.Owner || Named(r.Admins, who.uid, who.gid):
		return Admin
	case Named(r.Publishers, who.uid, who.gid):
		return Publisher
	}
	return Anyone
}

// Named reports whether a user is one of names, or in one of the groups among them, which begin with @. gid is a group that it is
// known to be in.
func Named(names []string, uid, gid int) bool {
	if len(names) == 0 {
		return false
	}
	var groups []string
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		if slices.Contains(names, u.Username) {
			return true
		}
		groups, _ = u.GroupIds() // without them, the connection's own group is left
	}
	groups = append(groups, strconv.Itoa(gid))
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

// mayNot is the answer to somebody whose role does not suffice. act says what for: "publish on this machine".
func (r Roles) mayNot(need Role, act string, who caller) *report.Problem {
	allowed := r.Admins
	if need == Publisher {
		allowed = r.Publishers
	}
	if !slices.Contains(allowed, "root") {
		allowed = append([]string{"root"}, allowed...)
	}
	p := &report.Problem{ID: "may-not", Exit: report.ExitNoDaemon, Try: []string{"sudo flurry …"},
		Message: fmt.Sprintf("only %s may %s; you are %s", strings.Join(allowed, " and "), act, who.name())}
	for _, name := range allowed {
		if group, ok := strings.CutPrefix(name, "@"); ok {
			p.Try = append(p.Try, fmt.Sprintf("sudo usermod -aG %s %s        and log in again", group, who.name()))
			break
		}
	}
	return p
}
