// Package nixtest runs the real Nix for tests: it finds the tools or skips the
// test, keeps each test's caches apart, and builds small real store paths
// without nixpkgs or a network.
//
// It will not fake a Nix, and it imports nothing of this module, so that every
// package's tests may use it.
package nixtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Require skips the test when one of the tools is not on PATH, or fails it if
// the environment says FLURRY_REQUIRE_NIX=1, so that a continuous build cannot
// lose these tests silently. Without tools it looks for nix-store.
func Require(t testing.TB, tools ...string) {
	t.Helper()
	if len(tools) == 0 {
		tools = []string{"nix-store"}
	}
	for _, tool := range tools {
		_, err := exec.LookPath(tool)
		if err == nil {
			continue
		}
		if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
			t.Fatalf("this test needs the real Nix: %v", err)
		}
		t.Skipf("this test needs the real Nix: %v", err)
	}
}

// Command prepares a run of a Nix tool with caches and configuration of its
// own, so that no answer remembered from another run comes back.
func Command(t testing.TB, tool string, args ...string) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Env = append(os.Environ(),
		"HOME="+home,
		"XDG_CACHE_HOME="+home,
		"XDG_CONFIG_HOME="+home,
		"NIX_CONFIG=extra-experimental-features = nix-command\nsandbox = false\nsubstituters =\n",
	)
	return cmd
}

// Run runs a Nix tool and returns its standard output without the final
// newline. A failure ends the test.
func Run(t testing.TB, tool string, args ...string) string {
	t.Helper()
	cmd := Command(t, tool, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Build builds a Nix expression and returns the store path of its output, which
// is held by a garbage-collector root until the test ends.
func Build(t testing.TB, expression string) string {
	t.Helper()
	Require(t, "nix-build")
	return Run(t, "nix-build", "--out-link", filepath.Join(t.TempDir(), "result"), "-E", expression)
}

// Chain is the expression of n derivations named prefix-0 to prefix-(n-1), each
// referring to itself and to the two before it; its value is the last. Prefix
// is letters and dashes; another salt gives other paths of the same names.
func Chain(prefix, salt string, n int) string {
	return fmt.Sprintf(`
let
  sh = name: script: derivation {
    inherit name;
    salt = "%[2]s";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ("export PATH=/usr/bin:/bin; mkdir $out; " + script) ];
  };
  chain = builtins.genList (i:
    sh "%[1]s-${toString i}" ''
      echo $out $salt ${toString i} > $out/self
      ${if i > 0 then "echo ${builtins.elemAt chain (i - 1)} > $out/before" else ""}
      ${if i > 1 then "ln -s ${builtins.elemAt chain (i - 2)} $out/link" else ""}
      echo exit > $out/run; chmod +x $out/run
    '') %[3]d;
in builtins.elemAt chain (%[3]d - 1)`, prefix, salt, n)
}
