package main

import (
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/internal/setup"
	"github.com/flurry-nix/flurry/report"
)

// TestSetupBusy: while one setup is at work another does nothing, nor does an undo.
func TestSetupBusy(t *testing.T) {
	b := newBench(t)
	b.must("setup", "--yes", "--no-nix")
	work, err := setup.Begin(b, "/etc/flurry/setup")
	if err != nil {
		t.Fatal(err)
	}
	before := b.tree()
	b.ran = nil
	for _, args := range [][]string{{"setup", "--yes"}, {"setup", "--undo", "--yes"}, {"setup", "--undo", "--purge", "--yes"}} {
		if _, errs, code := b.flurry(0, args...); code != report.ExitFailed || !strings.Contains(errs, "another flurry setup is changing this machine; nothing was done") ||
			b.tree() != before || len(b.ran) > 0 || b.read("/var/lib/flurry/keys/flurry-local-1.sec") == "" {
			t.Errorf("%q: %d %s%q", args, code, errs, b.ran)
		}
	}
	if err := work.End(); err != nil {
		t.Fatal(err)
	}
	b.must("setup", "--yes")
}

// thinker is somebody who is asked, and in the meantime does something else.
type thinker struct {
	meanwhile []func() // before each answer
	answers   strings.Reader
}

func (p *thinker) Read(to []byte) (int, error) {
	if len(p.meanwhile) > 0 {
		p.meanwhile[0]()
		p.meanwhile = p.meanwhile[1:]
	}
	p.answers.Reset("y\n")
	return p.answers.Read(to)
}

// asked runs flurry for somebody at a terminal.
func (b *bench) asked(somebody *thinker, args ...string) (out, errs string, code int) {
	b.t.Helper()
	var stdout, stderr strings.Builder
	env := environment{in: somebody, out: &stdout, err: &stderr, machine: b, program: b.program, inTerminal: true, getenv: func(string) string { return "" }}
	code = run(b.t.Context(), args, env)
	return stdout.String(), stderr.String(), code
}

// TestSetupMeanwhile: what is changed while somebody thinks about the plan is not undone by it, and what they have not seen is not
// done.
func TestSetupMeanwhile(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	const theirs = "cores = 64\n"
	edit := &thinker{meanwhile: []func(){func() { b.put("/etc/nix/nix.conf", theirs) }}}
	if out, errs, code := b.asked(edit, "setup", "--share", "lan"); code != report.ExitOK || b.read("/etc/nix/nix.conf") != theirs+includeLine+"\n" {
		t.Fatalf("%d %s%s\n%q", code, out, errs, b.read("/etc/nix/nix.conf"))
	}
	b.must("setup", "--undo", "--yes")
	if b.read("/etc/nix/nix.conf") != theirs {
		t.Errorf("undone: %q", b.read("/etc/nix/nix.conf"))
	}
	b.put("/etc/nix/nix.conf", "# mine\ntrusted-users = root\ncores = 4")
	if b.tree() != before {
		t.Fatalf("undone:\n%s\nnot\n%s", b.tree(), before)
	}

	port := &thinker{meanwhile: []func(){func() { b.put("/etc/flurry/flurry.toml", "[gateway]\nlisten = [\"127.0.0.1:7679\"]\n") }}}
	out, errs, code := b.asked(port, "setup", "--share", "lan")
	if code != report.ExitOK || !strings.Contains(errs, "this machine has changed meanwhile") || strings.Count(out, "http://127.0.0.1:7669") != 1 || strings.Count(out, "http://127.0.0.1:7679") != 1 ||
		!strings.Contains(b.read("/etc/nix/flurry.conf"), "http://127.0.0.1:7679") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	b.must("setup", "--undo", "--yes")

	another := &thinker{meanwhile: []func(){func() { b.must("setup", "--yes") }}}
	out, errs, code = b.asked(another, "setup", "--share", "lan")
	if code != report.ExitOK || !strings.Contains(out, "nothing to do: flurry is installed") || strings.Contains(out, "done.") {
		t.Errorf("%d %s%s", code, out, errs)
	}
}
