package main

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
)

func (sh *shell) statusCommand() *cobra.Command {
	var peers, watch bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "how the node is: Nix, sharing, network, store, namespaces",
		Args:    cobra.NoArgs,
		Example: "  flurry status\n  flurry status --peers --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for {
				s, err := sh.daemon().Status(cmd.Context(), control.StatusRequest{Peers: peers})
				if err != nil {
					return err
				}
				if watch && !sh.json {
					io.WriteString(sh.out, "\x1b[H\x1b[2J")
				}
				if err := sh.answer(s, func(w io.Writer) { s.PrintText(w, time.Now()) }); err != nil || !watch {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(time.Second):
				}
			}
		},
	}
	cmd.Flags().BoolVar(&peers, "peers", false, "a line for each peer")
	cmd.Flags().BoolVar(&watch, "watch", false, "again each second")
	return cmd
}

func (sh *shell) whyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "why PATH",
		Short:   "whether a path can be had, from whom, and if not, why",
		Args:    exactly(1, "why PATH"),
		Example: "  flurry why ./result\n  flurry why lsvsfxv3rkwdn7ipyir4mizrk7wh49wz",
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			if _, err := nix.ParsePathHash(path); err != nil {
				p, err := daemon.Resolve(path)
				if err != nil {
					return pathProblem(err)
				}
				path = p.String()
			}
			w, err := sh.daemon().Why(cmd.Context(), control.WhyRequest{Path: path})
			if err != nil {
				return err
			}
			if err := sh.answer(w, func(out io.Writer) { w.PrintText(out, time.Now()) }); err != nil {
				return err
			}
			return exit(w.Exit)
		},
	}
}

func (sh *shell) showCommand() *cobra.Command {
	var r control.ShowRequest
	var card bool
	cmd := &cobra.Command{
		Use:     "show NAMESPACE [GLOB]",
		Short:   "a namespace's card; with GLOB its paths by name",
		Args:    between(1, 2, "show NAMESPACE [GLOB]"),
		Example: "  flurry show acme-1 --card\n  flurry show acme-1 'widget-*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace = args[0]
			if len(args) == 2 {
				r.Glob = args[1]
			}
			s, err := sh.daemon().Show(cmd.Context(), r)
			if err != nil {
				return err
			}
			return sh.answer(s, func(w io.Writer) {
				switch {
				case card:
					s.PrintCard(w)
				case r.Document:
					io.WriteString(w, s.Document)
				default:
					s.PrintText(w, time.Now())
				}
			})
		},
	}
	cmd.Flags().BoolVar(&card, "card", false, "what to paste into a README")
	cmd.Flags().BoolVar(&r.Publications, "publications", false, "each act of publishing")
	cmd.Flags().BoolVar(&r.Writers, "writers", false, "who may publish")
	cmd.Flags().BoolVar(&r.Document, "document", false, "the signed document, as it is")
	return cmd
}

// exactly and between say how a command is to be asked for when the number of arguments is wrong.
func exactly(n int, form string) cobra.PositionalArgs { return between(n, n, form) }

func between(least, most int, form string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		word, _, _ := strings.Cut(form, " ")
		return usageTry("flurry "+word+" --help", "%d arguments; the form is: flurry %s", len(args), form)
	}
}
