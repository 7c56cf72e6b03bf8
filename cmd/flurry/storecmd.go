package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
)

func (sh *shell) storeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "store", Short: "look after what lies on the disk"}
	cmd.AddCommand(sh.storeCheckCommand(), sh.storeStatCommand())
	return cmd
}

func (sh *shell) storeCheckCommand() *cobra.Command {
	var state string
	var rebuild bool
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "read everything and compare it with its name",
		Args:    cobra.NoArgs,
		Example: "  flurry store check\n  flurry store check --state /var/lib/flurry --rebuild-index",
		RunE: func(cmd *cobra.Command, _ []string) error {
			bar := sh.bar("store")
			progress := func(p report.CheckProgress) { bar.set(uint64(p.Bytes), uint64(p.Of)) }
			c, err := sh.check(cmd.Context(), state, rebuild, progress)
			bar.end()
			if err != nil {
				return err
			}
			if err := sh.answer(c, c.PrintText); err != nil || len(c.Damaged) == 0 {
				return err
			}
			return exit(report.ExitFailed)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "the state directory of a daemon that does not run")
	cmd.Flags().BoolVar(&rebuild, "rebuild-index", false, "throw the index away and make it anew from the packs; no daemon may run")
	return cmd
}

// check asks the daemon, or reads the state directory itself when that is named.
func (sh *shell) check(ctx context.Context, state string, rebuild bool, progress func(report.CheckProgress)) (report.Check, error) {
	if state == "" {
		state = sh.getenv("FLURRY_STATE")
	}
	if !rebuild {
		socket := sh.socketPath()
		if state != "" && sh.socket == "" {
			socket = stateSocket(state)
		}
		c, err := control.Dial(socket).Check(ctx, control.CheckRequest{}, progress)
		var p *report.Problem
		if state == "" || !errors.As(err, &p) || p.ID != "no-daemon" {
			return c, err
		}
	}
	if state == "" {
		return report.Check{}, usageTry("flurry store check --state DIR --rebuild-index", "--rebuild-index needs the state directory")
	}
	return checkOffline(ctx, state, rebuild, sh, progress)
}

func checkOffline(ctx context.Context, state string, rebuild bool, sh *shell, progress func(report.CheckProgress)) (report.Check, error) {
	options := storedisk.Options{Log: sh.logger()}
	if rebuild {
		if err := storedisk.RebuildIndex(ctx, state, options); err != nil {
			return report.Check{}, storeProblem(state, err)
		}
		if err := os.RemoveAll(filepath.Join(state, "db", "catalog")); err != nil { // made anew at the next start
			return report.Check{}, err
		}
	}
	packs, err := storedisk.Open(ctx, state, options)
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
	c := report.Check{Schema: "flurry/check/1", Bytes: found.Bytes, Damaged: []string{}}
	if err != nil {
		return c, err
	}
	for _, k := range found.Damaged {
		c.Damaged = append(c.Damaged, k.String())
	}
	s, err := packs.Stats(ctx)
	c.Chunks, c.Others = int(s.Chunks), int(s.Bodies+s.Texts)
	return c, err
}

// storeProblem says why a state directory cannot be opened.
func storeProblem(state string, err error) error {
	var newer *storedisk.NewerError
	switch {
	case errors.Is(err, durable.ErrLocked):
		return &report.Problem{ID: "state-in-use", Exit: report.ExitFailed, Message: "another flurry has " + state + " open", Try: []string{"stop it first, or another --state"}}
	case errors.As(err, &newer):
		return &report.Problem{ID: "newer-state", Exit: report.ExitFailed, Message: fmt.Sprintf("%s was written by a later flurry (format %d; this one knows %d). Nothing was changed", state, newer.Have, newer.Want),
			Try: []string{"upgrade, or another state directory"}}
	case errors.Is(err, store.ErrFull):
		return &report.Problem{ID: "disk-full", Exit: report.ExitFailed, Message: err.Error(), Try: []string{"free room on the disk"}}
	}
	return err
}

func (sh *shell) storeStatCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "stat",
		Short:   "how much lies there, and how much may",
		Args:    cobra.NoArgs,
		Example: "  flurry store stat\n  flurry store stat --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := sh.daemon().Status(cmd.Context(), control.StatusRequest{})
			if err != nil {
				return err
			}
			return sh.answer(s.Store, func(w io.Writer) { s.Store.PrintText(w) })
		},
	}
}
