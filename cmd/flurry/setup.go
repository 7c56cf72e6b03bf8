package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/internal/setup"
	"github.com/flurry-nix/flurry/report"
)

// setupFlags are those of setup.
type setupFlags struct {
	user, seed, noNix, print, undo, purge, nixConf bool
	share                                          string
}

// command is how setup is asked for, by who may.
func (f setupFlags) command() string {
	if f.user {
		return "flurry setup --user"
	}
	return "sudo flurry setup"
}

// words are the flags that decide what is set up.
func (f setupFlags) words() (all string) {
	if f.seed {
		all += " --seed"
	}
	if f.share != "" {
		all += " --share " + f.share
	}
	if f.noNix {
		all += " --no-nix"
	}
	return all
}

func (sh *shell) setupCommand() *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:               "setup",
		Short:             "install the service, and connect this machine's Nix",
		Args:              sh.args(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		SuggestFor:        []string{"install", "init", "configure", "uninstall"},
		Long: "It says what it will do, and asks. What it changed is taken back by --undo, byte for byte; what somebody\n" +
			"else changed since is left. A second setup does what is missing, or nothing. It sends nothing to anybody.",
		Example: "  sudo flurry setup\n  sudo flurry setup --undo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sh.setup(cmd.Context(), f)
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&f.user, "user", false, "for you alone, without root: a service of yours, and your nix.conf")
	fl.BoolVar(&f.seed, "seed", false, "a host for others: no Nix is needed or changed, everybody is given what is hosted")
	fl.Var(wordFlag{&f.share, []string{"none", "lan", "all"}}, "share", "who is given what this machine merely uses: none, lan or all; asks, and --yes means lan")
	fl.BoolVar(&f.noNix, "no-nix", false, "the service alone: this machine's Nix stays as it is")
	fl.BoolVar(&f.print, "print", false, "say what would be done, and change nothing")
	fl.BoolVar(&f.undo, "undo", false, "take back what setup changed")
	fl.BoolVar(&f.purge, "purge", false, "with --undo: the state, its keys and the user flurry go, too")
	fl.BoolVar(&f.nixConf, "nix-conf", false, "print the lines that nix.conf needs")
	_ = fl.MarkHidden("nix-conf") // for services that write a file of them; the flag is there
	return cmd
}

func (sh *shell) setup(ctx context.Context, f setupFlags) error {
	switch {
	case f.purge && !f.undo:
		return usage("flurry setup --undo --purge", "--purge goes with --undo")
	case f.undo && (f.seed || f.share != "" || f.noNix || f.nixConf):
		return usage("flurry setup --undo", "--undo takes back all of setup")
	case f.user && sh.uid == 0:
		return usage("flurry setup --user        as that user", "--user is for a user, and root is asking")
	case f.user && f.seed:
		return usage("sudo flurry setup --seed", "a host for others is a service of the system's")
	case !f.user && !f.print && !f.nixConf && sh.uid != 0:
		return &report.Problem{ID: "not-root", Exit: report.ExitUsage, Message: "only root can install the service for this machine",
			Try: []string{"sudo flurry setup", "or, for you alone: flurry setup --user", "or look first: flurry setup --print"}}
	}
	site, err := sh.site(f)
	if err != nil {
		return err
	}
	switch {
	case f.nixConf:
		return sh.printNixConf(site)
	case f.undo:
		return sh.undoSetup(ctx, site, f)
	}
	return sh.install(ctx, site, f)
}

// install plans, shows, asks and does.
func (sh *shell) install(ctx context.Context, site site, f setupFlags) error {
	p, err := sh.plan(ctx, site, f)
	if err != nil {
		return err
	}
	if p.module != "" {
		return sh.answer(p.reportModule(), func(w io.Writer) { fmt.Fprint(w, p.module) })
	}
	if !sh.json {
		p.report().PrintPlan(sh.out)
	}
	if f.print || len(p.steps) == 0 {
		return sh.answer(p.report(), p.report().PrintText)
	}
	if p.asksShare && !sh.yes {
		if f.share, err = sh.askShare(); err != nil {
			return err
		}
		if p, err = sh.plan(ctx, site, f); err != nil {
			return err
		}
	}
	if p, err = sh.confirmed(ctx, p); err != nil {
		return err
	}
	r := p.report()
	r.Done = len(p.steps) > 0
	return sh.answer(r, r.PrintText)
}

// confirmed asks whether to go ahead, and does what is planned. While somebody thought about it the machine may have become another:
// what is done is what was shown, to files as they are by then. The plan that was carried out is returned.
func (sh *shell) confirmed(ctx context.Context, p *plan) (*plan, error) {
	for {
		if err := sh.confirm("Go ahead?", p.flags.command()+p.flags.words()); err != nil {
			return p, err
		}
		shown := p.report()
		work, err := setup.Begin(sh.machine, p.site.journal)
		if err != nil {
			return p, setupFailed(p.flags, err)
		}
		p, err = sh.plan(ctx, p.site, p.flags)
		if err == nil && (sh.yes || p.report().Same(shown)) {
			err = sh.carryOut(ctx, work, p)
			if err = errors.Join(err, work.End()); err != nil {
				return p, setupFailed(p.flags, err)
			}
			return p, nil
		}
		if err = errors.Join(err, work.End()); err != nil {
			return p, err
		}
		sh.say("flurry: this machine has changed meanwhile, and so has the plan")
		if !sh.json {
			p.report().PrintPlan(sh.out)
		}
		if len(p.steps) == 0 {
			return p, nil
		}
	}
}

// carryOut does what is planned. What is not known before the first steps are done is planned anew after them.
func (sh *shell) carryOut(ctx context.Context, work *setup.Work, p *plan) (err error) {
	tell := func(s setup.Step) {
		if sh.verbose > 0 {
			sh.say("flurry: %s %s", s.Verb, s.What)
		}
	}
	if err := work.Owe(p.steps); err != nil {
		return err
	}
	for p.first > 0 {
		made := p.steps[p.first-1]
		if err := work.Apply(ctx, p.steps[:p.first], tell); err != nil {
			return err
		}
		if p, err = sh.plan(ctx, p.site, p.flags); err != nil {
			return err
		}
		if p.first > 0 && p.steps[p.first-1].Verb == made.Verb {
			return fmt.Errorf("%s was made, and is not there", made.What)
		}
	}
	return work.Apply(ctx, p.steps, tell)
}

// setupFailed says that a step failed, and that nothing is lost.
func setupFailed(f setupFlags, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, setup.ErrBusy):
		return &report.Problem{ID: "setup-busy", Exit: report.ExitFailed, Message: "another flurry setup is changing this machine; nothing was done",
			Try: []string{"once it has ended, the same again"}}
	case f.undo:
		return &report.Problem{ID: "setup-failed", Exit: report.ExitFailed, Message: "undo stopped: " + err.Error(), Try: []string{"mend that, and once more: it goes on where it stopped"}}
	}
	return &report.Problem{ID: "setup-failed", Exit: report.ExitFailed, Message: "setup stopped: " + err.Error(),
		Try: []string{"mend that, and once more: it goes on where it stopped", "or take back what was done: " + f.command() + " --undo"}}
}

// askShare asks who is given what is merely used.
func (sh *shell) askShare() (string, error) {
	if !sh.inTerminal {
		return "lan", nil // and then --yes is missed
	}
	for {
		fmt.Fprint(sh.err, "Share what you get from others: with [n]obody, machines on your [L]AN, or [a]nyone (upload at most 10 Mbit/s)? ")
		line, err := bufio.NewReader(sh.in).ReadString('\n')
		if err != nil {
			return "", &report.Problem{ID: "declined", Message: "nothing was changed", Exit: report.ExitUsage}
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "n", "nobody", "none":
			return "none", nil
		case "", "l", "lan":
			return "lan", nil
		case "a", "anyone", "all":
			return "all", nil
		}
	}
}

// undoSetup takes setup back.
func (sh *shell) undoSetup(ctx context.Context, site site, f setupFlags) error {
	again := f.command() + " --undo"
	question := "Take back what flurry setup changed on this machine?"
	if f.purge {
		again += " --purge"
		question = fmt.Sprintf("Take back what flurry setup changed, and remove %s with all keys and content in it?", site.state)
	}
	if f.print {
		return usage(again, "--print does not go with --undo: what setup changed is in %s", filepath.Join(site.journal, "journal.json"))
	}
	if hook := site.hook(); !site.user && nixHook(site.real(site.nix)) == hook {
		return &report.Problem{ID: "hook-in-use", Exit: report.ExitUsage, Message: "nix.conf names " + hook + " as post-build-hook: without that file every build fails",
			Try: []string{"take the line post-build-hook out of nix.conf, restart nix-daemon, and then: " + again}}
	}
	if err := sh.confirm(question, again); err != nil {
		return err
	}
	u := report.Undone{Schema: "flurry/undone/1", Undone: []string{}, Left: []report.UndoneLeft{}, Kept: []string{}, Notes: []string{}}
	if err := sh.takeBack(ctx, site, f, &u); err != nil {
		return err
	}
	if !f.purge && sh.machine.IsDir(site.state) {
		kept := site.state + ", with keys and content"
		if _, there := sh.flurryUser(ctx); there && !site.user {
			kept += ", and the user flurry whose it is"
		}
		u.Kept = append(u.Kept, kept+" ("+again+" --purge removes that)")
	}
	_, multi := sh.nixFound(ctx)
	ofNix := func(what string) bool { return strings.Contains(what, filepath.Join(site.nix, "flurry.conf")) }
	if !site.user && multi && !sh.machine.IsDir("/run/systemd/system") && slices.ContainsFunc(u.Undone, ofNix) {
		u.Notes = append(u.Notes, "Start nix-daemon anew: until then it asks a gateway that will be gone, and waits for it.")
	}
	if err := sh.answer(u, u.PrintText); err != nil {
		return err
	}
	if len(u.Left) > 0 {
		return exit(report.ExitFailed)
	}
	return nil
}

// takeBack takes setup back and, where it is asked for, removes what setup leaves, before another setup can begin.
func (sh *shell) takeBack(ctx context.Context, site site, f setupFlags, u *report.Undone) (err error) {
	say := func(what string) {
		u.Undone = append(u.Undone, what)
		if !sh.json {
			fmt.Fprintf(sh.out, "  %s\n", what)
		}
	}
	work, err := setup.Resume(sh.machine, site.journal)
	switch {
	case errors.Is(err, setup.ErrNothing):
	case err != nil:
		return setupFailed(f, err)
	default:
		defer func() {
			if ended := work.End(); ended != nil {
				err = errors.Join(err, setupFailed(f, ended))
			}
		}()
		left, err := work.Undo(ctx, say)
		if err != nil {
			return setupFailed(f, err)
		}
		for _, l := range left {
			u.Left = append(u.Left, report.UndoneLeft{What: l.What, Why: l.Why})
		}
	}
	if f.purge {
		return sh.purge(ctx, site, u, say)
	}
	return nil
}

// nixHook is the program that Nix runs after each build, as the nix.conf in dir says; empty: none.
func nixHook(dir string) string {
	var c nixConf
	c.read(filepath.Join(dir, "nix.conf"), 0)
	return c.hook
}
