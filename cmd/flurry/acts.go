package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

func usageTry(try, format string, args ...any) error {
	return &report.Problem{ID: "usage", Message: fmt.Sprintf(format, args...), Exit: report.ExitUsage, Try: []string{try}}
}

func (sh *shell) useCommand() *cobra.Command {
	var r control.UseRequest
	cmd := &cobra.Command{
		Use:     "use NAMESPACE…",
		Short:   "let this machine's Nix accept what a namespace signs",
		Args:    between(1, 1000, "use NAMESPACE…"),
		Example: "  flurry use acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE=\n  flurry use acme-1:gUPS… --peer seed.acme.example",
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.Alias != "" && len(args) > 1 {
				return usageTry("flurry use --help", "--as names one namespace, not %d", len(args))
			}
			for _, a := range args {
				one := r
				one.Namespace = a
				if err := sh.checkKey(a); err != nil {
					return err
				}
				u, err := sh.daemon().Use(cmd.Context(), one)
				if err != nil {
					return err
				}
				if err := sh.answer(u, u.PrintText); err != nil {
					return err
				}
				if !sh.json {
					for _, w := range u.Warnings {
						w.PrintWarning(sh.err)
					}
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&r.Alias, "as", "", "what to call it here")
	cmd.Flags().StringArrayVar(&r.Peers, "peer", nil, "a place to ask first: HOST, HOST:PORT or a multiaddr")
	return cmd
}

// checkKey refuses a malformed key with what is wrong with it, before anybody is asked. An alias passes.
func (sh *shell) checkKey(word string) error {
	if !strings.Contains(word, ":") {
		return nil
	}
	_, _, err := namespace.ParseHinted(word)
	return keyProblem(word, err)
}

func (sh *shell) leaveCommand() *cobra.Command {
	var r control.LeaveRequest
	cmd := &cobra.Command{
		Use:     "leave NAMESPACE",
		Short:   "stop accepting a namespace",
		Args:    exactly(1, "leave NAMESPACE"),
		Example: "  flurry leave acme-1\n  flurry leave acme-1 --purge --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace = args[0]
			if r.Purge {
				if err := sh.confirm(fmt.Sprintf("Forget everything that is known of %s here, too?", r.Namespace)); err != nil {
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
	cmd.Flags().BoolVar(&r.Purge, "purge", false, "forget what is known of it, too")
	return cmd
}

// confirm asks, unless --yes; without a terminal it refuses.
func (sh *shell) confirm(question string) error {
	if sh.yes {
		return nil
	}
	if !sh.interactive {
		return usageTry("the same with --yes", "%s Nobody is here to ask", question)
	}
	fmt.Fprintf(sh.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(sh.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a == "y" || a == "yes" {
		return nil
	}
	return &exitError{report.ExitUsage}
}

func (sh *shell) newCommand() *cobra.Command {
	var r control.NewRequest
	var keyFile, keep string
	cmd := &cobra.Command{
		Use:     "new [NAME]",
		Short:   "make a namespace here, or adopt a Nix signing key as one",
		Args:    between(0, 1, "new [NAME]"),
		Example: "  flurry new acme-1\n  flurry new --key /etc/nix/acme-1.sec",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (keyFile != "") {
				return usageTry("flurry new --help", "a namespace is made from a NAME or from --key FILE")
			}
			if len(args) == 1 {
				r.Name = args[0]
			}
			if keyFile != "" {
				key, err := readKeyFile(keyFile)
				if err != nil {
					return err
				}
				r.Key = key.Text()
			}
			var err error
			if r.Keep, err = parseDuration(keep); err != nil {
				return usage("--keep: %v", err)
			}
			n, err := sh.daemon().New(cmd.Context(), r)
			if err != nil {
				return err
			}
			return sh.answer(n, n.PrintText)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "a Nix secret key file to adopt")
	cmd.Flags().StringVar(&r.About, "description", "", "one line for people")
	cmd.Flags().StringVar(&keep, "keep", "90d", "how long publications live")
	cmd.Flags().StringVar(&r.Share, "share", "", "lan: only on the local network; all")
	return cmd
}

// readKeyFile reads a Nix secret key that the person who runs the command may read.
func readKeyFile(name string) (nix.SecretKey, error) {
	if strings.HasPrefix(name, nix.StoreDir+"/") {
		return nix.SecretKey{}, &report.Problem{ID: "key-in-store", Exit: report.ExitUsage,
			Message: fmt.Sprintf("a key in /nix/store can be read by everybody, for ever: %s", name), Try: []string{"make a new one: flurry new NAME"}}
	}
	info, err := os.Stat(name)
	if err != nil {
		return nix.SecretKey{}, usage("--key: %v", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nix.SecretKey{}, &report.Problem{ID: "key-readable", Exit: report.ExitFailed,
			Message: fmt.Sprintf("%s is readable by others (%04o); not used", name, info.Mode().Perm()), Try: []string{"chmod 600 " + name}}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nix.SecretKey{}, usage("--key: %v", err)
	}
	key, err := nix.ParseSecretKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nix.SecretKey{}, keyProblem(name, err)
	}
	return key, nil
}

func (sh *shell) publishCommand() *cobra.Command {
	var r control.PublishRequest
	var keep, maxSize string
	cmd := &cobra.Command{
		Use:     "publish NAMESPACE [PATH…]",
		Short:   "give the closure of paths to a namespace",
		Args:    between(1, 1<<20, "publish NAMESPACE [PATH…]"),
		Example: "  flurry publish acme-1 ./result\n  nix build --print-out-paths | flurry publish acme-1",
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Namespace = args[0]
			paths, err := sh.paths(args[1:])
			if err != nil {
				return err
			}
			r.Paths, r.Key = paths, sh.getenv("FLURRY_KEY")
			if r.Keep, err = parseDuration(keep); err != nil {
				return usage("--keep: %v", err)
			}
			size, err := parseSize(maxSize)
			if err != nil {
				return usage("--max-size: %v", err)
			}
			r.MaxSize = uint64(size)
			bar := sh.bar(r.Namespace)
			result, err := sh.daemon().Publish(cmd.Context(), r, func(p report.PublishProgress) { bar.set(p.BytesDone, p.Bytes) })
			bar.end()
			if err != nil {
				return err
			}
			return sh.answer(result, result.PrintText)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.DryRun, "dry-run", false, "say what would be published, with sizes")
	f.BoolVar(&r.Full, "full", false, "take what upstream caches have, too")
	f.StringArrayVar(&r.Exclude, "exclude", nil, "do not publish paths of this name, nor what needs them")
	f.StringArrayVar(&r.LeaveOut, "leave-out", nil, "do not publish paths of this name, but what needs them")
	f.StringVar(&maxSize, "max-size", "0", "exclude paths larger than this")
	f.StringVar(&keep, "keep", "0s", "how long it lives; 0s: as the namespace says")
	f.StringVar(&r.Pin, "pin", "", "a name under which the roots are kept")
	f.IntVar(&r.KeepLast, "keep-last", 1, "how many versions of the pin are kept")
	return cmd
}

// paths resolves the arguments to store paths; without any it reads them from stdin.
func (sh *shell) paths(args []string) ([]string, error) {
	if len(args) == 0 {
		if f, ok := sh.in.(*os.File); ok && isTerminal(f) {
			return nil, usageTry("flurry publish acme-1 ./result", "publish what? No path was given")
		}
		lines := bufio.NewScanner(sh.in)
		for lines.Scan() {
			args = append(args, strings.Fields(lines.Text())...)
		}
		if err := lines.Err(); err != nil {
			return nil, err
		}
		if len(args) == 0 {
			return nil, usageTry("flurry publish acme-1 ./result", "publish what? Nothing came on stdin")
		}
	}
	paths := make([]string, 0, len(args))
	for _, a := range args {
		p, err := daemon.Resolve(a)
		if err != nil {
			return nil, pathProblem(err)
		}
		paths = append(paths, p.String())
	}
	return paths, nil
}
