package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

func (sh *shell) writerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "writer COMMAND",
		Short:   "who may publish to a namespace: list, add, revoke, key",
		Args:    cobra.ArbitraryArgs,
		RunE:    sh.group,
		Example: "  flurry writer add acme-1 --generate ci-main > ci-main.sec\n  flurry writer revoke acme-1 ci-main --after 2026-11-20T00:00Z",
	}
	cmd.AddCommand(sh.writerListCommand(), sh.writerAddCommand(), sh.writerRevokeCommand(), sh.writerKeyCommand())
	return cmd
}

func (sh *shell) writerListCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "list NAMESPACE",
		Short:             "who may publish, and who might",
		Args:              sh.args(1, 1),
		ValidArgsFunction: sh.completeNamespaces(1),
		Example:           "  flurry writer list acme-1\n  flurry writer list acme-1 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := sh.daemon().Writers(cmd.Context(), control.NamespaceRequest{Namespace: args[0]})
			if err != nil {
				return err
			}
			return sh.answer(w, func(out io.Writer) { w.PrintText(out, time.Now()) })
		},
	}
}

func (sh *shell) writerAddCommand() *cobra.Command {
	var r control.AddWriterRequest
	cmd := &cobra.Command{
		Use:               "add NAMESPACE [KEY]",
		Short:             "let a key publish, from now on",
		Long:              "KEY is the public half of a key that somebody made: flurry writer key NAME. With --generate the secret half is\nwritten to stdout, once, and kept nowhere. The root key signs: the daemon's, or FLURRY_KEY.",
		Args:              sh.args(1, 2),
		ValidArgsFunction: sh.completeNamespaces(1),
		Example:           "  flurry writer add acme-1 --generate ci-main > ci-main.sec\n  flurry writer add acme-1 second-1:Xw0= --expires 180d",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace, r.Root = args[0], sh.givenSecret()
			if len(args) == 2 {
				r.Writer = args[1]
				if _, err := nix.ParsePublicKey(r.Writer); err != nil {
					return keyProblem(r.Writer, err)
				}
			}
			if cmd.Flags().Changed("expires") && r.Expires < time.Minute {
				return usage("--expires 180d", "--expires: a writer publishes for a minute or longer; without it for good")
			}
			c, err := sh.daemon().AddWriter(cmd.Context(), r)
			if err != nil {
				return err
			}
			if sh.json {
				return sh.answer(c, nil)
			}
			if c.Secret != "" {
				if _, err := fmt.Fprintln(sh.out, c.Secret); err != nil {
					return err
				}
			}
			if !sh.quiet {
				c.PrintAdded(sh.err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&r.Generate, "generate", "", "make a key called `NAME`, and write its secret half to stdout")
	cmd.Flags().Var((*durationFlag)(&r.Expires), "expires", "it may publish for `DURATION`; for good, where nothing is said")
	return cmd
}

func (sh *shell) writerKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "key NAME",
		Short:             "make a key here that may become a writer's, and print its public half",
		Args:              sh.args(1, 1),
		ValidArgsFunction: cobra.NoFileCompletions,
		Example:           "  flurry writer key thismachine-1\n  flurry writer add acme-1 \"$(flurry writer key thismachine-1)\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := sh.daemon().WriterKey(cmd.Context(), control.WriterKeyRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return sh.answer(k, k.PrintText)
		},
	}
}

func (sh *shell) writerRevokeCommand() *cobra.Command {
	var r control.PlanRevocationRequest
	var after string
	var without bool
	cmd := &cobra.Command{
		Use:               "revoke NAMESPACE WRITER",
		Short:             "end a writer for good, and drop what it should not have published",
		Long:              "What stays is named one by one: what this node, or a seed of the namespace, had received by --after (until\nnow, where nothing is said). Everything else under that key is void everywhere from the next sync on, whatever\ndate it bears. Asks first.",
		Args:              sh.args(2, 2),
		ValidArgsFunction: sh.completeNamespaces(1),
		Example:           "  flurry writer revoke acme-1 ci-main --after 2026-11-20T00:00Z\n  flurry writer revoke acme-1 ci-main --all --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace, r.Writer = args[0], args[1]
			if after != "" {
				t, err := parseMoment(after)
				if err != nil {
					return usage("--after 2026-11-20T00:00Z", "--after: %v", err)
				}
				r.After = &t
			}
			plan, err := sh.daemon().PlanRevocation(cmd.Context(), r)
			if err != nil {
				return err
			}
			sh.say("%s", plan)
			if len(plan.Silent) > 0 && plan.Dropped > 0 && sh.yes && !without {
				return &report.Problem{ID: "seed-silent", Exit: report.ExitFailed, Message: fmt.Sprintf("%s was not revoked: %d of the seeds that may have what it published in time did not answer", plan.Name, len(plan.Silent)),
					Found: plan.Silent, Try: []string{"again, when they are there", "--without-silent, to drop for ever what only they may have had in time"}}
			}
			if err := sh.confirm(fmt.Sprintf("Revoke %s?", plan.Name), "flurry writer revoke "+args[0]+" "+args[1]); err != nil {
				return err
			}
			c, err := sh.daemon().Revoke(cmd.Context(), control.RevokeRequest{Plan: plan, Root: sh.givenSecret()})
			if err != nil {
				return err
			}
			return sh.answer(c, c.PrintRevoked)
		},
	}
	f := cmd.Flags()
	f.StringVar(&after, "after", "", "keep what was received by `TIME`, such as 2026-11-20T00:00Z or 2026-11-20")
	f.BoolVar(&r.All, "all", false, "keep nothing")
	f.StringArrayVar(&r.Peers, "peer", nil, "ask the seed `PEER`, too, what it had by then; again for more")
	f.BoolVar(&without, "without-silent", false, "with --yes: go on although a seed that was to be asked did not answer")
	return cmd
}

// parseMoment reads a time as people write it: to the second, the minute or the day, in UTC where no zone is given.
func parseMoment(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a time such as 2026-11-20T00:00Z", s)
}

func (sh *shell) retractCommand() *cobra.Command {
	var r control.RetractRequest
	cmd := &cobra.Command{
		Use:               "retract NAMESPACE PATH|PUBLICATION",
		Short:             "do not give this to anybody any more",
		Long:              "A path is taken back whoever of the namespace published it; a publication is named by its id or the beginning\nof it (flurry show NAMESPACE --publications). The root key signs: the daemon's, or FLURRY_KEY. Asks first.",
		Args:              sh.args(2, 2),
		ValidArgsFunction: sh.completeNamespaces(1),
		SuggestFor:        []string{"withdraw", "delete", "unpublish"},
		Example:           "  flurry retract acme-1 /nix/store/2fz…-widget-config --reason \"contains a token\"\n  flurry retract acme-1 7f3a91c2 --reason \"built from the wrong branch\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace, r.What, r.Root = args[0], args[1], sh.givenSecret()
			if r.Reason == "" {
				return usage(`--reason "contains a token"`, "retract why? People are shown the reason")
			}
			if !isHex(r.What) {
				p, err := daemon.Resolve(r.What)
				if err != nil {
					return pathProblem("retract "+args[0], err)
				}
				r.What = p.String()
			} else if len(r.What) < 8 {
				return usage("flurry show "+args[0]+" --publications", "%q: a publication is named by 8 characters of its id or more", r.What)
			}
			if err := sh.confirm(fmt.Sprintf("Take %s back from everybody?", r.What), fmt.Sprintf("flurry retract %s %s --reason %q", args[0], args[1], r.Reason)); err != nil {
				return err
			}
			done, err := sh.daemon().Retract(cmd.Context(), r)
			if err != nil {
				return err
			}
			return sh.answer(done, done.PrintText)
		},
	}
	cmd.Flags().StringVar(&r.Reason, "reason", "", "say why, for people: `TEXT`")
	return cmd
}

// isHex reports whether a word is the beginning of a publication's id.
func isHex(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func (sh *shell) pinCommand() *cobra.Command {
	var r control.PinRequest
	var expired bool
	cmd := &cobra.Command{
		Use:               "pin NAMESPACE [NAME [PATH…]]",
		Short:             "keep paths under a name, with a history; without NAME: list the pins",
		Long:              "PATH is published already (publish has --pin). Without PATH the pin's own rule is changed. What a pin keeps is\nrenewed by nodes that have a key of the root or of its writer, as long as it keeps it.",
		Args:              sh.args(1, most),
		ValidArgsFunction: sh.completeNamespaces(1),
		Example:           "  flurry pin acme-1\n  flurry pin acme-1 v1.4.2 ./result --keep-last 5",
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			rule := given("keep-last") || given("keep-for")
			switch {
			case expired && (len(args) > 1 || rule || r.Delete):
				return usage("flurry pin "+args[0]+" --expired", "--expired lists, and changes nothing")
			case expired:
				return sh.expired(cmd, args[0])
			case len(args) == 1 && (rule || r.Delete):
				return usage("flurry pin --help", "which pin? The form is: %s", form(cmd))
			case len(args) == 1:
				return sh.pins(cmd, args[0])
			case given("keep-last") && given("keep-for"), r.Delete && (rule || len(args) > 2):
				return usage("flurry pin --help", "--keep-last, --keep-for and --delete are three ways; one of them")
			case given("keep-last") && r.KeepLast < 1, given("keep-for") && r.KeepFor < time.Second:
				return usage("flurry pin --help", "a pin keeps 1 version or more; to end it: --delete")
			case len(args) == 2 && !rule && !r.Delete:
				return usage("flurry pin "+args[0]+" "+args[1]+" ./result", "pin what? No path was given")
			}
			r.Namespace, r.Name, r.Key = args[0], args[1], sh.givenSecret()
			for _, a := range args[2:] {
				p, err := daemon.Resolve(a)
				if err != nil {
					return pathProblem("pin "+args[0], err)
				}
				r.Paths = append(r.Paths, p.String())
			}
			p, err := sh.daemon().Pin(cmd.Context(), r)
			if err != nil {
				return err
			}
			return sh.answer(p, p.PrintText)
		},
	}
	f := cmd.Flags()
	f.IntVar(&r.KeepLast, "keep-last", 0, "keep the last `N` versions; 1, or what the pin says already, where nothing is said")
	f.Lookup("keep-last").DefValue = ""
	f.Var((*durationFlag)(&r.KeepFor), "keep-for", "keep versions for `DURATION`, instead of a number")
	f.BoolVar(&expired, "expired", false, "list what has expired or will soon, what goes first when room is needed before the rest")
	f.BoolVar(&r.Delete, "delete", false, "end the pin: what it alone kept lives as long as it was published for")
	return cmd
}

func (sh *shell) expired(cmd *cobra.Command, space string) error {
	e, err := sh.daemon().Expired(cmd.Context(), control.NamespaceRequest{Namespace: space})
	if err != nil {
		return err
	}
	return sh.answer(e, func(w io.Writer) { e.PrintText(w, time.Now()) })
}

func (sh *shell) pins(cmd *cobra.Command, space string) error {
	p, err := sh.daemon().Pins(cmd.Context(), control.NamespaceRequest{Namespace: space})
	if err != nil {
		return err
	}
	return sh.answer(p, p.PrintText)
}

// editFlags are those with which `show --edit` changes a document.
type editFlags struct {
	edit  bool
	about string
	keep  time.Duration
	seeds []string
}

func (e *editFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&e.edit, "edit", false, "sign the document anew, for another year, with what the next three say")
	f.StringVar(&e.about, "about", "", "with --edit: what it is, in one line: `TEXT`")
	f.Var((*durationFlag)(&e.keep), "keep", "with --edit: publications live for `DURATION`")
	f.StringArrayVar(&e.seeds, "seed", nil, "with --edit: a seed's `MULTIADDR`, instead of those in it; again for more")
}

// request is the change that was asked for.
func (e *editFlags) request(cmd *cobra.Command, space, root string) (control.EditRequest, error) {
	r := control.EditRequest{Namespace: space, Root: root}
	given := cmd.Flags().Changed
	if !e.edit && (given("about") || given("keep") || given("seed")) {
		return r, usage("flurry show "+space+" --edit", "--about, --keep and --seed are about --edit, which is not there")
	}
	if given("about") {
		r.About = &e.about
	}
	if given("keep") {
		r.Keep = &e.keep
	}
	if given("seed") {
		r.Seeds = &e.seeds
	}
	return r, nil
}

// edit signs a document anew.
func (sh *shell) edit(cmd *cobra.Command, r control.EditRequest) error {
	e, err := sh.daemon().Edit(cmd.Context(), r)
	if err != nil {
		return err
	}
	return sh.answer(e, func(w io.Writer) { report.Edited.PrintText(e, w) })
}
