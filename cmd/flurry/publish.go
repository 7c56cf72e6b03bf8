package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

func (sh *shell) publishCommand() *cobra.Command {
	var r control.PublishRequest
	c := control.CopiesRequest{Copies: -1}
	var pathsFrom string
	var loopback bool
	var auto unnamed
	cmd := &cobra.Command{
		Use:               "publish NAMESPACE [PATH…]",
		Short:             "give paths, and all they need, to a namespace",
		Long:              "PATH is a store path or a link to one; without any, stdin lists them. FLURRY_KEY=name:base64 signs instead of\na key of the daemon's; with it and a whole key as NAMESPACE no daemon is needed: others fetch from here.",
		Args:              sh.args(1, most),
		ValidArgsFunction: sh.completePublish,
		SuggestFor:        []string{"push", "upload", "copy"},
		Example:           "  flurry publish acme-1 ./result --dry-run\n  flurry publish acme-1 --always --exclude '*-secrets'",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace = args[0]
			if err := checkPublish(cmd, r); err != nil {
				return err
			}
			r.Key = sh.givenSecret()
			if auto.asked() {
				if err := auto.check(cmd, args); err != nil {
					return err
				}
				if auto.watch {
					return sh.watchBuilds(cmd.Context(), r, c)
				}
				return sh.publishUnnamed(cmd.Context(), auto, r)
			}
			var err error
			if r.Paths, err = sh.paths(r.Namespace, args[1:], pathsFrom); err != nil {
				return err
			}
			return sh.publishCopied(cmd.Context(), r, c, loopback)
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Copies, "copies", c.Copies, "end when `N` other machines have it; below 0: 1 if the namespace has seeds, else 0")
	f.Lookup("copies").DefValue = ""
	f.BoolVar(&c.NoWait, "no-wait", false, "copies are made in the background")
	f.StringArrayVar(&c.Peers, "peer", nil, "offer it to `PEER`, too: HOST, HOST:PORT or a multiaddr; again for more")
	f.BoolVar(&r.DryRun, "dry-run", false, "say what would be published, with sizes")
	filterFlags(f, &r)
	f.Var((*durationFlag)(&r.Keep), "keep", "it lives for `DURATION`, instead of what the namespace says")
	f.StringVar(&r.Pin, "pin", "", "keep the paths under the name `NAME`")
	f.IntVar(&r.KeepLast, "keep-last", 1, "keep the last `N` versions of the pin")
	f.Var((*durationFlag)(&r.KeepFor), "keep-for", "keep versions of the pin for `DURATION`, instead of a number")
	f.StringVar(&pathsFrom, "paths-from", "", "read paths from `FILE`, one a line; - is stdin")
	auto.flags(cmd)
	loopbackFlag(f, &loopback)
	return cmd
}

// filterFlags are the flags that choose what of a closure is published.
func filterFlags(f *pflag.FlagSet, r *control.PublishRequest) {
	f.BoolVar(&r.Full, "full", false, "take what upstream caches have, too")
	f.StringArrayVar(&r.Exclude, "exclude", nil, "leave out paths whose name matches `GLOB`, and what needs them; again for more")
	f.StringArrayVar(&r.LeaveOut, "leave-out", nil, "leave out paths whose name matches `GLOB`, not what needs them; again for more")
	f.Var((*sizeFlag)(&r.MaxSize), "max-size", "exclude paths larger than `SIZE`")
}

// loopbackFlag keeps a command's own node off every network, for trying out.
func loopbackFlag(f *pflag.FlagSet, loopback *bool) {
	f.BoolVar(loopback, "loopback", false, "without a daemon: listen to peers on loopback alone, for trying out")
	f.Lookup("loopback").Hidden = true
}

// publishCopied publishes, then has others copy it, and shows how far that is.
func (sh *shell) publishCopied(ctx context.Context, r control.PublishRequest, c control.CopiesRequest, loopback bool) (err error) {
	d, own, done, err := sh.publisher(ctx, r.Namespace, c.Peers, loopback)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	result, err := sh.publish(ctx, d, r)
	if err != nil {
		return err
	}
	c.Namespace, c.Publications = r.Namespace, result.Publications
	if len(c.Publications) == 0 && c.Copies > 0 {
		c.Publications = result.Existing // what is published already may lack copies
	}
	if r.DryRun || len(c.Publications) == 0 {
		return sh.answer(result, result.PrintText)
	}
	if own && (c.Copies < 0 || c.NoWait) {
		c.Copies, c.NoWait = max(1, c.Copies), false // nothing is left of it otherwise
	}
	copies, err := sh.copies(ctx, d, c)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) { // it is published all the same
		result.Exit = report.ExitCopies
		if err := sh.answer(result, result.PrintText); err != nil || sh.json {
			return errors.Join(err, exit(report.ExitCopies))
		}
		return &report.Problem{ID: "drain-timeout", Exit: report.ExitCopies, Message: fmt.Sprintf("%s are over: published, and not all copies are made", sh.timeout),
			Found: []string{"it is offered again every 10 min while the daemon runs"}, Try: []string{"a longer --timeout", fmt.Sprintf("flurry wait PATH --copies %d", max(1, c.Copies))}}
	}
	if err != nil {
		return err
	}
	result.Copies = copies.Copies
	short := !copies.Enough() && !c.NoWait
	if short {
		result.Exit = report.ExitCopies
	}
	if err := sh.answer(result, result.PrintText); err != nil || !short {
		return err
	}
	if sh.json {
		return exit(report.ExitCopies)
	}
	return noCopies(result.Namespace, copies, own)
}

// publish has d publish, and shows how far that is.
func (sh *shell) publish(ctx context.Context, d control.Daemon, r control.PublishRequest) (report.Publish, error) {
	bar := sh.progress(aliasOf(r.Namespace))
	defer bar.end()
	return d.Publish(ctx, r, func(p report.PublishProgress) {
		if sh.json {
			_ = sh.answer(p, nil) // what cannot be written is found out with the outcome
			return
		}
		bar.set(p.BytesDone, p.Bytes, "reading "+p.String())
	})
}

// copies has others copy what was published. A bar a peer on a terminal; else nothing until it is done.
func (sh *shell) copies(ctx context.Context, d control.Daemon, c control.CopiesRequest) (report.Copies, error) {
	bars := make(map[string]*progress)
	defer func() {
		for _, b := range bars {
			b.end()
		}
	}()
	return d.Copies(ctx, c, func(p report.OfferProgress) {
		if sh.json {
			_ = sh.answer(p, nil) // what cannot be written is found out with the outcome
			return
		}
		b := bars[p.Peer]
		if b == nil {
			b = sh.progress(p.Node)
			bars[p.Peer] = b
		}
		if p.State == "have" {
			b.set(p.Have, p.Of, "taking what it lacks")
		}
	})
}

// noCopies says that fewer have what was published than were to. own: no daemon goes on with it.
func noCopies(space string, c report.Copies, own bool) *report.Problem {
	p := &report.Problem{ID: "no-copies", Exit: report.ExitCopies}
	switch {
	case len(c.Copies) > 0:
		p.Message = fmt.Sprintf("%s: %d of %d copies are made", space, len(c.Copies), c.Wanted)
		if len(c.Refused) == 0 {
			p.Found = []string{"no other seed of it was found"}
		}
	case len(c.Refused) == 0:
		p.Message = space + " has no seed: it is available only while this machine is on and reachable"
		p.Try = []string{"on another machine: flurry seed " + space + ":…"}
		if own {
			p.Message = space + ": no seed was found, and this machine has no daemon: when this command ends, the paths are gone"
			p.Try = []string{"--peer HOST, where a seed is", p.Try[0]}
		}
		return p
	default:
		p.Message = fmt.Sprintf("%s: published on this machine only; none of %d seeds took it", space, len(c.Refused))
	}
	for _, r := range c.Refused {
		word := "refused: "
		if strings.HasPrefix(r.Why, "no answer") || strings.HasPrefix(r.Why, "does not") || strings.HasPrefix(r.Why, "the connection") {
			word = ""
		}
		p.Found = append(p.Found, fmt.Sprintf("%-18s  %s%s", r.Node, word, r.Why))
	}
	if own {
		if len(c.Copies) == 0 {
			p.Found = append(p.Found, "this machine has no daemon: when this command ends, the paths are gone")
		}
		p.Try = []string{"another seed: --peer HOST"}
		return p
	}
	p.Found = append(p.Found, "it stays here, and is offered again every 10 min while the daemon runs")
	p.Try = []string{fmt.Sprintf("flurry wait PATH --copies %d", c.Wanted), "flurry publish " + space + " PATH --copies 0      (if this machine stays on)"}
	return p
}

// checkPublish refuses flags that make no sense.
func checkPublish(cmd *cobra.Command, r control.PublishRequest) error {
	given := cmd.Flags().Changed
	try := "flurry publish --help"
	switch {
	case r.Pin == "" && (given("keep-last") || given("keep-for")):
		return usage("--pin NAME", "--keep-last and --keep-for are about a pin, and there is none")
	case given("keep-last") && given("keep-for"):
		return usage(try, "--keep-last and --keep-for are two ways; one of them")
	case r.KeepLast < 1 || r.KeepLast > namespace.MaxPinLast:
		return usage(try, "--keep-last: %d is not between 1 and %d", r.KeepLast, namespace.MaxPinLast)
	case given("keep-for") && (r.KeepFor < time.Second || r.KeepFor > namespace.MaxPinFor):
		return usage(try, "--keep-for: a pin keeps versions for 1s to %s", days(namespace.MaxPinFor))
	case given("keep") && (r.Keep < time.Second || r.Keep > namespace.MaxLife):
		return usage(try, "--keep: a publication lives for 1s to %s", days(namespace.MaxLife))
	}
	for _, g := range append(r.Exclude[:len(r.Exclude):len(r.Exclude)], r.LeaveOut...) {
		if _, err := path.Match(g, ""); err != nil {
			return usage(try, "%q is not a glob: %v", g, err)
		}
	}
	return nil
}

// paths resolves what is to be published to space: arguments, and what a file or stdin lists, to store paths.
func (sh *shell) paths(space string, args []string, from string) ([]string, error) {
	switch {
	case from == "" && len(args) > 0:
	case from == "" && sh.inTerminal:
		return nil, usage("flurry publish "+space+" ./result", "publish what? No path was given")
	case from == "" || from == "-":
		read, err := words(sh.in)
		if err != nil {
			return nil, err
		}
		args = append(args, read...)
	default:
		f, err := os.Open(from)
		if err != nil {
			return nil, usage("flurry publish --help", "--paths-from: %v", err)
		}
		defer f.Close()
		read, err := words(f)
		if err != nil {
			return nil, err
		}
		args = append(args, read...)
	}
	if len(args) == 0 {
		return nil, usage("flurry publish "+space+" ./result", "publish what? Nothing was listed")
	}
	out := make([]string, 0, len(args))
	for _, a := range args {
		p, err := daemon.Resolve(a)
		if err != nil {
			return nil, pathProblem("publish "+space, err)
		}
		out = append(out, p.String())
	}
	return out, nil
}

// words reads what is listed, at most what one request can hold.
func words(r io.Reader) ([]string, error) {
	var out []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		out = append(out, strings.Fields(lines.Text())...)
		if len(out) > most {
			return nil, usage("flurry publish --help", "more than %d paths are listed", most)
		}
	}
	return out, lines.Err()
}
