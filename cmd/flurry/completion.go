package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
)

// completionTime is how long a shell waits for words: longer feels broken.
const completionTime = 300 * time.Millisecond

func (sh *shell) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "completion SHELL",
		Short:                 "the script that makes SHELL complete flurry's commands: bash, zsh, fish",
		Args:                  sh.args(1, 1),
		ValidArgs:             []string{"bash", "zsh", "fish"},
		DisableFlagsInUseLine: true,
		Example:               "  flurry completion bash > /etc/bash_completion.d/flurry\n  flurry completion fish > ~/.config/fish/completions/flurry.fish",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(sh.out, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(sh.out)
			case "fish":
				return cmd.Root().GenFishCompletion(sh.out, true)
			}
			return usage("flurry completion bash", "there are no completions for %q; there are for bash, zsh and fish", args[0])
		},
	}
}

// completeNamespaces completes up to n namespaces that the daemon knows.
func (sh *shell) completeNamespaces(n int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= n {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return sh.knownNamespaces(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	}
}

// completePublish completes a namespace, then files.
func (sh *shell) completePublish(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return sh.knownNamespaces(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

// knownNamespaces asks the daemon. Without one there is nothing to complete.
func (sh *shell) knownNamespaces(ctx context.Context) []cobra.Completion {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	s, err := sh.daemon().Status(ctx, control.StatusRequest{})
	if err != nil {
		return nil
	}
	var out []cobra.Completion
	for _, n := range s.Namespaces {
		out = append(out, cobra.CompletionWithDesc(n.Alias, n.Key))
	}
	return out
}
