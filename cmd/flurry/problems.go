package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer/static"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// keyProblem says what is wrong with a public key, and what to do about it. It is nil when err is.
func keyProblem(given string, err error) error {
	var key *nix.KeyError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &key):
		return &report.Problem{ID: "bad-key", Exit: report.ExitUsage, Message: err.Error(), Try: []string{`copy it again whole; the key itself ends in "="`}}
	case key.Kind == nix.SecretGiven:
		return secretGiven(key.Public)
	}
	p := &report.Problem{ID: "bad-key", Exit: report.ExitUsage, Message: key.Error(), Try: []string{`copy it again whole; it ends in "="`}}
	if key.Kind == nix.SeveralKeys {
		p.Message = fmt.Sprintf("these are %d keys, not one", key.Have)
		p.Found = strings.FieldsFunc(given, func(r rune) bool { return r <= ' ' || r == ',' })
		p.Try = []string{"one argument for each key"}
	}
	return p
}

func badPeer(err error) error {
	return &report.Problem{ID: "bad-peer", Exit: report.ExitUsage, Message: err.Error(), Try: []string{"--peer seed.acme.example        or --peer 203.0.113.9:7670"}}
}

// peerUnreachable warns of a named peer that was not reached.
func peerUnreachable(alias string, others int, why *static.UnreachableError) report.Problem {
	p := report.Problem{ID: "peer-unreachable", Message: why.Error(), Found: []string{fmt.Sprintf("%s goes on with %d other peers", alias, others)}}
	if others == 0 {
		p.Found = []string{"nobody else is known; it is tried again every minute"}
	}
	switch why.Reason {
	case static.NoSuchName:
		p.Try = []string{"is the name right?"}
	case static.NotFlurry:
		p.Try = []string{"its port for peers; without one, 7670 is meant"}
	case static.OtherVersion:
		p.Try = []string{"upgrade whichever is older"}
	default:
		p.Try = []string{"is its port open, TCP and UDP? is the name right? from there: flurry status"}
	}
	return p
}

// pathProblem says what is wrong with a path that somebody gave to a command.
func pathProblem(command string, err error) error {
	var path *daemon.PathError
	if !errors.As(err, &path) {
		return err
	}
	p := &report.Problem{ID: path.Kind.String(), Message: path.Error(), Exit: report.ExitUsage}
	switch path.Kind {
	case daemon.NotAStorePath:
		p.Try = []string{"flurry " + command + " ./result", fmt.Sprintf(`flurry %s "$(nix build --print-out-paths)"`, command)}
	case daemon.FlakeRef:
		p.Try = []string{fmt.Sprintf(`flurry %s "$(nix eval --raw %s.outPath)"`, command, path.Arg)}
		if command != "why" {
			p.Try = []string{fmt.Sprintf("nix build %s && flurry %s ./result", path.Arg, command)}
		}
	case daemon.BrokenLink:
		p.Message += " (collected by Nix?)"
		p.Try = []string{"nix build, then again"}
	case daemon.DerivationGiven:
		p.Try = []string{fmt.Sprintf(`flurry %s "$(nix build --print-out-paths '%s^*')"`, command, path.Found)}
	}
	return p
}

// publishProblem says why publishing failed, where a person can act on it.
func publishProblem(alias, state string, err error) error {
	var (
		problem  *report.Problem
		invalid  *daemon.NotValidError
		excluded *node.ExcludedRootError
		corrupt  *node.CorruptPathError
		down     *daemon.DownError
		refusal  *trust.Refusal
		full     *store.FullError
		clock    *node.ClockError
	)
	switch {
	case err == nil || errors.As(err, &problem):
		return err
	case errors.Is(err, daemon.ErrNoNix), errors.As(err, &down):
		return nixProblem(err)
	case errors.As(err, &clock):
		p := report.ClockSkew(clock.Ahead, clock.Peers)
		p.Exit = report.ExitFailed
		return p
	case errors.As(err, &invalid):
		return notValid(invalid)
	case errors.As(err, &excluded):
		return &report.Problem{ID: "excluded-root", Exit: report.ExitRefused, Message: fmt.Sprintf("%s: %s cannot be published: it needs something that is excluded", alias, excluded.Root),
			Found: []string{strings.Join(excluded.Chain, " -> ") + "        (" + excluded.Why + ")"},
			Try:   []string{"fix the package so that it does not refer to it (nix why-depends …)", "or --leave-out GLOB, if users have it by other means"}}
	case errors.As(err, &corrupt):
		return &report.Problem{ID: "store-corrupt", Exit: report.ExitFailed, Message: corrupt.Error() + ". Not published",
			Try: []string{"sudo nix-store --verify-path " + corrupt.Path.String(), "sudo nix-store --repair-path " + corrupt.Path.String()}}
	case errors.As(err, &refusal):
		return &report.Problem{ID: string(refusal.Why), Exit: report.ExitRefused, Message: refusal.Detail + ". Nothing was published", Try: []string{"ask " + alias + "'s owner"}}
	case errors.As(err, &full):
		p := diskFull(state, full)
		p.Found = []string{"the publication was not made; what is stored of it is not written again the next time"}
		return p
	}
	return err
}

// nixProblem says why this machine's Nix cannot be asked.
func nixProblem(err error) error {
	var down *daemon.DownError
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, daemon.ErrNoNix):
		return &report.Problem{ID: "no-nix", Exit: report.ExitFailed, Message: "no Nix store here (no daemon's socket, no nix-daemon to start), so there is nothing to take paths from",
			Try: []string{"the same on a machine with Nix"}}
	case errors.As(err, &down) && errors.Is(err, fs.ErrPermission):
		return &report.Problem{ID: "nix-daemon-down", Exit: report.ExitFailed, Message: down.Error(),
			Try: mayAskNix(down)}
	case errors.As(err, &down):
		return &report.Problem{ID: "nix-daemon-down", Exit: report.ExitFailed, Message: down.Error(), Try: []string{"sudo systemctl start nix-daemon"}}
	}
	return &report.Problem{ID: "nix-daemon-down", Exit: report.ExitFailed, Message: "this machine's Nix does not answer as it should", Found: []string{err.Error()},
		Try: []string{"sudo systemctl start nix-daemon        or, where there is none, run flurry daemon as the user who owns the store"}}
}

// mayAskNix is how who is refused by nix-daemon's socket comes to be let in.
func mayAskNix(down *daemon.DownError) []string {
	return []string{"sudo flurry setup        puts the service into the group that may", "as another user: sudo usermod -aG GROUP USER, with the group of " + filepath.Dir(down.Socket)}
}

// diskFull says which bound was met, and what then.
func diskFull(state string, full *store.FullError) *report.Problem {
	p := &report.Problem{ID: "disk-full", Exit: report.ExitFailed, Try: []string{"flurry store gc --dry-run        says what can go", "free room on the disk, then the same again"}}
	switch {
	case full.Cause != nil:
		p.Message = fmt.Sprintf("%s: writing failed: %v", state, full.Cause)
	case full.Quota != 0:
		p.Message = fmt.Sprintf("%s: %s of %s of quota are used: nothing new is stored", state, report.Size(full.Used), report.Size(full.Quota))
		p.Try = []string{"flurry store gc --dry-run        says what can go", "a larger quota: flurry daemon --quota SIZE, or [store] quota in flurry.toml"}
	default:
		p.Message = fmt.Sprintf("%s: %s free, under the reserve of %s: nothing new is stored", state, report.Size(full.Free), report.Size(full.Reserve))
	}
	return p
}

func notValid(err *daemon.NotValidError) error {
	path := err.Paths[0]
	p := &report.Problem{ID: "not-valid", Exit: report.ExitUnavailable, Message: fmt.Sprintf("%s is not valid in this machine's store: Nix does not know it", path),
		Found: []string{"there is no such directory"}, Try: []string{"nix-store --verify-path " + path.String(), "or build it: nix build …"}}
	if _, e := os.Lstat(path.String()); e == nil {
		p.Found = []string{"the directory exists: a build is running, or was interrupted"}
	}
	if more := len(err.Paths) - 1; more > 0 {
		p.Found = append(p.Found, fmt.Sprintf("and %d more like it", more))
	}
	return p
}

// unknownNamespace says which namespaces are known.
func unknownNamespace(word string, known []string) error {
	var names []string
	for _, k := range builtIn() {
		names = append(names, k.name)
	}
	here := "this machine knows none yet"
	if len(known) > 0 {
		here = "this machine knows: " + strings.Join(known, ", ")
	}
	p := &report.Problem{ID: "unknown-namespace", Exit: report.ExitUsage, Message: fmt.Sprintf("no namespace is called %.80q here", word),
		Found: []string{here + "; built in: " + strings.Join(names, ", ")}}
	example := word
	if near := nearest(word, append(known, names...)); near != "" {
		p.Found = append(p.Found, "did you mean "+near+"?")
		example = near
	}
	p.Try = []string{fmt.Sprintf("flurry use %.80s:BASE64=        (the whole key, from the project's page)", example)}
	return p
}
