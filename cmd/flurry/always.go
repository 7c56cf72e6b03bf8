package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/report"
)

// unnamed is how much of what is built a command publishes without its being named.
type unnamed struct {
	watch        bool
	always, hook string // "", on or off
}

// flags adds those of publish.
func (u *unnamed) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&u.watch, "watch", false, "publish what Nix builds here, for whichever user, until Ctrl-C")
	f.Var(wordFlag{&u.always, []string{"on", "off"}}, "always", "from now on, publish what Nix builds here, for whichever user; `off` ends that")
	f.Var(wordFlag{&u.hook, []string{"on", "off"}}, "hook", "likewise what a post-build-hook gives (needed for remote builders); `off` ends that")
	for _, name := range []string{"always", "hook"} {
		f.Lookup(name).NoOptDefVal = "on"
	}
}

// asked reports whether any of them was given.
func (u unnamed) asked() bool { return u.watch || u.always != "" || u.hook != "" }

// check refuses what makes no sense together.
func (u unnamed) check(cmd *cobra.Command, args []string) error {
	given := cmd.Flags().Changed
	var flag string
	switch {
	case u.watch && (u.always != "" || u.hook != "") || u.always != "" && u.hook != "":
		return usage("flurry publish --help", "--watch, --always and --hook are three ways; one of them")
	case u.watch:
		flag = "--watch"
	case u.always != "":
		flag = "--always"
	default:
		flag = "--hook"
	}
	if len(args) > 1 {
		return usage("flurry publish "+args[0]+" "+flag, "%s publishes what is built, and no PATH that is named", flag)
	}
	wrong := []string{"paths-from", "dry-run", "pin", "keep-last", "keep-for", "keep", "copies", "no-wait", "peer"}
	if u.watch {
		wrong = []string{"paths-from", "dry-run", "pin", "keep-last", "keep-for"}
	}
	for _, name := range wrong {
		if given(name) {
			return usage("flurry publish --help", "--%s and %s do not go together", name, flag)
		}
	}
	return nil
}

// publishUnnamed switches on or off what the daemon publishes without its being named.
func (sh *shell) publishUnnamed(ctx context.Context, u unnamed, r control.PublishRequest) error {
	q := control.AutomaticRequest{Namespace: r.Namespace, When: "manual", Full: r.Full, Exclude: r.Exclude, LeaveOut: r.LeaveOut, MaxSize: r.MaxSize}
	switch {
	case u.always == "off", u.hook == "off":
		q = control.AutomaticRequest{Namespace: r.Namespace, When: "manual"}
	case u.always != "":
		q.When = "always"
		if err := sh.confirmAlways(ctx, r.Namespace); err != nil {
			return err
		}
	default:
		q.When = "hook"
	}
	a, err := sh.daemon().Automatic(ctx, q)
	if err != nil {
		return err
	}
	return sh.answer(a, a.PrintText)
}

// confirmAlways asks before everything that is built becomes public.
func (sh *shell) confirmAlways(ctx context.Context, word string) error {
	s, err := sh.daemon().Status(ctx, control.StatusRequest{})
	if err != nil {
		return err
	}
	for _, n := range s.Namespaces {
		if n.Alias != word && n.Key != addressWord(word) {
			continue
		}
		if n.Share == "all" && n.Publish != "always" {
			return sh.confirm(fmt.Sprintf("%s is given to all: every local build of every user of this machine becomes public. Go on?", n.Alias), "flurry publish "+n.Alias+" --always")
		}
	}
	return nil
}

// badHere reports whether a daemon says by err that a path itself is what is wrong.
func badHere(err error) bool {
	for _, id := range []string{"not-valid", "store-corrupt", "excluded-root", "bad-store-path"} {
		if isProblem(err, id) {
			return true
		}
	}
	return false
}

// hopeless reports whether err will be the same as long as nobody does something about it.
func hopeless(p *report.Problem) bool {
	return p.Exit == report.ExitUsage || p.Exit == report.ExitRefused || p.ID == "may-not" || p.ID == "no-document" || strings.HasPrefix(p.ID, "no-nix")
}
