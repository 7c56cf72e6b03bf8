package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix/nixtest"
	"github.com/flurry-nix/flurry/report"
)

// ownNix gives the test a Nix store of its own, so that nobody else's builds are published and none of theirs held.
func ownNix(t *testing.T) string {
	t.Helper()
	nixtest.Require(t, "nix-build", "nix-store")
	flurry(t) // before the compiler's cache is elsewhere
	root := t.TempDir()
	t.Setenv("NIX_REMOTE", "local?root="+root)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := ownBuild(root, "probe", 1); err != nil {
		if os.Getenv("FLURRY_REQUIRE_NIX") == "1" {
			t.Fatal(err)
		}
		t.Skipf("this user's Nix cannot build in a store of its own: %v", err)
	}
	return root
}

// ownBuild builds a derivation of that name with so many outputs in the test's own store, and returns their paths.
func ownBuild(root, name string, outputs int, options ...string) ([]string, error) {
	expression := fmt.Sprintf(`let n = builtins.genList (i: "o${toString i}") %d; d = derivation { name = %q; outputs = n; system = builtins.currentSystem;
		builder = "/bin/sh"; args = [ "-c" "for o in $outputs; do eval echo $o $name > $(eval echo \\$$o); done" ]; }; in map (o: d.${o}) n`, outputs, name)
	args := []string{"--no-out-link", "--option", "sandbox", "true", "--option", "sandbox-paths", "/bin /usr /lib /lib64", "--option", "build-users-group", "",
		"--option", "substituters", "", "-E", expression}
	cmd := exec.Command("nix-build", append(args, options...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("nix-build: %w: %s", err, said.String())
	}
	return strings.Fields(string(out)), nil
}

// hookScript is the script that flurry prints for this daemon, run by way of a shell line in which $HOOK stands for it, and
// $FLURRY and $STATE for what is in it.
func (p *process) hookScript(line string) string {
	p.t.Helper()
	dir := p.t.TempDir()
	text, err := p.command(p.t.Context(), "hook", "--script", "--state", p.state).Output()
	if err != nil {
		p.t.Fatal(err)
	}
	script, wrapper := filepath.Join(dir, "hook"), filepath.Join(dir, "wrapper")
	if err := os.WriteFile(script, text, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(wrapper, fmt.Appendf(nil, "#!/bin/sh\nHOOK=%s FLURRY=%s STATE=%s\n%s\nexit 0\n", script, flurry(p.t), p.state, line), 0o755); err != nil {
		p.t.Fatal(err)
	}
	return wrapper
}

// published is what the daemon has published to acme-1, and how many entries its publications have.
func (p *process) published() (paths map[string]bool, entries, publications int) {
	p.t.Helper()
	var s report.Show
	p.must(&s, "show", "acme-1", "*", "--publications")
	paths = make(map[string]bool)
	for _, f := range s.Found {
		paths[f.Path] = true
	}
	for _, a := range s.Acts {
		entries += a.Entries
	}
	return paths, entries, len(s.Acts)
}

// TestKillWhileBuilding kills the daemon at random moments while Nix builds, and in one of its cases hooks, too. No build
// fails, and in the end each path that was built is published exactly once. Where only the hook tells of builds none of its
// runs is killed: what it was killed before it could tell nobody knows.
func TestKillWhileBuilding(t *testing.T) {
	const batch = 200
	for _, test := range []struct{ name, flag, hook string }{
		{"hook", "--hook", "$HOOK"},
		{"always", "--always", "exit 0"},
		{"always, and hooks that are killed", "--always", "timeout -s KILL 0.0$(($$ % 4))$(($$ % 10)) $FLURRY hook --state $STATE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := ownNix(t)
			p := daemon(t, "builder")
			p.must(nil, "new", "acme-1")
			p.must(nil, "publish", "acme-1", test.flag, "--yes")
			hook := p.hookScript(test.hook)
			random := rand.New(rand.NewPCG(3, uint64(time.Now().UnixNano())))
			built := make(map[string]bool)
			for round := range rounds() / 2 { // each builds 202 paths
				fate := time.Duration(random.IntN(600)) * time.Millisecond
				kill := time.AfterFunc(fate, func() { p.strike(round) })
				// The many are a batch that is published at once, so that publishing is met, too.
				for i, outputs := range []int{1, batch, 1} {
					paths, err := ownBuild(root, fmt.Sprintf("killed-%d-%d", round, i), outputs, "--option", "post-build-hook", hook)
					if err != nil || len(paths) != outputs {
						t.Fatalf("round %d: a build failed, or made %d paths and not %d: %v", round, len(paths), outputs, err)
					}
					for _, path := range paths {
						built[path] = true
					}
				}
				kill.Stop()
				p.crash(round)
			}
			p.await("to publish all", func() bool {
				paths, _, _ := p.published()
				for path := range built {
					if !paths[path] {
						return false
					}
				}
				return true
			})
			p.await("to have an empty queue", func() bool {
				var s report.Status
				p.must(&s, "status")
				return s.Queue == nil || s.Queue.Waiting == 0
			})
			paths, entries, publications := p.published()
			if len(paths) != len(built) || entries != len(built) {
				t.Errorf("%d paths were built; %d are published, in %d entries", len(built), len(paths), entries)
			}
			if left, _ := filepath.Glob(filepath.Join(p.state, "queue", "*.queued")); len(left) > 0 {
				t.Errorf("%q are left", left)
			}
			t.Logf("%d paths in %d publications", len(built), publications)
			p.checksOut()
		})
	}
}

// TestHeldWhileQueued: what waits to be published is not collected by Nix meanwhile, and is once it is published.
func TestHeldWhileQueued(t *testing.T) {
	root := ownNix(t)
	p := daemon(t, "builder")
	p.must(nil, "new", "acme-1")
	p.must(nil, "publish", "acme-1", "--hook")
	paths, err := ownBuild(root, "held", 1, "--option", "post-build-hook", p.hookScript("$HOOK"))
	if err != nil {
		t.Fatal(err)
	}
	path := paths[0]
	p.await("to know of it", func() bool {
		var s report.Status
		p.must(&s, "status")
		return s.Queue != nil && s.Queue.Waiting == 1
	})
	collect := func() {
		t.Helper()
		if out, err := exec.Command("nix-store", "--gc").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	collect()
	if _, err := os.Lstat(root + path); err != nil {
		t.Fatalf("it was collected while it waited: %v", err)
	}
	p.await("to publish it", func() bool { paths, _, _ := p.published(); return paths[path] })
	p.await("to let go of it", func() bool {
		collect()
		_, err := os.Lstat(root + path)
		return os.IsNotExist(err)
	})
}
