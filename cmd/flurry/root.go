package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	line                      []string // the command line, without the program
	json, quiet, yes, version bool
	verbose                   int
	state, socket, config     string
	timeout                   time.Duration

	untimed context.Context    // without --timeout
	cancel  context.CancelFunc // ends the time that --timeout gives
}

// run carries out one command and returns its exit code.
func run(ctx context.Context, args []string, env environment) int {
	sh := &shell{environment: env, line: args, json: asksForJSON(args), cancel: func() {}}
	defer func() { sh.cancel() }()
	if err := secretAmong(args); err != nil {
		return sh.fail(ctx, err)
	}
	root := sh.command()
	root.SetArgs(args)
	root.SetIn(env.in)
	root.SetOut(env.out)
	root.SetErr(env.err)
	if err := root.ExecuteContext(ctx); err != nil {
		return sh.fail(ctx, err)
	}
	return report.ExitOK
}

// asksForJSON looks for --json before the flags are read, so that an error in them is told in JSON, too.
func asksForJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json")
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
	p := sh.problem(err)
	if sh.json {
		fmt.Fprintf(sh.out, "%s\n", p.JSON())
	} else {
		p.Print(sh.err)
	}
	return p.Exit
}

// problem makes a Problem of any error.
func (sh *shell) problem(err error) *report.Problem {
	var p *report.Problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, context.DeadlineExceeded):
		return &report.Problem{ID: "timeout", Message: fmt.Sprintf("not done in %s", sh.timeout), Exit: report.ExitFailed, Try: []string{"a longer --timeout"}}
	default:
		return &report.Problem{ID: "failed", Message: err.Error(), Exit: report.ExitFailed}
	}
	if p.ID == "no-daemon" && len(p.Try) == 0 {
		p.Try = sh.howToStart()
	}
	return p
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
func usage(try, format string, args ...any) error {
	return &report.Problem{ID: "usage", Message: fmt.Sprintf(format, args...), Exit: report.ExitUsage, Try: []string{try}}
}

// command builds the tree of commands.
func (sh *shell) command() *cobra.Command {
	root := &cobra.Command{
		Use:               "flurry",
		Short:             "a peer-to-peer binary cache for Nix",
		Long:              "flurry gives what you built with Nix to everybody who trusts you, with no company, bucket or server in between.",
		Example:           "  flurry demo\n  flurry daemon --state ~/.local/state/flurry",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.ArbitraryArgs,
		RunE:              sh.group,
		PersistentPreRunE: sh.before,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetFlagErrorFunc(flagProblem)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd.OutOrStdout(), cmd) })
	root.SetHelpCommand(sh.helpCommand(root))
	f := root.PersistentFlags()
	f.BoolVar(&sh.json, "json", sh.json, "one JSON object on stdout and nothing else, errors too")
	f.BoolVarP(&sh.quiet, "quiet", "q", false, "no talk on stderr")
	f.CountVarP(&sh.verbose, "verbose", "v", "more talk; twice: all of it")
	f.BoolVar(&sh.yes, "yes", false, "do not ask")
	f.StringVar(&sh.state, "state", "", "the daemon's state directory `DIR`; its socket is DIR/control.sock")
	f.StringVar(&sh.socket, "socket", "", "the daemon's control socket `PATH`")
	f.StringVar(&sh.config, "config", "", "the configuration `FILE`")
	f.Var((*durationFlag)(&sh.timeout), "timeout", "give up after `DURATION`")
	f.BoolVar(&sh.version, "version", false, "print the version")
	f.Lookup("json").DefValue = "false"
	add := func(group string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: group, Title: group})
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("use", sh.useCommand(), sh.leaveCommand())
	add("publish", sh.newCommand(), sh.publishCommand(), sh.runCommand(), sh.pinCommand(), sh.retractCommand(), sh.writerCommand(), sh.showCommand())
	add("host", sh.seedCommand())
	add("look", sh.statusCommand(), sh.doctorCommand(), sh.whyCommand(), sh.waitCommand())
	add("machine", sh.setupCommand(), sh.daemonCommand(), sh.storeCommand(), sh.demoCommand(), sh.completionCommand())
	root.AddCommand(sh.manCommand(), sh.hookCommand())
	return root
}

// before runs before every command.
func (sh *shell) before(cmd *cobra.Command, _ []string) error {
	if sh.version {
		sh.printVersion()
		return &exitError{report.ExitOK}
	}
	sh.untimed = cmd.Context()
	if sh.timeout > 0 {
		ctx, cancel := context.WithTimeout(sh.untimed, sh.timeout)
		sh.cancel = cancel
		cmd.SetContext(ctx)
	}
	return nil
}

func (sh *shell) printVersion() {
	if sh.json {
		fmt.Fprintf(sh.out, "{\"schema\":\"flurry/version/1\",\"version\":%q}\n", version)
		return
	}
	fmt.Fprintln(sh.out, "flurry "+version)
}

// group is what a command does that only has others below it: it shows them.
func (sh *shell) group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return cmd.Help()
}

// unknownCommand names the commands that the word may have meant.
func unknownCommand(cmd *cobra.Command, word string) error {
	p := &report.Problem{ID: "unknown-command", Message: fmt.Sprintf("%q is not a command of %s", word, cmd.CommandPath()), Exit: report.ExitUsage, Try: []string{cmd.CommandPath() + " --help"}}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		p.Found = []string{"did you mean " + strings.Join(near, " or ") + "?"}
	}
	return p
}

// flagProblem says what is wrong with a flag.
func flagProblem(cmd *cobra.Command, err error) error {
	what := err.Error()
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		what = fmt.Sprintf("--%s: %v", bad.GetFlag().Name, errors.Unwrap(bad))
	}
	return usage(cmd.CommandPath()+" --help", "%s", what)
}

// args checks how many arguments there are, and that none is empty.
func (sh *shell) args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case sh.version:
			return nil
		case len(args) < least || len(args) > most:
			return usage(cmd.CommandPath()+" --help", "%d arguments; the form is: %s", len(args), form(cmd))
		case slices.Contains(args, ""):
			return usage(cmd.CommandPath()+" --help", "an argument is empty; the form is: %s", form(cmd))
		}
		return nil
	}
}

// form is how a command is asked for.
func form(cmd *cobra.Command) string {
	if cmd.HasParent() {
		return cmd.Parent().CommandPath() + " " + cmd.Use
	}
	return cmd.Use
}

// daemon is the client of the daemon that this command is for.
func (sh *shell) daemon() *control.Client { return control.Dial(sh.socketPath()) }

// say writes talk to stderr, unless there is to be none.
func (sh *shell) say(format string, args ...any) {
	if !sh.quiet && !sh.json {
		fmt.Fprintf(sh.err, format+"\n", args...)
	}
}
