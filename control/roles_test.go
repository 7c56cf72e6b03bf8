package control

import (
	"os/user"
	"strconv"
	"strings"
	"testing"
)

// account is a user of this machine who is neither root nor in many groups.
func account(t *testing.T) (caller, *user.User, *user.Group) {
	t.Helper()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("this machine has no user nobody")
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		t.Skipf("the group of nobody has no name: %v", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return caller{uid: uid, gid: gid, known: true}, u, g
}

func TestRoles(t *testing.T) {
	nobody, u, g := account(t)
	root := caller{known: true}
	stranger := caller{uid: 64999, gid: 64999, known: true}
	owner := 64111
	for _, test := range []struct {
		name  string
		roles Roles
		who   caller
		want  Role
	}{
		{"root", Roles{Owner: owner}, root, Admin},
		{"root, although the lists name others", Roles{Owner: owner, Admins: []string{u.Username}}, root, Admin},
		{"the owner", Roles{Owner: owner}, caller{uid: owner, known: true}, Admin},
		{"somebody", Roles{Owner: owner}, nobody, Anyone},
		{"named as admin", Roles{Owner: owner, Admins: []string{"root", u.Username}}, nobody, Admin},
		{"named as publisher", Roles{Owner: owner, Publishers: []string{u.Username}}, nobody, Publisher},
		{"named as both", Roles{Owner: owner, Admins: []string{u.Username}, Publishers: []string{u.Username}}, nobody, Admin},
		{"in a group of publishers", Roles{Owner: owner, Publishers: []string{"root", "@" + g.Name}}, nobody, Publisher},
		{"a group's name without the @", Roles{Owner: owner, Publishers: []string{"no" + g.Name}}, nobody, Anyone},
		{"a group that is not there", Roles{Owner: owner, Publishers: []string{"@no-such-group-here"}}, nobody, Anyone},
		{"a user without a name", Roles{Owner: owner, Admins: []string{"64999"}, Publishers: []string{"@root"}}, stranger, Anyone},
		{"a user without a name, in a group by the connection", Roles{Owner: owner, Publishers: []string{"@" + g.Name}}, caller{uid: 64999, gid: nobody.gid, known: true}, Publisher},
		{"nobody known, though the zero value looks like root", Roles{Owner: owner}, caller{}, Anyone},
		{"an unknown caller where the owner is root", Roles{Owner: 0}, caller{}, Anyone},
	} {
		if got := test.roles.of(test.who); got != test.want {
			t.Errorf("%s: %d, not %d", test.name, got, test.want)
		}
	}
}

func TestMayNot(t *testing.T) {
	nobody, u, _ := account(t)
	r := Roles{Admins: []string{"root"}, Publishers: []string{"root", "@flurry"}}
	p := r.mayNot(Publisher, "publish on this machine", nobody)
	if p.Message != "only root and @flurry may publish on this machine; you are "+u.Username || p.ID != "may-not" || p.Exit != 3 {
		t.Errorf("%+v", p)
	}
	if len(p.Try) != 2 || !strings.HasPrefix(p.Try[1], "sudo usermod -aG flurry "+u.Username) {
		t.Errorf("%q", p.Try)
	}
	if p := r.mayNot(Admin, "x", nobody); len(p.Try) != 1 || !strings.HasPrefix(p.Message, "only root may x;") {
		t.Errorf("%+v", p)
	}
	if p := (Roles{Admins: []string{"ann"}}).mayNot(Admin, "x", caller{}); p.Message != "only root and ann may x; you are unknown" {
		t.Errorf("%+v", p)
	}
	if p := r.mayNot(Admin, "x", caller{uid: 64999, known: true}); !strings.HasSuffix(p.Message, "you are 64999") {
		t.Errorf("%+v", p)
	}
}
