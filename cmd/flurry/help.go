package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// exitCodes is what the exit codes mean, for help and man pages.
const exitCodes = "0 done   1 failed   2 asked wrongly   3 no daemon, or you may not   4 refused   5 not available   6 too few copies   130 Ctrl-C"

// printHelp writes one screen about a command: what it does, its flags, two examples.
func printHelp(w io.Writer, cmd *cobra.Command) {
	if cmd.HasParent() {
		fmt.Fprintf(w, "%s\n\n  %s\n", form(cmd), cmd.Short)
	} else {
		fmt.Fprintf(w, "%s\n\n", cmd.Long)
	}
	if cmd.HasParent() && cmd.Long != "" {
		fmt.Fprintf(w, "\n%s\n", cmd.Long)
	}
	printCommands(w, cmd)
	printFlags(w, cmd)
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nexamples:\n%s\n", cmd.Example)
	}
	if !cmd.HasParent() {
		fmt.Fprintf(w, "\nexit codes:\n  %s\n", strings.Replace(exitCodes, "   4 ", "\n  4 ", 1))
	}
}

// printCommands writes the commands below cmd, by groups where there are groups.
func printCommands(w io.Writer, cmd *cobra.Command) {
	groups := []string{""}
	for _, g := range cmd.Groups() {
		groups = append(groups, g.ID)
	}
	width := 0
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			width = max(width, utf8.RuneCountInString(c.Use))
		}
	}
	blank := cmd.HasParent()
	for _, g := range groups {
		for k, c := range shownCommands(cmd, g) {
			if k == 0 && blank {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "  %-*s  %s\n", width, c.Use, c.Short)
			blank = true
		}
	}
}

// shownCommands are those of a group that help speaks of.
func shownCommands(cmd *cobra.Command, group string) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.GroupID == group && c.Name() != "help" {
			out = append(out, c)
		}
	}
	return out
}

// printFlags writes a command's own flags, and the names of the global ones; those of the root are explained there.
func printFlags(w io.Writer, cmd *cobra.Command) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	lead := "\n"
	var global []string
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			fmt.Fprintf(t, "%s  %s\t%s\n", lead, flagForm(f), flagWords(f))
			lead = ""
		}
	})
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && cmd.LocalNonPersistentFlags().Lookup(f.Name) == nil {
			global = append(global, "--"+f.Name)
		}
	})
	if len(global) > 0 {
		fmt.Fprintf(t, "\n  and %s: flurry --help\n", strings.Join(global, " "))
	}
}

// flagForm is how a flag is written: "-q, --quiet", "--peer PEER".
func flagForm(f *pflag.Flag) string {
	name, _ := pflag.UnquoteUsage(f)
	form := "--" + f.Name
	if f.Shorthand != "" {
		form = "-" + f.Shorthand + ", " + form
	}
	switch f.Value.Type() {
	case "bool", "count":
		return form
	}
	if f.NoOptDefVal != "" {
		return form + "[=" + name + "]"
	}
	return form + " " + name
}

// flagWords is what a flag does, with its default where that is not plain.
func flagWords(f *pflag.Flag) string {
	_, words := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "0", "[]", "0s":
		return words
	case "true":
		return words + " (--" + f.Name + "=false: not)"
	}
	return words + " (" + f.DefValue + ")"
}

func (sh *shell) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "what a command does",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				word := args[0]
				if len(rest) > 0 {
					word = rest[0]
				}
				return unknownCommand(root, word)
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}
