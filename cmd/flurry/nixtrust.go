package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// nixTakesSettings reports whether the Nix behind s takes substituters and keys from this user: it leaves out, with a warning, those
// of users whom it does not trust. A nix-daemon of before protocol 1.35 does not say whom it trusts; then it is as the nix.conf in
// dir has it. What cannot be found out is taken for a yes.
func (sh *shell) nixTakesSettings(ctx context.Context, s *daemon.Store, dir string) bool {
	trusted, known, err := s.IsTrusted(ctx)
	if err != nil || known {
		return err != nil || trusted
	}
	var c nixConf
	c.read(filepath.Join(dir, "nix.conf"), 0)
	return c.trustsUser(sh.uid, os.Getgid())
}

// takesSettings is nixTakesSettings of this machine's Nix. One that does not answer is the user's own.
func (sh *shell) takesSettings(ctx context.Context, dir string) bool {
	s, err := daemon.Open(ctx, sh.nixOptions())
	if err != nil {
		return true
	}
	defer s.Close() // it only read
	return sh.nixTakesSettings(ctx, s, dir)
}

// trustsUser reports whether trusted-users has a user (nix.conf(5)): only root, if nothing is said.
func (c *nixConf) trustsUser(uid, gid int) bool {
	return uid == 0 || slices.Contains(c.trustedUsers, "*") || control.Named(c.trustedUsers, uid, gid)
}

// nixUser looks whether Nix takes from this user what the user's own nix.conf says.
func (e *examined) nixUser(ctx context.Context) {
	if e.found == "" || !e.site.user || e.takes(ctx) {
		return
	}
	var system nixConf
	dir := e.sh.nixConfDir()
	system.read(filepath.Join(e.site.real(dir), "nix.conf"), 0)
	key := e.status.Gateway.Signer
	if ours, err := e.site.localKey(); key == "" && err == nil {
		key = ours.String()
	}
	if slices.ContainsFunc(append(system.substituters, system.extraSubstituters...), e.isGateway) && slices.Contains(append(system.trusted, system.extra...), key) {
		return
	}
	e.ignored = true
	e.add("nix.user", report.CheckFail, []string{"have root add to " + filepath.Join(dir, "nix.conf") + ": extra-substituters = " + e.gatewayURLs()[0], "    and: extra-trusted-public-keys = " + key,
		"or, to let you: trusted-users = " + strings.Join(append(system.orRoot(), e.sh.getenv("USER")), " ")},
		"this machine's Nix takes no substituters and no keys from you: it leaves out what your nix.conf says of the gateway")
}

// orRoot is trusted-users as it stands, or as it is when nothing is said.
func (c *nixConf) orRoot() []string {
	if c.trustedUsers == nil {
		return []string{"root"}
	}
	return slices.Clone(c.trustedUsers)
}
