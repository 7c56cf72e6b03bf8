package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// TestSetupStartingStates: whatever nix.conf is at first, setup connects Nix once or changes nothing at all, and undone the machine is byte
// for byte as it was, with its modes.
func TestSetupStartingStates(t *testing.T) {
	link := func(to string) func(*bench) error {
		return func(b *bench) error { return os.Symlink(to, b.Root+"/etc/nix/nix.conf") }
	}
	text := func(s string, mode os.FileMode) func(*bench) error {
		return func(b *bench) error {
			b.put("/etc/nix/nix.conf", s)
			return os.Chmod(b.Root+"/etc/nix/nix.conf", mode)
		}
	}
	for name, test := range map[string]struct {
		make    func(*bench) error
		then    string // what nix.conf is afterwards
		refused bool
	}{
		"absent":                         {func(*bench) error { return nil }, "!include flurry.conf\n", false},
		"empty":                          {text("", 0o644), "!include flurry.conf\n", false},
		"a line end":                     {text("\n", 0o644), "\n!include flurry.conf\n", false},
		"no line end":                    {text("cores = 2", 0o644), "cores = 2\n!include flurry.conf\n", false},
		"line ends of elsewhere":         {text("cores = 2\r\n", 0o644), "cores = 2\r\n!include flurry.conf\n", false},
		"connected already":              {text("!include flurry.conf\ncores = 2\n", 0o644), "!include flurry.conf\ncores = 2\n", false},
		"connected already, no line end": {text("cores = 2\n!include flurry.conf", 0o644), "cores = 2\n!include flurry.conf", false},
		"others included":                {text("include other.conf\n!include more.conf\n", 0o644), "include other.conf\n!include more.conf\n!include flurry.conf\n", false},
		"a comment about it":             {text("# !include flurry.conf\n", 0o644), "# !include flurry.conf\n!include flurry.conf\n", false},
		"no text":                        {text("\x00\xff\n", 0o644), "\x00\xff\n!include flurry.conf\n", false},
		"read-only":                      {text("cores = 2\n", 0o444), "cores = 2\n!include flurry.conf\n", false},
		"nobody's but root's":            {text("cores = 2\n", 0o600), "cores = 2\n!include flurry.conf\n", false},
		"a link":                         {link("/srv/nix.conf"), "", true},
		"a link that leads nowhere":      {link("gone"), "", true},
		"a directory":                    {func(b *bench) error { return os.Mkdir(b.Root+"/etc/nix/nix.conf", 0o755) }, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if err := errors.Join(os.Remove(b.Root+"/etc/nix/nix.conf"), test.make(b)); err != nil {
				t.Fatal(err)
			}
			before := b.tree()
			_, errs, code := b.flurry(0, "setup", "--yes")
			if test.refused {
				if code != report.ExitFailed || !strings.Contains(errs, "/etc/nix/nix.conf cannot be changed") || b.tree() != before || len(b.ran) > 0 {
					t.Errorf("%d %s%q\n%s", code, errs, b.ran, b.tree())
				}
				return
			}
			if got := b.read("/etc/nix/nix.conf"); code != report.ExitOK || got != test.then {
				t.Errorf("%d %s %q", code, errs, got)
			}
			if whole := b.tree(); !strings.HasPrefix(b.must("setup", "--yes"), "nothing to do") || b.tree() != whole {
				t.Error("a second setup changes something")
			}
			b.must("setup", "--undo", "--yes")
			if got := b.tree(); got != before {
				t.Errorf("undone:\n%s\nnot\n%s", got, before)
			}
		})
	}
}

// TestSetupEditedSince: what somebody makes of nix.conf after setup is theirs: undone, it lacks setup's line alone.
func TestSetupEditedSince(t *testing.T) {
	const whole = "# mine\ntrusted-users = root\ncores = 4\n!include flurry.conf\n"
	for name, test := range map[string]struct {
		now, then string
		code      int
	}{
		"a line after it":        {whole + "fallback = true\n", "# mine\ntrusted-users = root\ncores = 4\nfallback = true\n", report.ExitFailed},
		"no line end":            {whole + "fallback = true", "# mine\ntrusted-users = root\ncores = 4\nfallback = true", report.ExitFailed},
		"a line before it":       {"cores = 8\n!include flurry.conf\n", "cores = 8\n", report.ExitFailed},
		"blanks around it":       {"cores = 8\n  !include flurry.conf \n", "cores = 8\n", report.ExitFailed},
		"it alone":               {"!include flurry.conf\n", "", report.ExitFailed},
		"taken out":              {"cores = 8\n", "cores = 8\n", report.ExitOK},
		"put back as it was":     {"# mine\ntrusted-users = root\ncores = 4", "# mine\ntrusted-users = root\ncores = 4", report.ExitOK},
		"commented out":          {"# !include flurry.conf\n", "# !include flurry.conf\n", report.ExitOK},
		"emptied":                {"", "", report.ExitOK},
		"line ends of elsewhere": {"cores = 8\r\n!include flurry.conf\r\n", "cores = 8\r\n", report.ExitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.must("setup", "--yes")
			if b.read("/etc/nix/nix.conf") != whole {
				t.Fatal("setup writes something else")
			}
			b.put("/etc/nix/nix.conf", test.now)
			out, errs, code := b.flurry(0, "setup", "--undo", "--yes")
			if got := b.read("/etc/nix/nix.conf"); got != test.then || code != test.code {
				t.Errorf("%q, %d %s%s", got, code, out, errs)
			}
			if _, err := os.Lstat(b.Root + "/etc/nix/flurry.conf"); err == nil {
				t.Error("flurry.conf is left")
			}
			if out := b.must("setup", "--undo", "--yes"); !strings.HasPrefix(out, "nothing to do") {
				t.Errorf("once more: %s", out)
			}
		})
	}
}

// TestSetupPurgeStops: a purge that failed half way goes on when it is asked for again.
func TestSetupPurgeStops(t *testing.T) {
	b := newBench(t)
	before := b.tree()
	b.must("setup", "--yes")
	b.fails = "userdel"
	out, _, code := b.flurry(0, "setup", "--undo", "--purge", "--yes")
	if code != report.ExitFailed || !strings.Contains(out, "but the user flurry: ") || !b.users["flurry"] {
		t.Errorf("%d %s", code, out)
	}
	b.fails = ""
	if out := b.must("setup", "--undo", "--purge", "--yes"); !strings.Contains(out, "remove the user flurry\n") || b.users["flurry"] || b.tree() != before {
		t.Errorf("%s\n%s", out, b.tree())
	}
}

// TestSetupAsks: each answer to who is given what this machine uses is taken for what it says, and no answer for none.
func TestSetupAsks(t *testing.T) {
	for answers, want := range map[string]struct{ conf, errs string }{
		"n\ny\n":          {"[share]\nmode = \"none\"\n", ""},
		"Anyone\ny\n":     {"[share]\nmode = \"all\"\n", ""},
		"lan\nyes\n":      {"", ""},
		"\ny\n":           {"", ""},
		"what?\nall\ny\n": {"[share]\nmode = \"all\"\n", ""},
		"":                {"", "nothing was changed"},
		"a\n":             {"", "nothing was changed"},
		"a\nn\n":          {"", "nothing was changed"},
	} {
		b := newBench(t)
		before := b.tree()
		_, errs, code := b.asked(oneByOne{strings.NewReader(answers)}, "setup")
		if got := b.read("/etc/flurry/flurry.toml"); got != want.conf || !strings.Contains(errs, want.errs) || (code == report.ExitOK) != (want.errs == "") {
			t.Errorf("%q: %d %q\n%s", answers, code, got, errs)
		}
		if want.errs != "" && b.tree() != before {
			t.Errorf("%q: something was changed\n%s", answers, b.tree())
		}
	}
}

// TestSetupUndoneByHand: where nobody does it for them, people are told after --undo, too, that nix-daemon has to read nix.conf anew.
func TestSetupUndoneByHand(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*bench)
		args    []string
		told    bool
	}{
		"systemd":     {func(*bench) {}, nil, false},
		"by hand":     {func(b *bench) { os.RemoveAll(b.Root + "/run") }, nil, true},
		"no daemon":   {func(b *bench) { os.RemoveAll(b.Root + "/run"); os.RemoveAll(b.Root + nixSocketDir) }, nil, false},
		"without Nix": {func(b *bench) { os.RemoveAll(b.Root + "/run") }, []string{"--no-nix"}, false},
	} {
		b := newBench(t)
		test.prepare(b)
		b.must(append([]string{"setup", "--yes"}, test.args...)...)
		if out := b.must("setup", "--undo", "--yes"); strings.Contains(out, "\nStart nix-daemon anew: ") != test.told {
			t.Errorf("%s: %s", name, out)
		}
		if out := b.must("setup", "--undo", "--yes"); strings.Contains(out, "nix-daemon") {
			t.Errorf("%s, once more: %s", name, out)
		}
	}
}
