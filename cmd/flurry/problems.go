package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// keyProblem says what is wrong with a key, and what to do about it. It is nil when err is.
func keyProblem(given string, err error) error {
	if err == nil {
		return nil
	}
	p := &report.Problem{ID: "bad-key", Exit: report.ExitUsage, Message: err.Error(), Try: []string{`copy it again whole; it ends in "="`}}
	var key *nix.KeyError
	if !errors.As(err, &key) {
		return p
	}
	p.Message = key.Error()
	switch key.Kind {
	case nix.SecretGiven:
		p.ID = "secret-key-given"
		p.Message = "this is a SECRET key. Do not paste it anywhere; its public half is " + key.Public
		p.Try = []string{"flurry use " + key.Public, "if this was typed into a shared terminal or a CI log, make a new key"}
	case nix.SeveralKeys:
		p.Found = strings.Fields(given)
		p.Try = []string{"one key at a time"}
	}
	return p
}

// pathProblem says what is wrong with a path that somebody gave.
func pathProblem(err error) error {
	var path *daemon.PathError
	if !errors.As(err, &path) {
		return err
	}
	p := &report.Problem{ID: path.Kind.String(), Message: path.Error(), Exit: report.ExitUsage}
	switch path.Kind {
	case daemon.NotAStorePath:
		p.Try = []string{"flurry publish acme-1 ./result", `flurry publish acme-1 "$(nix build --print-out-paths)"`}
	case daemon.FlakeRef:
		p.Try = []string{"nix build " + path.Arg + " && flurry publish acme-1 ./result", fmt.Sprintf(`flurry why "$(nix eval --raw %s.outPath)"`, path.Arg)}
	case daemon.BrokenLink:
		p.Message += " (collected by Nix?)"
		p.Try = []string{"nix build, then again"}
	case daemon.DerivationGiven:
		p.Try = []string{fmt.Sprintf(`flurry publish acme-1 "$(nix build --print-out-paths '%s^*')"`, path.Found)}
	}
	return p
}

// publishProblem says why publishing failed, where a person can act on it.
func publishProblem(alias string, err error) error {
	var (
		problem  *report.Problem
		invalid  *daemon.NotValidError
		excluded *node.ExcludedRootError
		corrupt  *node.CorruptPathError
		down     *daemon.DownError
		refusal  *trust.Refusal
		full     *store.FullError
	)
	switch {
	case errors.As(err, &problem):
		return err
	case errors.Is(err, daemon.ErrNoNix):
		return &report.Problem{ID: "no-nix", Exit: report.ExitFailed, Message: "no Nix store here (no /nix/store, no daemon socket), so there is nothing to take paths from",
			Try: []string{"the same on a machine with Nix"}}
	case errors.As(err, &down):
		return &report.Problem{ID: "nix-daemon-down", Exit: report.ExitFailed, Message: down.Error(), Try: []string{"sudo systemctl start nix-daemon"}}
	case errors.As(err, &invalid):
		return notValid(invalid)
	case errors.As(err, &excluded):
		return &report.Problem{ID: "excluded-root", Exit: report.ExitRefused, Message: fmt.Sprintf("%s: %s cannot be published: it needs something that is excluded", alias, excluded.Root),
			Found: []string{strings.Join(excluded.Chain, " -> ") + "        (" + excluded.Why + ")"},
			Try:   []string{"fix the package so that it does not refer to it (nix why-depends …); or --leave-out if users have it by other means"}}
	case errors.As(err, &corrupt):
		return &report.Problem{ID: "store-corrupt", Exit: report.ExitFailed, Message: corrupt.Error() + ". Not published",
			Try: []string{"sudo nix-store --verify-path " + corrupt.Path.String(), "sudo nix store repair " + corrupt.Path.String()}}
	case errors.As(err, &refusal):
		return &report.Problem{ID: string(refusal.Why), Exit: report.ExitRefused, Message: refusal.Error() + ". Nothing was published", Try: []string{"ask " + alias + "'s owner"}}
	case errors.As(err, &full):
		return &report.Problem{ID: "disk-full", Exit: report.ExitFailed, Message: full.Error() + ": nothing new is stored",
			Found: []string{"the publication was not made; what was stored stays and will not be written again"},
			Try:   []string{"free room on the disk, or give [store] a larger quota, then the same command"}}
	case errors.Is(err, node.ErrUnknownNamespace):
		return err
	}
	return err
}

func notValid(err *daemon.NotValidError) error {
	p := &report.Problem{ID: "not-valid", Exit: report.ExitUnavailable}
	for _, path := range err.Paths {
		state := "there is no such directory"
		if _, err := os.Lstat(path.String()); err == nil {
			state = "the directory exists: a build is running, or was interrupted"
		}
		p.Found = append(p.Found, state)
		p.Try = append(p.Try, "nix-store --verify-path "+path.String())
	}
	p.Message = fmt.Sprintf("%s is not valid in this machine's store: Nix does not know it", err.Paths[0])
	if more := len(err.Paths) - 1; more > 0 {
		p.Message += fmt.Sprintf(" (nor %d more)", more)
	}
	p.Found, p.Try = p.Found[:1], append(p.Try[:1], "or build it: nix build …")
	return p
}

// unknownNamespace says which namespaces are known.
func unknownNamespace(word string, known []string) error {
	p := &report.Problem{ID: "unknown-namespace", Exit: report.ExitUsage, Message: fmt.Sprintf("no namespace is called %q here", word),
		Found: []string{"this machine knows: " + strings.Join(known, ", ")}, Try: []string{"flurry use " + word + ":BASE64=        (the whole key, from the project's README)"}}
	if len(known) == 0 {
		p.Found = []string{"this machine knows none yet"}
	}
	if near := nearest(word, known); near != "" {
		p.Try = append(p.Try, "did you mean "+near+"?")
	}
	return p
}
