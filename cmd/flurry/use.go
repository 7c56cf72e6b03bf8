package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
)

// most is the most arguments of commands that take many.
const most = 1 << 20

func (sh *shell) useCommand() *cobra.Command {
	var r control.UseRequest
	fromNixConf := false
	cmd := &cobra.Command{
		Use:               "use NAMESPACE…",
		Short:             "let this machine's Nix accept what a namespace signs",
		Args:              sh.args(0, most),
		ValidArgsFunction: sh.completeNamespaces(most),
		SuggestFor:        []string{"add", "trust", "subscribe", "follow"},
		Example:           "  flurry use acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE=\n  flurry use cache.example.org-1:KEY --origin https://cache.example.org",
		Long: "NAMESPACE is the key of its publisher, name:base64, or what it is called here already, or one of\n" +
			knownNames() + ".\nWith an origin it is that HTTP cache: asked when peers lack a path, verified by the key, kept here.\n" +
			"--only bounds accidents, not malice: a publisher can give anything any name. With --threshold 2 no single\n" +
			"key, stolen or not, can give this machine's Nix anything.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if fromNixConf {
				if len(args) > 0 || r.Alias != "" || r.Origin != "" || len(r.Peers) > 0 || len(r.Only) > 0 || r.Threshold != 0 {
					return usage("flurry use --from-nix-conf", "--from-nix-conf stands alone")
				}
				return sh.useFromNixConf()
			}
			if len(args) == 0 {
				return usage("flurry use --help", "0 arguments; the form is: flurry use NAMESPACE…")
			}
			if r.Origin != "" && len(args) > 1 {
				return usage("flurry use --help", "--origin is of one namespace, not %d", len(args))
			}
			if r.Alias != "" && len(args) > 1 {
				return usage("flurry use --help", "--as names one namespace, not %d", len(args))
			}
			for _, a := range args {
				if err := sh.use(r, a); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&r.Alias, "as", "", "call it `ALIAS` here, instead of the key's name")
	cmd.Flags().StringArrayVar(&r.Peers, "peer", nil, "ask `PEER` first: HOST, HOST:PORT or a multiaddr; again for more")
	cmd.Flags().StringVar(&r.Origin, "origin", "", "it is the HTTP cache at `URL`")
	cmd.Flags().StringArrayVar(&r.Only, "only", nil, "take paths alone whose name matches `GLOB`; again for more; '*': all")
	cmd.Flags().IntVar(&r.Threshold, "threshold", 0, "take a path when `K` builders, each with a key of its own, agree on it; 1: anyone")
	cmd.Flags().BoolVar(&fromNixConf, "from-nix-conf", false, "use every HTTP cache that nix.conf names, with its key there")
	return cmd
}

// answerTime is what use has beyond --timeout, to go on the wire and to answer.
const answerTime = 15 * time.Second

// use puts one namespace in use.
func (sh *shell) use(r control.UseRequest, word string) error {
	r.Namespace = word
	if strings.Contains(word, ":") { // what is wrong with a key is known here
		if _, _, err := namespace.ParseHinted(word); err != nil {
			return keyProblem(word, err)
		}
	}
	if err := checkOnly(r.Only); err != nil {
		return badOnly(err)
	}
	if err := checkThreshold(r.Threshold, r.Origin); err != nil {
		return badThreshold(err)
	}
	for _, p := range r.Peers {
		if _, err := peer.ParsePeer(p); err != nil {
			return badPeer(err)
		}
	}
	// What takes time is to look for somebody, which is no error when it fails: the daemon ends it by itself.
	ctx := sh.untimed
	if r.Wait = sh.timeout; r.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Wait+answerTime)
		defer cancel()
	}
	u, err := sh.daemon().Use(ctx, r)
	if err != nil {
		return err
	}
	if err := sh.answer(u, u.PrintText); err != nil {
		return err
	}
	if !sh.json && !sh.quiet {
		for _, w := range u.Warnings {
			w.PrintWarning(sh.err)
		}
	}
	return nil
}

// nixConfDir is where nix.conf is.
func (sh *shell) nixConfDir() string {
	if dir := sh.getenv("NIX_CONF_DIR"); dir != "" {
		return dir
	}
	return "/etc/nix"
}

// useFromNixConf puts every HTTP cache in use that nix.conf names a key of.
func (sh *shell) useFromNixConf() error {
	dir := sh.nixConfDir()
	pairs, left := pairOrigins(readNixCaches(dir))
	if len(pairs) == 0 {
		p := &report.Problem{ID: "no-caches", Exit: report.ExitFailed, Message: "nix.conf names no HTTP cache", Found: []string{"read " + filepath.Join(dir, "nix.conf")},
			Try: []string{"flurry use cache.nixos.org", "flurry use KEY --origin URL"}}
		if len(left) > 0 {
			p.Message, p.Found = p.Message+" that flurry can be", append(p.Found, left...)
		}
		return p
	}
	for _, p := range pairs {
		err := sh.use(control.UseRequest{Origin: p.url}, p.key)
		var why *report.Problem
		switch {
		case err == nil:
		case errors.As(err, &why) && (why.Exit == report.ExitUsage || why.Exit == report.ExitRefused): // this one may not be: the others may
			left = append(left, shownOrigin(p.url)+": "+why.Message)
		default:
			return err
		}
	}
	if !sh.json && !sh.quiet {
		for _, why := range left {
			fmt.Fprintf(sh.err, "left out: %s\n", why)
		}
		if len(left) > 0 {
			fmt.Fprintln(sh.err, "  try: flurry use KEY --origin URL")
		}
	}
	return nil
}

func (sh *shell) leaveCommand() *cobra.Command {
	var r control.LeaveRequest
	cmd := &cobra.Command{
		Use:               "leave NAMESPACE",
		Short:             "stop accepting a namespace",
		Args:              sh.args(1, 1),
		ValidArgsFunction: sh.completeNamespaces(1),
		SuggestFor:        []string{"unuse", "remove", "rm", "distrust"},
		Example:           "  flurry leave acme-1\n  flurry leave acme-1 --purge --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace = args[0]
			if r.Purge {
				if err := sh.confirmPurge(cmd.Context(), r.Namespace); err != nil {
					return err
				}
			}
			l, err := sh.daemon().Leave(cmd.Context(), r)
			if err != nil {
				return err
			}
			return sh.answer(l, l.PrintText)
		},
	}
	cmd.Flags().BoolVar(&r.Purge, "purge", false, "forget what is known of it, too; asks first")
	return cmd
}

// confirmPurge asks, more urgently where more is lost.
func (sh *shell) confirmPurge(ctx context.Context, name string) error {
	if sh.yes {
		return nil
	}
	question := fmt.Sprintf("Forget all that is known of %s here, too?", name)
	if sh.inTerminal {
		s, err := sh.daemon().Show(ctx, control.ShowRequest{Namespace: name})
		if err != nil {
			return err
		}
		if s.Publisher {
			question = fmt.Sprintf("%s is published from here. Forget its document and all %d publications, too? Its key stays; its users will not take a document made anew.", name, s.Publications)
		}
	}
	return sh.confirm(question, "flurry leave "+name+" --purge")
}
