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
	"github.com/flurry-nix/flurry/report"
)

// version is what --version and status say.
const version = "0.1.0"

// exitInterrupted is the exit code after Ctrl-C.
const exitInterrupted = 130

// shell is one run of the command line: the environment and the global flags.
type shell struct {
	environment
	json    bool
	quiet   bool
	verbose int
	yes     bool
	socket  string
	config  string
	timeout time.Duration
}

// run carries out one command and returns its exit code.
func run(ctx context.Context, args []string, env environment) int {
	sh := &shell{environment: env}
	root := sh.command()
	root.SetArgs(args)
	root.SetIn(env.in)
	root.SetOut(env.out)
	root.SetErr(env.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return report.ExitOK
	}
	return sh.fail(ctx, err)
}

// fail says what went wrong and returns the exit code.
func (sh *shell) fail(ctx context.Context, err error) int {
	var quiet *exitError
	if errors.As(err, &quiet) {
		return quiet.code
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	var p *report.Problem
	if !errors.As(err, &p) {
		p = &report.Problem{ID: "failed", Message: err.Error(), Exit: report.ExitFailed}
		if errors.Is(err, context.DeadlineExceeded) {
			p = &report.Problem{ID: "timeout", Message: fmt.Sprintf("not done in %s", sh.timeout), Exit: report.ExitFailed, Try: []string{"a longer --timeout"}}
		}
	}
	if sh.json {
		fmt.Fprintf(sh.out, "%s\n", p.JSON())
	} else {
		p.Print(sh.err)
	}
	return p.Exit
}

// exitError ends a command with a code after it has said everything there is to say.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// exit is nil for code 0.
func exit(code int) error {
	if code == report.ExitOK {
		return nil
	}
	return &exitError{code}
}

// usage is an error in how a command was asked for.
func usage(format string, args ...any) error {
	return &report.Problem{ID: "usage", Message: fmt.Sprintf(format, args...), Exit: report.ExitUsage, Try: []string{"flurry help"}}
}

// command builds the tree of commands.
func (sh *shell) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "flurry",
		Short:         "a peer-to-peer binary cache for Nix",
		Long:          "flurry gives what you built with Nix to everybody who trusts you, with no company, bucket or server in between.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return sh.unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &report.Problem{ID: "usage", Message: err.Error(), Exit: report.ExitUsage, Try: []string{cmd.CommandPath() + " --help"}}
	})
	f := root.PersistentFlags()
	f.BoolVar(&sh.json, "json", false, "one JSON object on stdout, nothing else")
	f.BoolVarP(&sh.quiet, "quiet", "q", false, "no talk on stderr")
	f.CountVarP(&sh.verbose, "verbose", "v", "more talk; twice: all of it")
	f.BoolVar(&sh.yes, "yes", false, "do not ask")
	f.StringVar(&sh.socket, "socket", "", "the daemon's control socket")
	f.StringVar(&sh.config, "config", "", "the configuration file")
	f.DurationVar(&sh.timeout, "timeout", 0, "give up after so long")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if sh.timeout > 0 {
			ctx, cancel := context.WithTimeout(cmd.Context(), sh.timeout)
			cobra.OnFinalize(cancel)
			cmd.SetContext(ctx)
		}
		return nil
	}
	root.AddCommand(sh.useCommand(), sh.leaveCommand(), sh.newCommand(), sh.publishCommand(), sh.showCommand(),
		sh.statusCommand(), sh.whyCommand(), sh.daemonCommand(), sh.storeCommand(), sh.demoCommand())
	return root
}

// unknownCommand names the commands that the word may have meant.
func (sh *shell) unknownCommand(cmd *cobra.Command, word string) error {
	p := &report.Problem{ID: "unknown-command", Message: fmt.Sprintf("%q is not a command", word), Exit: report.ExitUsage, Try: []string{"flurry help"}}
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		p.Found = []string{"did you mean " + strings.Join(near, " or ") + "?"}
	}
	return p
}

// daemon is the client of the daemon that this command is for.
func (sh *shell) daemon() *control.Client { return control.Dial(sh.socketPath()) }

// socketPath finds the socket: --socket, FLURRY_SOCKET, that of FLURRY_STATE, the user's, the system's.
func (sh *shell) socketPath() string {
	switch {
	case sh.socket != "":
		return sh.socket
	case sh.getenv("FLURRY_SOCKET") != "":
		return sh.getenv("FLURRY_SOCKET")
	case sh.getenv("FLURRY_STATE") != "":
		return stateSocket(sh.getenv("FLURRY_STATE"))
	}
	if dir := sh.getenv("XDG_RUNTIME_DIR"); dir != "" {
		if user := filepath.Join(dir, "flurry", "control.sock"); isSocket(user) {
			return user
		}
	}
	return systemSocket
}

// systemSocket is where the system's daemon listens.
const systemSocket = "/run/flurry/control.sock"

// say writes talk to stderr, unless there is to be none.
func (sh *shell) say(format string, args ...any) {
	if !sh.quiet && !sh.json {
		fmt.Fprintf(sh.err, format+"\n", args...)
	}
}
