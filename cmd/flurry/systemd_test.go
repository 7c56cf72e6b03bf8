package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/report"
)

// mostExposed is how much the service may do at the most, by the judgement of systemd-analyze, of 100.
const mostExposed = "17"

// TestUnits: the service manager understands the unit files, and finds that the system's service may do little; and the program understands
// what they start it with.
func TestUnits(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	analyze, missing := exec.LookPath("systemd-analyze")
	for _, kind := range []string{"system", "user"} {
		dir := t.TempDir()
		var files []string
		for _, name := range []string{"flurry.service", "flurry.socket"} {
			text, err := os.ReadFile(filepath.Join("systemd", kind, name))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=/usr/local/bin/flurry daemon")
				if !ok {
					continue
				}
				sh := inShell(0)
				daemon, _, err := sh.command().Find([]string{"daemon"})
				if err != nil {
					t.Fatal(err)
				}
				if err := daemon.ParseFlags(strings.Fields(command)); err != nil {
					t.Errorf("%s/%s: %v", kind, name, err)
				}
				// Setup writes no configuration where the defaults do, and the unit names one all the same.
				if _, err := os.Lstat(systemConfig); err != nil {
					if code, s := runHere(t.Context(), "", nil, append([]string{"daemon", "--check"}, strings.Fields(command)...)...); code != report.ExitOK {
						t.Errorf("%s/%s, without %s: %d %s", kind, name, systemConfig, code, &s.err)
					}
				}
			}
			installed := strings.ReplaceAll(strings.ReplaceAll(string(text), "/usr/local/bin/flurry", self), "Documentation=man:flurry(1)\n", "")
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(installed), 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		if missing != nil {
			continue
		}
		verify := exec.Command(analyze, append([]string{"verify", "--" + kind}, files...)...)
		verify.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
		if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
		if kind == "system" {
			security := exec.Command(analyze, "security", "--offline=true", "--threshold="+mostExposed, filepath.Join(dir, "flurry.service"))
			if out, err := security.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
	if missing != nil {
		t.Skip("no systemd-analyze to read the units with")
	}
}
