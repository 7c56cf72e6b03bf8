package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

func (sh *shell) seedCommand() *cobra.Command {
	var r control.SeedRequest
	var stop bool
	var after int
	var quota uint64
	var promise time.Duration
	cmd := &cobra.Command{
		Use:               "seed [NAMESPACE]",
		Short:             "mirror a namespace for others, without trusting it; alone: list them",
		Long:              "NAMESPACE is the key of its publisher, name:base64, or what it is called here already. A seed fetches what is\nnew, lists it when all of it is on the disk, and never drops what is live: it refuses what does not fit. This\nmachine's own Nix is given nothing of it (that would be: flurry use).",
		Args:              sh.args(0, 1),
		ValidArgsFunction: sh.completeNamespaces(1),
		SuggestFor:        []string{"host", "mirror"},
		Example:           "  flurry seed acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE= --quota 200GiB --peer seed.acme.example\n  flurry seed acme-1 --stop --after-copies 1",
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			switch {
			case len(args) == 0 && cmd.Flags().NFlag() > 0 && (given("quota") || given("promise") || given("peer") || given("as") || given("after-copies") || stop):
				return usage("flurry seed --help", "which namespace? The form is: %s", form(cmd))
			case len(args) == 0:
				return sh.seeds(cmd)
			case !stop && given("after-copies"):
				return usage("flurry seed "+args[0]+" --stop --after-copies 1", "--after-copies is about --stop, which is not there")
			case after < 0:
				return usage("flurry seed --help", "--after-copies: %d is not a number of copies", after)
			case stop:
				return sh.stopSeed(cmd, control.StopSeedRequest{Namespace: args[0], AfterCopies: after})
			}
			if given("quota") {
				r.Quota = &quota
			}
			if given("promise") {
				r.Promise = &promise
			}
			r.Namespace = args[0]
			return sh.seed(cmd, r)
		},
	}
	f := cmd.Flags()
	f.Var((*sizeFlag)(&quota), "quota", "keep at most `SIZE` of its chunks, counted before compression; 100GiB if not said")
	f.Var((*durationFlag)(&promise), "promise", "promise publishers to keep what was taken for `DURATION`; without it nothing")
	f.StringArrayVar(&r.Peers, "peer", nil, "ask `PEER` first: HOST, HOST:PORT or a multiaddr; again for more")
	f.StringVar(&r.Alias, "as", "", "call it `ALIAS` here, instead of the key's name")
	f.BoolVar(&stop, "stop", false, "mirror it no more; what was promised is kept")
	f.IntVar(&after, "after-copies", 0, "with --stop: as soon as `N` other seeds have each publication")
	return cmd
}

func (sh *shell) seeds(cmd *cobra.Command) error {
	s, err := sh.daemon().Seeds(cmd.Context())
	if err != nil {
		return err
	}
	return sh.answer(s, func(w io.Writer) { s.PrintText(w, time.Now()) })
}

func (sh *shell) seed(cmd *cobra.Command, r control.SeedRequest) error {
	if strings.Contains(r.Namespace, ":") { // what is wrong with a key is known here
		if _, _, err := namespace.ParseHinted(r.Namespace); err != nil {
			return keyProblem(r.Namespace, err)
		}
	}
	ctx := cmd.Context()
	if r.Wait = sh.timeout; r.Wait > 0 { // when it is over, how far it is is the answer
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(sh.untimed, r.Wait+answerTime)
		defer cancel()
	}
	bar := sh.progress(aliasOf(r.Namespace))
	s, err := sh.daemon().Seed(ctx, r, func(p report.SeedProgress) {
		if sh.json {
			_ = sh.answer(p, nil) // what cannot be written is found out with the outcome
			return
		}
		bar.set(p.Have, p.Of, fmt.Sprintf("fetching %d publications", p.Publications))
	})
	bar.end()
	if err != nil {
		return err
	}
	return sh.answer(s, s.PrintText)
}

// aliasOf is what a key will be called, or the word itself.
func aliasOf(word string) string {
	name, _, _ := strings.Cut(word, ":")
	return name
}

func (sh *shell) stopSeed(cmd *cobra.Command, r control.StopSeedRequest) error {
	s, err := sh.daemon().StopSeed(cmd.Context(), r)
	if err != nil {
		return err
	}
	return sh.answer(s, s.PrintText)
}

// waitDefault is how long wait waits where nothing is said.
const waitDefault = 5 * time.Minute

func (sh *shell) waitCommand() *cobra.Command {
	r := control.WaitRequest{Copies: 1}
	cmd := &cobra.Command{
		Use:               "wait PATH…",
		Short:             "return when paths are published, and others have copies of them",
		Long:              "Copies are counted by asking: each node that mirrors the namespace says by a signed receipt that it has all\nof the publication. This machine does not count. --timeout says how long is waited, 5m where it does not.",
		Args:              sh.args(1, most),
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           "  flurry wait ./result --copies 2 --timeout 5m && ssh prod nixos-rebuild switch\n  flurry wait \"$OUT\" --in acme-1 --copies 0",
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.Copies < 0 {
				return usage("flurry wait --help", "--copies: %d is not a number of copies", r.Copies)
			}
			for _, a := range args {
				p, err := daemon.Resolve(a)
				if err != nil {
					return pathProblem("wait", err)
				}
				r.Paths = append(r.Paths, p.String())
			}
			return sh.wait(cmd, r)
		},
	}
	cmd.Flags().StringArrayVar(&r.Peers, "peer", nil, "ask the seed `PEER`, too: HOST, HOST:PORT or a multiaddr; again for more")
	cmd.Flags().StringVar(&r.Namespace, "in", "", "published in `NAMESPACE`; any, where nothing is said")
	cmd.Flags().IntVar(&r.Copies, "copies", r.Copies, "on `N` other machines; 0: it is enough that they are published")
	return cmd
}

func (sh *shell) wait(cmd *cobra.Command, r control.WaitRequest) error {
	if r.Timeout = sh.timeout; r.Timeout == 0 {
		r.Timeout = waitDefault
	}
	w, err := sh.daemon().Wait(sh.untimed, r, func(p report.WaitProgress) {
		if sh.json {
			_ = sh.answer(p, nil) // what cannot be written is found out with the outcome
		}
	})
	if err != nil {
		return err
	}
	if sh.json {
		if err := sh.answer(w, nil); err != nil {
			return err
		}
		return exit(w.Exit)
	}
	w.PrintText(sh.out, time.Now())
	if len(w.Missing) == 0 {
		return nil
	}
	return waitProblem(w, r.Timeout)
}

// waitProblem says what was waited for in vain.
func waitProblem(w report.Wait, timeout time.Duration) error {
	p := &report.Problem{ID: "wait-timeout", Exit: report.ExitUnavailable, Message: fmt.Sprintf("%s are over", timeout)}
	for _, path := range w.Missing {
		found := path + ": nobody has published it"
		for _, have := range w.Paths {
			if have.Path == path {
				found = fmt.Sprintf("%s: published, %d of %d copies", path, len(have.Copies), w.Wanted)
			}
		}
		p.Found = append(p.Found, found)
	}
	p.Try = []string{"flurry why PATH", "a longer --timeout, or fewer --copies"}
	return p
}
