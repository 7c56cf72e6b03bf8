package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/internal/setup"
	"github.com/flurry-nix/flurry/report"
)

// purge removes the state, and the user that it was. say is told of what is done.
func (sh *shell) purge(ctx context.Context, site site, u *report.Undone, say func(what string)) error {
	if sh.machine.IsDir(site.state) {
		if err := idle(site.state, site.real(site.state)); err != nil {
			return err
		}
		if err := removeState(site.real(site.state), u); err != nil {
			return err
		}
		say("remove " + site.state + ", with all keys and content in it")
	}
	if site.user { // directories that setup made, and could not remove while the state was in them
		return errors.Join(sh.machine.RemoveDir(filepath.Dir(site.state)), sh.machine.RemoveDir(filepath.Dir(filepath.Dir(site.state))))
	}
	if _, there := sh.flurryUser(ctx); !there {
		return nil
	}
	home, err := sh.flurryHome(ctx)
	if err != nil || home != systemState {
		why := "setup did not make it: its home is " + home
		if err != nil {
			why = "whose it is cannot be found out: " + err.Error()
		}
		u.Left = append(u.Left, report.UndoneLeft{What: "the user " + serviceUser, Why: why})
		return nil
	}
	if _, err := sh.machine.Run(ctx, "userdel", serviceUser); err != nil {
		u.Left = append(u.Left, report.UndoneLeft{What: "the user " + serviceUser, Why: err.Error()})
		return nil
	}
	say("remove the user " + serviceUser)
	return nil
}

// idle refuses to take the state away from under a daemon.
func idle(state, real string) error {
	lock := filepath.Join(real, "lock")
	if _, err := os.Stat(lock); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l, err := durable.TryLock(lock)
	if err != nil {
		return storeProblem(state, err)
	}
	return l.Unlock()
}

// flurryHome is the home of the user that is called as the service's. Setup gives it the state directory, which nobody else has.
func (sh *shell) flurryHome(ctx context.Context) (string, error) {
	said, err := sh.machine.Run(ctx, "getent", "passwd", serviceUser)
	if err != nil {
		return "", err
	}
	fields := strings.Split(said, ":")
	if len(fields) != 7 {
		return "", fmt.Errorf("getent passwd: %.200q", said)
	}
	return fields[5], nil
}

// removeState removes a state directory. Where it is a link, what flurry keeps is removed from where it leads: others may keep
// things there, too.
func removeState(name string, u *report.Undone) error {
	there, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return os.RemoveAll(name)
	}
	all, err := os.ReadDir(there)
	if err != nil {
		return err
	}
	for _, e := range all {
		if !isStates(e.Name()) {
			u.Left = append(u.Left, report.UndoneLeft{What: filepath.Join(there, e.Name()), Why: "it is not flurry's"})
			continue
		}
		if err := os.RemoveAll(filepath.Join(there, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(setup.Real{Root: "/"}.RemoveDir(there), os.Remove(name))
}

// isStates reports whether flurry keeps something of this name in its state directory.
func isStates(name string) bool {
	aside, err := filepath.Match(scratchPattern, name)
	return err == nil && aside || slices.Contains([]string{"ballast", "control.sock", "db", "format", "identity.key", "index", "keys", "lock", "namespaces.toml", "nix.conf", "packs", "queue"}, strings.TrimSuffix(name, ".tmp"))
}
