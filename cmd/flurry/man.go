package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (sh *shell) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write the manual pages into a directory",
		Hidden: true,
		Args:   sh.args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			return writePages(args[0], cmd.Root())
		},
	}
}

// writePages writes the page of cmd and those of all below it.
func writePages(dir string, cmd *cobra.Command) error {
	name := pageName(cmd)
	if err := os.WriteFile(filepath.Join(dir, name+".1"), manPage(cmd), 0o644); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		if err := writePages(dir, c); err != nil {
			return err
		}
	}
	return nil
}

// pageName is a command as its page is called: flurry-store-check.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage is a command's manual page, in the macros of man(7).
func manPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"flurry %s\" \"flurry manual\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(roff(pageName(cmd))), version, roff(pageName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(form(cmd)))
	if cmd.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(cmd.Long))
	}
	if commands := shown(cmd); len(commands) > 0 {
		fmt.Fprintf(&b, ".SH COMMANDS\n")
		for _, c := range commands {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(pageName(c)), roff(c.Short))
		}
	}
	manFlags(&b, cmd)
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	if cmd.HasParent() {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", roff(pageName(cmd.Parent())))
		return b.Bytes()
	}
	fmt.Fprintf(&b, ".SH EXIT STATUS\n%s\n", roff(exitCodes))
	fmt.Fprintf(&b, ".SH ENVIRONMENT\n")
	for _, e := range environmentWords() {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(e[0]), roff(e[1]))
	}
	fmt.Fprintf(&b, ".SH FILES\n")
	for _, f := range fileWords() {
		fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(f[0]), roff(f[1]))
	}
	return b.Bytes()
}

// shown are all commands below cmd that help speaks of.
func shown(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			out = append(out, c)
		}
	}
	return out
}

func manFlags(b *bytes.Buffer, cmd *cobra.Command) {
	first := true
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if first {
			fmt.Fprintf(b, ".SH OPTIONS\n")
			first = false
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(flagForm(f)), roff(flagWords(f)))
	})
}

// roff is text in which nothing is a request or an escape.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "…", "...").Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

// environmentWords are the variables that flurry heeds, and what for.
func environmentWords() [][2]string {
	return [][2]string{
		{"FLURRY_CONFIG, FLURRY_SOCKET, FLURRY_STATE", "as --config, --socket and --state."},
		{"FLURRY_KEY", "the secret key to publish with, name:base64. It is never printed, and never given on the command line."},
		{"FLURRY_LOG", "what the daemon logs: error, warn, info (the default) or debug."},
		{"NIX_REMOTE, NIX_STATE_DIR, NIX_DAEMON_SOCKET_PATH", "where this machine's Nix is, for the daemon."},
		{"XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR", "where the files of a daemon are that a user runs."},
	}
}

// fileWords are flurry's files, and what is in them.
func fileWords() [][2]string {
	return [][2]string{
		{systemConfig, "the configuration. It need not be there."},
		{systemState, "the state: keys, packs, index, namespaces.toml."},
		{systemSocket, "the control socket."},
	}
}
