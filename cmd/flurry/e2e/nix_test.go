package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// needNix skips a test on a machine without Nix, and fails it where Nix is required.
func needNix(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nix-store"); err == nil {
		return
	}
	if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
		t.Fatal("no nix-store on PATH, and FLURRY_REQUIRE_NIX=1")
	}
	t.Skip("no nix-store on PATH: this test needs Nix")
}

// nixRun runs a Nix program with a home of its own, so that no earlier answer is remembered.
func nixRun(t *testing.T, home string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home, "NIX_CONFIG=", "NIX_USER_CONF_FILES=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out.String(), nil
}

// pkg is a package to build: size bytes, half of them noise, and its dependencies. The seed tells packages of one name
// apart.
type pkg struct {
	name string
	seed int
	size int
	deps []int // indexes of packages before it
}

// build builds packages with the real Nix and returns their store paths, in the order of pkgs. tag makes the paths
// this test's own: other tags are other hashes over the same content.
func build(t *testing.T, tag string, pkgs ...pkg) []nix.StorePath {
	t.Helper()
	needNix(t)
	file := filepath.Join(t.TempDir(), "default.nix")
	if err := os.WriteFile(file, []byte(expression(tag, pkgs...)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := nixRun(t, t.TempDir(), "nix-build", "--no-out-link", "--option", "sandbox", "false", "--option", "substitute", "false", file)
	if err != nil {
		t.Fatal(err)
	}
	var paths []nix.StorePath
	for _, line := range strings.Fields(out) {
		p, err := nix.ParseStorePath(line)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	if len(paths) != len(pkgs) {
		t.Fatalf("%d packages made %d paths", len(pkgs), len(paths))
	}
	t.Cleanup(func() { nixRun(t, os.TempDir(), append([]string{"nix-store", "--delete"}, words(paths)...)...) })
	return paths
}

// expression is a Nix expression for packages, a list of them in their order.
func expression(tag string, pkgs ...pkg) string {
	var expr strings.Builder
	expr.WriteString("let\n  mk = name: seed: size: deps: derivation { inherit name seed size deps; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" ''\n" +
		"    export PATH=/usr/bin:/bin; mkdir -p $out/lib; for d in $deps; do echo $d >> $out/lib/deps; done; echo $out > $out/self\n" +
		"    head -c $size /dev/urandom > $out/lib/noise; yes $out | head -c $size > $out/lib/words; cp $out/lib/noise $out/lib/again\n  '' ]; tag = \"" + tag + "\"; };\n")
	for i, p := range pkgs {
		var deps []string
		for _, d := range p.deps {
			deps = append(deps, fmt.Sprintf("p%d", d))
		}
		fmt.Fprintf(&expr, "  p%d = mk %q %q %q [ %s ];\n", i, p.name, fmt.Sprint(p.seed), fmt.Sprint(p.size/3), strings.Join(deps, " "))
	}
	expr.WriteString("in [")
	for i := range pkgs {
		fmt.Fprintf(&expr, " p%d", i)
	}
	return expr.String() + " ]\n"
}

func words(paths []nix.StorePath) []string {
	var out []string
	for _, p := range paths {
		out = append(out, p.String())
	}
	return out
}

// small is a closure of some twenty packages and 8 MB, the last of which needs all others.
func small(t *testing.T, tag string) []nix.StorePath {
	t.Helper()
	var pkgs []pkg
	for i := range 20 {
		p := pkg{name: fmt.Sprintf("small-%d", i), seed: i, size: 20_000 * (1 + i%7)}
		if i > 0 {
			p.deps = []int{0, i / 2}
		}
		pkgs = append(pkgs, p)
	}
	all := make([]int, len(pkgs))
	for i := range all {
		all[i] = i
	}
	return build(t, tag, append(pkgs, pkg{name: "small-root", seed: 99, size: 1000, deps: all})...)
}

// copyFrom copies paths with `nix copy` from a cache into a store of its own, trusting key alone, and compares the NARs.
// Nix runs where p does.
func copyFrom(t *testing.T, p *process, url, key string, paths []nix.StorePath) error {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { exec.Command("chmod", "-R", "u+w", dir).Run() })
	root := filepath.Join(dir, "root")
	args := []string{"nix", "--extra-experimental-features", "nix-command", "copy", "--from", url, "--to", "local?root=" + root,
		"--option", "trusted-public-keys", key, "--option", "substituters", ""}
	if _, err := nixRun(t, dir, p.on(append(args, words(paths)...)...)...); err != nil {
		return err
	}
	return sameNars(root, paths)
}

// realise is copyFrom by `nix-store --realise`, which asks a substituter as a build does.
func realise(t *testing.T, p *process, url, key string, paths []nix.StorePath) error {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { exec.Command("chmod", "-R", "u+w", dir).Run() })
	root := filepath.Join(dir, "root")
	args := []string{"nix-store", "--store", "local?root=" + root, "--realise", "--option", "substituters", url, "--option", "trusted-public-keys", key,
		"--option", "require-sigs", "true"}
	if _, err := nixRun(t, dir, p.on(append(args, words(paths)...)...)...); err != nil {
		return err
	}
	return sameNars(root, paths)
}

// sameNars compares the NAR of each path below root with that of the path in this machine's store.
func sameNars(root string, paths []nix.StorePath) error {
	for _, p := range paths {
		want, got := sha256.New(), sha256.New()
		if err := nix.DumpNar(want, p.String()); err != nil {
			return err
		}
		if err := nix.DumpNar(got, filepath.Join(root, p.String())); err != nil {
			return err
		}
		if !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
			return fmt.Errorf("%s arrived changed", p)
		}
	}
	return nil
}
