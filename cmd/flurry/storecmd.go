package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
)

func (sh *shell) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "store COMMAND",
		Short:   "look after what lies on the disk: check, gc, stat",
		Args:    cobra.ArbitraryArgs,
		RunE:    sh.group,
		Example: "  flurry store stat\n  flurry store check\n  flurry store gc --dry-run",
	}
	cmd.AddCommand(sh.storeCheckCommand(), sh.storeCollectCommand(), sh.storeStatCommand())
	return cmd
}

func (sh *shell) storeCheckCommand() *cobra.Command {
	var rebuild bool
	cmd := &cobra.Command{
		Use:               "check",
		Short:             "read everything and compare it with its name",
		Long:              "It asks the daemon. Where none runs, it reads the state directory itself: --state DIR.",
		Args:              sh.args(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           "  flurry store check\n  flurry store check --state /var/lib/flurry --rebuild-index",
		RunE: func(cmd *cobra.Command, _ []string) error {
			bar := sh.progress("store")
			c, err := sh.check(cmd.Context(), rebuild, func(p report.CheckProgress) {
				bar.set(uint64(p.Bytes), uint64(p.Of), "reading "+p.String())
			})
			bar.end()
			if err != nil {
				return err
			}
			if err := sh.answer(c, c.PrintText); err != nil {
				return err
			}
			if p := c.Problem(); p != nil && !sh.json {
				p.Print(sh.err)
			}
			return exit(c.Exit)
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild-index", false, "throw the index away and make it anew from the packs; no daemon may run")
	return cmd
}

// check asks the daemon. When none runs it reads the state directory, if that was named.
func (sh *shell) check(ctx context.Context, rebuild bool, progress func(report.CheckProgress)) (report.Check, error) {
	state := first(sh.state, sh.getenv("FLURRY_STATE"))
	if !rebuild {
		c, err := sh.daemon().Check(ctx, control.CheckRequest{}, progress)
		var p *report.Problem
		if state == "" || !errors.As(err, &p) || p.ID != "no-daemon" {
			return c, err
		}
	}
	if state == "" {
		return report.Check{}, usage("flurry store check --rebuild-index --state DIR", "--rebuild-index needs the state directory")
	}
	if err := sh.ownState(state); err != nil {
		return report.Check{}, err
	}
	return checkOffline(ctx, state, rebuild, storedisk.Options{Log: sh.calmLogger()}, progress)
}

// ownState refuses a directory that holds no state, and that of another user: what root makes there would be in the
// daemon's way.
func (sh *shell) ownState(state string) error {
	if _, err := os.Stat(filepath.Join(state, "packs")); err != nil {
		return &report.Problem{ID: "no-state", Exit: report.ExitFailed, Message: fmt.Sprintf("%s is no state directory of flurry: %v", state, reasonOf(err)), Try: []string{"--state DIR, as the daemon has it"}}
	}
	owner, err := ownerOf(state)
	if err != nil || owner == sh.uid {
		return err
	}
	name := strconv.Itoa(owner)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return &report.Problem{ID: "not-owner", Exit: report.ExitUsage, Message: fmt.Sprintf("%s belongs to %s; what another user makes there would be in the daemon's way", state, name),
		Try: []string{fmt.Sprintf("sudo -u %s flurry store check --state %s", name, state)}}
}

func checkOffline(ctx context.Context, state string, rebuild bool, o storedisk.Options, progress func(report.CheckProgress)) (report.Check, error) {
	if rebuild {
		if err := storedisk.RebuildIndex(ctx, state, o); err != nil {
			return report.Check{}, storeProblem(state, err)
		}
		if err := os.RemoveAll(filepath.Join(state, "db", "catalog")); err != nil { // made anew at the next start
			return report.Check{}, err
		}
	}
	packs, err := storedisk.Open(ctx, state, o)
	if err != nil {
		return report.Check{}, storeProblem(state, err)
	}
	c, err := checkStore(ctx, packs, progress)
	c.Rebuilt = rebuild
	return c, errors.Join(err, packs.Close())
}

// checkStore reads the whole store.
func checkStore(ctx context.Context, packs *storedisk.Store, progress func(report.CheckProgress)) (report.Check, error) {
	found, err := packs.Check(ctx, func(done, total int64) { progress(report.CheckProgress{Bytes: done, Of: total}) })
	c := report.Check{Bytes: found.Bytes}
	if err != nil {
		return c, err
	}
	for _, k := range found.Damaged {
		c.Damaged = append(c.Damaged, k.String())
	}
	s, err := packs.Stats(ctx)
	c.Chunks, c.Others, c.OutOfUse = int(s.Chunks), int(s.Bodies+s.Texts), int(s.Damaged)
	c.Complete()
	return c, err
}

// storeProblem says why a state directory cannot be opened.
func storeProblem(state string, err error) error {
	var newer *storedisk.NewerError
	var full *store.FullError
	switch {
	case errors.Is(err, durable.ErrLocked):
		return &report.Problem{ID: "state-in-use", Exit: report.ExitFailed, Message: "another flurry has " + state + " open", Try: []string{"stop it first, or another --state"}}
	case errors.As(err, &newer):
		return &report.Problem{ID: "newer-state", Exit: report.ExitFailed, Message: fmt.Sprintf("%s was written by a later flurry (format %d; this is %s, which knows %d). Nothing was changed", state, newer.Have, version, newer.Want),
			Try: []string{"upgrade", "or another state directory: --state DIR"}}
	case errors.As(err, &full):
		return diskFull(state, full)
	case errors.Is(err, fs.ErrPermission):
		return &report.Problem{ID: "may-not", Exit: report.ExitNoDaemon, Message: fmt.Sprintf("this user may not use %s", state), Try: []string{"sudo flurry …", "or another state directory: --state DIR"}}
	}
	return err
}

func (sh *shell) storeCollectCommand() *cobra.Command {
	var r control.CollectRequest
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "give up what is not to be kept",
		Long: "That is what was retracted, what expired more than two days ago, what is of namespaces that were\n" +
			"left, and what nothing names. Of what is merely used something goes only where the store is nearly\n" +
			"full. The daemon does the same by itself when it needs room. What lives in a namespace that is\n" +
			"published or mirrored here stays.",
		Args:              sh.args(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           "  flurry store gc --dry-run\n  flurry store gc",
		RunE: func(cmd *cobra.Command, _ []string) error {
			bar := sh.progress("store")
			c, err := sh.daemon().Collect(cmd.Context(), r, func(p report.CollectProgress) {
				bar.set(uint64(p.Done), uint64(p.Of), "collecting")
			})
			bar.end()
			if err != nil {
				return err
			}
			if err := sh.answer(c, c.PrintText); err != nil {
				return err
			}
			return exit(c.Exit)
		},
	}
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "say what would go, and give up nothing")
	return cmd
}

func (sh *shell) storeStatCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "stat",
		Short:             "how much lies there, and how much may",
		Args:              sh.args(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           "  flurry store stat\n  flurry store stat --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := sh.daemon().Status(cmd.Context(), control.StatusRequest{})
			if err != nil {
				return err
			}
			stat := struct {
				Schema string `json:"schema"`
				report.Store
			}{"flurry/store/1", s.Store}
			return sh.answer(stat, func(w io.Writer) { s.Store.PrintText(w) })
		},
	}
}
