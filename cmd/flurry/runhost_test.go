package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// TestServes: the daemon does for a command only if its Nix would be given, and its key takes, what was asked for.
func TestServes(t *testing.T) {
	const key = "acme-1:gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE="
	status := func(change func(*report.Status)) report.Status {
		s := report.Status{Gateway: report.Gateway{URL: "http://127.0.0.1:7669", Signer: "flurry-local-1:x"},
			Namespaces: []report.Namespace{{Alias: "acme", Key: key, Trusted: true}, {Alias: "known", Key: "known-1:y"}}}
		change(&s)
		return s
	}
	for _, test := range []struct {
		name   string
		change func(*report.Status)
		use    []string
		to     string
		want   bool
	}{
		{"by alias", func(*report.Status) {}, []string{"acme"}, "", true},
		{"by key", func(*report.Status) {}, []string{key}, key, true},
		{"by key with hints", func(*report.Status) {}, []string{key + "?seed=/ip4/192.0.2.1/tcp/7670"}, "", true},
		{"not in use", func(*report.Status) {}, []string{"known"}, "", false},
		{"one of two", func(*report.Status) {}, []string{"acme", "known"}, "", false},
		{"unknown", func(*report.Status) {}, []string{"other-1:z"}, "", false},
		{"published to, not used", func(*report.Status) {}, nil, "known", true},
		{"published to, unknown", func(*report.Status) {}, []string{"acme"}, "other", false},
		{"it does not sign", func(s *report.Status) { s.Gateway.Signer = "" }, []string{"acme"}, "", false},
		{"no gateway", func(s *report.Status) { s.Gateway.URL = "" }, []string{"acme"}, "", false},
	} {
		if got := serves(status(test.change), runRequest{use: test.use, publish: test.to}); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
	if got := byKey(status(func(*report.Status) {}), []string{"acme", "else"}); !slices.Equal(got, []string{key, "else"}) {
		t.Errorf("%q", got)
	}
}

// TestNixConfig: the gateway is added to what NIX_CONFIG says, never in its place.
func TestNixConfig(t *testing.T) {
	const added = "extra-substituters = http://h\nextra-trusted-public-keys = k\nnarinfo-cache-negative-ttl = 60\n"
	for have, want := range map[string]string{"": added, "sandbox = false": "sandbox = false\n" + added, "a = b\n\n": "a = b\n" + added} {
		if got := nixConfig(have, "http://h", "k"); got != want {
			t.Errorf("%q: %q", have, got)
		}
	}
}

// TestChildEnvironment: a command does not see the secret key, and a proxy is not asked for this machine.
func TestChildEnvironment(t *testing.T) {
	t.Setenv("FLURRY_KEY", "acme-1:secret")
	h := &runHost{signer: "k", start: report.RunStart{Gateway: "http://127.0.0.1:1"}}
	sh := inShell(0, "http_proxy=http://proxy", "no_proxy=intra", "NIX_CONFIG=a = b")
	environ := sh.childEnvironment(h)
	if slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "FLURRY_KEY") }) {
		t.Error("the key is in the environment")
	}
	if !slices.Contains(environ, "no_proxy=intra,127.0.0.1") || !slices.Contains(environ, "NIX_CONFIG="+nixConfig("a = b", h.start.Gateway, "k")) {
		t.Errorf("%q", environ)
	}
	if slices.ContainsFunc(inShell(0).childEnvironment(h), func(v string) bool { return strings.HasPrefix(v, "no_proxy=intra") }) {
		t.Error("no_proxy without a proxy")
	}
}

// TestChildInterrupted: Ctrl-C ends the command, too, and nothing is published then.
func TestChildInterrupted(t *testing.T) {
	ctx, ctrlC := context.WithCancel(t.Context())
	ctrlC()
	code, s := runHere(ctx, "", nil, "run", "--publish", "acme-1", "--socket", "/nonexistent", "--", "sleep", "60")
	if code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	sh := inShell(0)
	sh.out, sh.err = &s.out, &s.err
	begun := time.Now()
	if _, err := sh.child(ctx, []string{"sleep", "60"}, nil); !errors.Is(err, context.Canceled) || time.Since(begun) > 20*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}

// TestTopmost: what others of the built need is theirs to bring.
func TestTopmost(t *testing.T) {
	path := func(base string) nix.StorePath {
		p, err := nix.ParseBaseName(base)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	lib, old := path("00bgd045z0d4icpbc2yyz4gx48ak44la-lib"), path("1b8m03r63zqhnjf7l5wnldhh7c134ap5-old")
	app := path("zvpj0850ymkq1iyzicy5s0123456789a-app")
	built := []daemon.PathInfo{{Path: lib, References: []nix.StorePath{lib}}, {Path: app, References: []nix.StorePath{lib, old, app}}}
	if got := topmost(built); !slices.Equal(got, []nix.StorePath{app}) {
		t.Errorf("%v", got)
	}
	if got := topmost(built[:1]); !slices.Equal(got, []nix.StorePath{lib}) {
		t.Errorf("%v", got)
	}
}

// TestNoCopies: what is said of a publication that has too few copies, with a daemon that goes on and without one.
func TestNoCopies(t *testing.T) {
	refused := report.Copies{Wanted: 1, Refused: []report.OfferRefused{{Node: "seed.acme.example", Why: "quota, 200 of 200 GB are live"}, {Node: "fra", Why: "no answer for 15s"}}}
	p := noCopies("acme-1", refused, true)
	if p.Exit != report.ExitCopies || !slices.Contains(p.Found, "seed.acme.example   refused: quota, 200 of 200 GB are live") ||
		!slices.Contains(p.Found, "fra                 no answer for 15s") || !slices.Contains(p.Found, "this machine has no daemon: when this command ends, the paths are gone") {
		t.Errorf("%+v", p)
	}
	if p := noCopies("acme-1", refused, false); !slices.Contains(p.Found, "it stays here, and is offered again every 10 min while the daemon runs") {
		t.Errorf("%+v", p)
	}
	if p := noCopies("acme-1", report.Copies{Wanted: 1}, true); !strings.Contains(p.Message, "the paths are gone") {
		t.Errorf("%+v", p)
	}
}

// TestPassing: seeds are asked again only when that may help.
func TestPassing(t *testing.T) {
	for why, want := range map[string]bool{"busy, later": true, "the connection broke": true, "quota, 1 of 1 GB are live": false, "no answer for 15s": false, "not hosted here": false} {
		if got := passing(report.OfferRefused{Why: why}); got != want {
			t.Errorf("%s: %t", why, got)
		}
	}
}
