package main

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// TestTrustsUser: whom trusted-users means, as Nix reads it.
func TestTrustsUser(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody here")
	}
	group, err := user.LookupGroupId(nobody.Gid)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	for text, want := range map[string]bool{
		"":                                                   false,
		"trusted-users = root\n":                             false,
		"trusted-users = root nobody\n":                      true,
		"trusted-users = *\n":                                true,
		"trusted-users = @" + group.Name:                     true,
		"trusted-users = @root\n":                            false,
		"extra-trusted-users = nobody\n":                     true,
		"trusted-users = nobody # me\n":                      true,
		"trusted-users = root # nobody\n":                    false,
		"allowed-users = nobody\n":                           false,
		"trusted-users = nobodyelse":                         false,
		"trusted-users =\n":                                  false,
		"!include more.conf\n":                               true,
		"extra-trusted-users = nobody\ntrusted-users = root": false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "more.conf"), []byte("trusted-users = nobody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var c nixConf
		c.parse([]byte(text), dir, 0)
		if c.trustsUser(uid, gid) != want {
			t.Errorf("%q: trusted is %v", text, !want)
		}
		if !c.trustsUser(0, 0) {
			t.Errorf("%q: root is not trusted", text)
		}
	}
}

// TestDoctorUntrusted: whose settings Nix does not take is told so, unless root's name the gateway.
func TestDoctorUntrusted(t *testing.T) {
	p := newPatient(t)
	find := func() (found []report.DoctorCheck) {
		for _, c := range p.checkAll(t.Context()).Checks {
			if c.ID == "nix.user" || c.ID == "nix.key" || c.ID == "nix.substituter" {
				found = append(found, c)
			}
		}
		return found
	}
	p.site.user = true
	p.takes = func(context.Context) bool { return false }
	if got := find(); len(got) != 2 || got[0].Status != report.CheckOK || got[1].Status != report.CheckOK {
		t.Errorf("where root's nix.conf names the gateway: %+v", got)
	}
	p.put("/etc/nix/nix.conf", "trusted-users = root ann\n")
	p.checks = nil
	got := find()
	if len(got) != 1 || got[0].ID != "nix.user" || got[0].Status != report.CheckFail || !strings.Contains(strings.Join(got[0].Try, "\n"), "extra-trusted-public-keys = "+p.status.Gateway.Signer) || !strings.Contains(strings.Join(got[0].Try, "\n"), "trusted-users = root ann ") {
		t.Errorf("where it does not: %+v", got)
	}
}
