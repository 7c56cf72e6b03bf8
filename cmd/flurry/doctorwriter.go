package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/report"
)

// writersOf asks the daemon for the writers of a namespace.
func (sh *shell) writersOf(ctx context.Context, alias string) (report.Writers, error) {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	return sh.daemon().Writers(ctx, control.NamespaceRequest{Namespace: alias})
}

// publicKeys are the public halves of this machine's keys, those that this user can read.
func (e *examined) publicKeys() map[string]bool {
	dir := e.site.real(e.keyDir())
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	keys := make(map[string]bool)
	for _, entry := range all {
		if !entry.Type().IsRegular() || !strings.HasSuffix(entry.Name(), ".sec") {
			continue
		}
		if key, err := readSecret(filepath.Join(dir, entry.Name())); err == nil {
			keys[key.Public().String()] = true
		}
	}
	return keys
}

// writerKeys looks whether this machine's writer keys still count. Whether it has others, in its daemon's environment, cannot
// be seen from here: a namespace of which no key is found is not spoken of.
func (e *examined) writerKeys(ctx context.Context) {
	ours := e.publicKeys()
	if e.down != nil || len(ours) == 0 {
		return
	}
	now := time.Now()
	for _, n := range e.status.Namespaces {
		if ours[n.Key] || !strings.Contains(n.Note, "you publish here") {
			continue // the root key itself
		}
		all, err := e.writers(ctx, n.Alias)
		if err != nil {
			continue
		}
		try := []string{"where the root key of " + n.Alias + " is: flurry writer add " + n.Alias + " KEY"}
		for _, w := range all.Writers {
			switch {
			case !ours[w.Key]:
			case w.Closed:
				e.add("ns.writer", report.CheckFail, []string{"flurry writer key NAME        a new one, and " + try[0]}, "%s: this machine's writer key %s was revoked: what it publishes counts no more", n.Alias, w.Name)
			case w.Until != nil && !now.Before(*w.Until):
				e.add("ns.writer", report.CheckFail, try, "%s: this machine's writer key %s counted until %s", n.Alias, w.Name, w.Until.Format(time.DateOnly))
			case w.Until != nil && w.Until.Sub(now) < renewal:
				e.add("ns.writer", report.CheckWarn, try, "%s: this machine's writer key %s counts until %s", n.Alias, w.Name, w.Until.Format(time.DateOnly))
			default:
				e.ok("ns.writer", "%s: this machine's writer key %s counts", n.Alias, w.Name)
			}
		}
	}
}
