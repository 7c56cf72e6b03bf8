package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
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
func (b *bench) asked(somebody io.Reader, args ...string) (out, errs string, code int) {
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

// TestSetupTells: what becomes of a file that somebody else made what it is stands in the plan.
func TestSetupTells(t *testing.T) {
	const unit = "/etc/systemd/system/flurry.service"
	b := newBench(t)
	b.put(unit, "[Service]\n# by hand\n")
	before := b.tree()
	if out := b.must("setup", "--yes"); strings.Count(out, "(the one that is there is kept for --undo)") != 1 || !strings.Contains(out, unit+" (the one that is there") {
		t.Errorf("it was there before:\n%s", out)
	}
	b.put("/etc/flurry/flurry.toml", "[gateway]\nlisten = [\"127.0.0.1:7679\"]\n") // so that setup's own files are others
	if out := b.must("setup", "--yes"); !strings.Contains(out, "flurry.socket\n") || strings.Contains(out, "(the one") || strings.Contains(out, "(it was") {
		t.Errorf("it is setup's own:\n%s", out)
	}
	b.put(unit, "[Service]\n# by hand once more\n")
	if out := b.must("setup", "--yes"); !strings.Contains(out, unit+" (it was changed since the last setup: that is lost)\n") {
		t.Errorf("it was changed:\n%s", out)
	}
	if err := os.Remove(b.Root + "/etc/flurry/flurry.toml"); err != nil {
		t.Fatal(err)
	}
	if b.must("setup", "--undo", "--yes"); b.tree() != before {
		t.Errorf("undone:\n%s", b.tree())
	}
}

// TestSetupAsksOnce: who has said who is given what this machine uses is not asked again by a newer version.
func TestSetupAsksOnce(t *testing.T) {
	b := newBench(t)
	asked := func(answers string) (errs string, code int) {
		var out, err strings.Builder
		env := environment{in: oneByOne{strings.NewReader(answers)}, out: &out, err: &err, machine: b, program: b.program, inTerminal: true, getenv: func(string) string { return "" }}
		code = run(t.Context(), []string{"setup"}, env)
		return err.String(), code
	}
	if errs, code := asked("lan\ny\n"); code != report.ExitOK || !strings.Contains(errs, "Share what you get") {
		t.Fatalf("%d %s", code, errs)
	}
	b.put("/usr/local/bin/flurry", "the version of last year")
	if errs, code := asked("y\n"); code != report.ExitOK || strings.Contains(errs, "Share what you get") {
		t.Errorf("%d %s", code, errs)
	}
}

// oneByOne gives no more at once than somebody types.
type oneByOne struct{ of *strings.Reader }

func (o oneByOne) Read(to []byte) (int, error) { return o.of.Read(to[:1]) }

// TestSetupPurgeInUse: the state stays while a daemon has it open.
func TestSetupPurgeInUse(t *testing.T) {
	b := newBench(t)
	b.must("setup", "--yes")
	lock, err := durable.TryLock(b.Root + "/var/lib/flurry/lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, errs, code := b.flurry(0, "setup", "--undo", "--purge", "--yes"); code != report.ExitFailed || !strings.Contains(errs, "another flurry has /var/lib/flurry open") || b.read("/var/lib/flurry/keys/flurry-local-1.sec") == "" {
		t.Errorf("%d %s", code, errs)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	b.must("setup", "--undo", "--purge", "--yes")
	if _, err := os.Lstat(b.Root + "/var/lib/flurry"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}
