package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

func (sh *shell) statusCommand() *cobra.Command {
	var r control.StatusRequest
	var watch bool
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "how the node is: Nix, sharing, network, store, namespaces",
		Args:              sh.args(0, 0),
		ValidArgsFunction: cobra.NoFileCompletions,
		SuggestFor:        []string{"info", "peers", "stats"},
		Example:           "  flurry status\n  flurry status --peers --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return sh.watch(cmd, r)
			}
			return sh.status(cmd, r)
		},
	}
	cmd.Flags().BoolVar(&r.Peers, "peers", false, "a line for each peer, too")
	cmd.Flags().BoolVar(&watch, "watch", false, "again each second, until Ctrl-C")
	return cmd
}

func (sh *shell) status(cmd *cobra.Command, r control.StatusRequest) error {
	s, err := sh.daemon().Status(cmd.Context(), r)
	if err != nil {
		return err
	}
	return sh.answer(s, func(w io.Writer) { s.PrintText(w, time.Now()) })
}

// clearScreen puts a terminal's cursor at the top of an empty screen.
const clearScreen = "\x1b[H\x1b[2J"

// watch shows the status each second until somebody ends it, which is no error.
func (sh *shell) watch(cmd *cobra.Command, r control.StatusRequest) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		if sh.outTerminal && !sh.json {
			if _, err := io.WriteString(sh.out, clearScreen); err != nil {
				return err
			}
		}
		if err := sh.status(cmd, r); err != nil && cmd.Context().Err() == nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-second.C:
		}
	}
}

func (sh *shell) whyCommand() *cobra.Command {
	var r control.WhyRequest
	cmd := &cobra.Command{
		Use:        "why PATH",
		Short:      "whether a path can be had, from whom, and if not, why",
		Args:       sh.args(1, 1),
		SuggestFor: []string{"explain"},
		Long:       "PATH is a store path, something below one, a link to one such as ./result, or the 32 characters of its hash.\nThe exit code is 0 if it can be had, and 5 if not.",
		Example:    "  flurry why ./result\n  flurry why lsvsfxv3rkwdn7ipyir4mizrk7wh49wz",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Path, err = pathOrHash(args[0]); err != nil {
				return err
			}
			w, err := sh.daemon().Why(cmd.Context(), r)
			if err != nil {
				return err
			}
			if err := sh.answer(w, func(out io.Writer) { w.PrintText(out, time.Now()) }); err != nil {
				return err
			}
			return exit(w.Exit)
		},
	}
	cmd.Flags().BoolVar(&r.Closure, "closure", false, "list all that it needs and cannot be had, deepest first")
	return cmd
}

// pathOrHash resolves what commands that only look take for a path.
func pathOrHash(word string) (string, error) {
	if h, err := nix.ParsePathHash(word); err == nil {
		return h.String(), nil
	}
	p, err := daemon.Resolve(word)
	var wrong *daemon.PathError
	if errors.As(err, &wrong) && wrong.Kind == daemon.DerivationGiven {
		return outputOf(p)
	}
	if err != nil {
		return "", pathProblem("why", err)
	}
	return p.String(), nil
}

func (sh *shell) showCommand() *cobra.Command {
	var r control.ShowRequest
	var card bool
	var e editFlags
	cmd := &cobra.Command{
		Use:               "show NAMESPACE [GLOB]",
		Short:             "what is known of a namespace; with GLOB its paths of that name",
		Args:              sh.args(1, 2),
		ValidArgsFunction: sh.completeNamespaces(1),
		SuggestFor:        []string{"list", "ls", "search"},
		Example:           "  flurry show acme-1 --card\n  flurry show acme-1 'widget-*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if card && r.Document {
				return usage("flurry show --help", "--card and --document are two things; one of them")
			}
			change, err := e.request(cmd, args[0], sh.givenSecret())
			if err != nil {
				return err
			}
			if e.edit {
				return sh.edit(cmd, change)
			}
			r.Namespace = args[0]
			if len(args) == 2 {
				r.Glob = args[1]
			}
			s, err := sh.daemon().Show(cmd.Context(), r)
			if err != nil {
				return err
			}
			if r.Document && s.Document == "" {
				return &report.Problem{ID: "no-document", Exit: report.ExitUnavailable, Message: s.Alias + " has no document here yet: nobody who holds it was found",
					Try: []string{"flurry use " + s.Address + " --peer HOST"}}
			}
			return sh.answer(s, func(w io.Writer) {
				switch {
				case card:
					s.PrintCard(w)
				case r.Document:
					io.WriteString(w, s.Document)
					if s.Rival != "" {
						fmt.Fprintf(w, "\nThe root signed this, too, with the same serial. It is not followed.\n\n%s", s.Rival)
					}
				default:
					s.PrintText(w, time.Now())
				}
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&card, "card", false, "what to paste into a README")
	f.BoolVar(&r.Publications, "publications", false, "each act of publishing")
	f.BoolVar(&r.Writers, "writers", false, "who may publish")
	f.BoolVar(&r.Document, "document", false, "the signed document, as it is")
	f.BoolVar(&r.Revoked, "revoked", false, "what was dropped: revoked writers, publications and paths taken back, and why")
	e.add(cmd)
	return cmd
}
