package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// runRequest is what `flurry run` was asked for.
type runRequest struct {
	use, peers []string
	publish    string                 // a namespace; empty: nothing is published
	filters    control.PublishRequest // of which only those are set
	copies     int
	drain      time.Duration
	onFailure  string
	loopback   bool
	key        string
}

// drainDefault is how long publishing and copying may take after the command has ended.
const drainDefault = 10 * time.Minute

func (sh *shell) runCommand() *cobra.Command {
	r := runRequest{copies: -1, drain: drainDefault, onFailure: "warn"}
	cmd := &cobra.Command{
		Use:   "run -- CMD…",
		Short: "run a command with a gateway, and publish what it built",
		Long: "CMD's Nix gets a gateway through NIX_CONFIG: the daemon's, if one runs that has all of --use in use, else one\n" +
			"of this command's own. What Nix built meanwhile is signed with FLURRY_KEY, which CMD does not see; without it\n" +
			"nothing is published. The exit status is CMD's. With --json, CMD writes to stderr alone.",
		SuggestFor: []string{"watch-exec", "exec"},
		Example: "  flurry run --use acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE= --peer seed.acme.example -- nix build\n" +
			"  flurry run --use acme-1:gUPS… --publish acme-1 --copies 1 -- nix build -L .#ci",
		Args: func(cmd *cobra.Command, args []string) error {
			if sh.version || len(args) > 0 && cmd.ArgsLenAtDash() == 0 {
				return nil
			}
			return usage("flurry run --use NAMESPACE -- nix build", "which command? The form is: %s", form(cmd))
		},
		RunE: func(cmd *cobra.Command, args []string) error { return sh.runWith(cmd, r, args) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&r.use, "use", nil, "let CMD's Nix accept what `NAMESPACE` signs; again for more")
	f.StringArrayVar(&r.peers, "peer", nil, "reach `PEER`: HOST, HOST:PORT or a multiaddr; again for more")
	f.StringVar(&r.publish, "publish", "", "publish what CMD built to `NAMESPACE`")
	filterFlags(f, &r.filters)
	f.IntVar(&r.copies, "copies", r.copies, "have `N` other machines copy it; 1, or with a daemon as publish")
	f.Lookup("copies").DefValue = ""
	f.Var((*durationFlag)(&r.drain), "drain", "give publishing and copying at most `DURATION` after CMD")
	f.Lookup("drain").DefValue = "10m"
	f.Var(wordFlag{&r.onFailure, []string{"warn", "fail"}}, "on-publish-failure", "then `WHAT`: warn, or fail with its exit status")
	loopbackFlag(f, &r.loopback)
	return cmd
}

// check refuses what makes no sense, before anything runs.
func (r runRequest) check(args []string) error {
	switch {
	case len(r.use) == 0 && r.publish == "":
		return usage("flurry run --use NAMESPACE -- "+args[0], "neither --use nor --publish: there is nothing to run it with")
	case r.drain <= 0:
		return usage("--drain 10m", "--drain: publishing takes longer than 0s")
	}
	if err := checkGlobs(slices.Concat(r.filters.Exclude, r.filters.LeaveOut)); err != nil {
		return usage("flurry run --help", "%v", err)
	}
	if _, err := parsePeers(r.peers); err != nil {
		return badPeer(err)
	}
	if _, err := exec.LookPath(args[0]); err != nil && !errors.Is(err, exec.ErrDot) {
		return usage("is it on PATH?", "%q cannot be run: %v", args[0], errors.Unwrap(err))
	}
	if r.key != "" && r.publish != "" {
		if _, err := nix.ParseSecretKey(r.key); err != nil {
			return secretProblem("FLURRY_KEY", err)
		}
	}
	return nil
}

// runWith runs the command, and publishes what it built.
func (sh *shell) runWith(cmd *cobra.Command, r runRequest, args []string) (err error) {
	ctx := cmd.Context()
	r.key = sh.givenSecret()
	if err := r.check(args); err != nil {
		return err
	}
	host, err := sh.runHost(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.close()) }()
	if sh.json {
		err = sh.answer(host.start, nil)
	} else {
		sh.say("flurry: %s", host.start)
	}
	if err != nil {
		return err
	}
	out := report.Run{Namespace: aliasOf(r.publish)}
	taker := sh.takerOf(ctx, host, r)
	defer taker.close()
	given := host.status(ctx).Gateway.Given
	if out.Status, err = sh.child(ctx, args, sh.childEnvironment(host)); err != nil {
		return err
	}
	out.Given = host.status(ctx).Gateway.Given - given
	out.Exit = out.Status
	if err := taker.take(ctx, &out); err != nil {
		return err
	}
	return sh.ran(r, out)
}

// ran says what became of what was built, and ends with the command's status or, if that was asked for, with that of a
// publishing that failed.
func (sh *shell) ran(r runRequest, out report.Run) error {
	if out.Problem != nil && r.onFailure == "fail" && out.Status == report.ExitOK {
		out.Exit = out.Problem.Exit
	}
	if sh.json {
		if err := sh.answer(out, nil); err != nil {
			return err
		}
		return exit(out.Exit)
	}
	if !sh.quiet {
		out.PrintText(sh.err)
	}
	if p := out.Problem; p != nil {
		p.Print(sh.err)
		if out.Exit != p.Exit {
			sh.say("flurry: exit status %d is not passed on: --on-publish-failure=%s", p.Exit, r.onFailure)
		}
	}
	return exit(out.Exit)
}

// childGrace is how long a command that was told to end may take.
const childGrace = 30 * time.Second

// exitSignalled is the exit status, as shells have it, of what a signal ended, less the signal.
const exitSignalled = 128

// child runs a command on this one's terminal and returns its exit status. When ctx ends it is told to end, and the error
// is that of ctx.
func (sh *shell) child(ctx context.Context, args, environ []string) (int, error) {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Stdin, c.Stdout, c.Stderr, c.Env = sh.in, sh.out, sh.err, environ
	if sh.json {
		c.Stdout = sh.err
	}
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = childGrace
	err := c.Run()
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	case !errors.As(err, &ended):
		return 0, err
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignalled + int(status.Signal()), nil
	}
	return ended.ExitCode(), nil
}

// childEnvironment is this command's environment without the secret key, and with the gateway in what Nix reads.
func (sh *shell) childEnvironment(h *runHost) []string {
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FLURRY_KEY=") })
	if h.start.Gateway == "" {
		return environ
	}
	environ = append(environ, "NIX_CONFIG="+nixConfig(sh.getenv("NIX_CONFIG"), h.start.Gateway, h.signer))
	for _, proxy := range []string{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"} {
		if sh.getenv(proxy) != "" { // a proxy is no way to this machine
			direct := "127.0.0.1"
			if have := first(sh.getenv("no_proxy"), sh.getenv("NO_PROXY")); have != "" {
				direct = have + "," + direct
			}
			return append(environ, "no_proxy="+direct)
		}
	}
	return environ
}

// nixConfig adds a gateway to what NIX_CONFIG says already.
func nixConfig(have, url, signer string) string {
	var b strings.Builder
	if have = strings.TrimRight(have, "\n"); have != "" {
		b.WriteString(have + "\n")
	}
	fmt.Fprintf(&b, "extra-substituters = %s\nextra-trusted-public-keys = %s\nnarinfo-cache-negative-ttl = %d\n", url, signer, runNegativeTTL/time.Second)
	return b.String()
}

// runNegativeTTL is how long a command's Nix remembers "not here": what another job publishes meanwhile is to be found.
const runNegativeTTL = time.Minute
