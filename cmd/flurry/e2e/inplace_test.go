package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// TestInPlace: what Nix has imported through a gateway lies on the disk once, in /nix/store, and is given to others from there,
// also after a restart. What Nix collects is withdrawn, and of what was damaged there nothing wrong is given.
func TestInPlace(t *testing.T) {
	paths := small(t, t.Name())
	port := peerPort(t)
	a := daemon(t, "publisher", "--port", port)
	var made report.New
	a.must(&made, "new", "acme-1")
	a.must(nil, "publish", "acme-1", paths[len(paths)-1].String())

	root := t.TempDir()
	t.Setenv("NIX_REMOTE", "local?root="+root)
	b := daemon(t, "user", "--port", peerPort(t), "--peer", "127.0.0.1:"+port)
	b.uses(made.Address, len(paths))
	args := []string{"nix-store", "--realise", "--option", "substituters", b.gateway, "--option", "trusted-public-keys", b.key}
	if _, err := nixRun(t, t.TempDir(), append(args, words(paths)...)...); err != nil {
		t.Fatal(err)
	}
	store := func() report.Store {
		var s report.Status
		b.must(&s, "status")
		return s.Store
	}
	inPlace := func(n int) func() bool { return func() bool { return store().InPlacePaths == n } }
	b.await("to serve all in place", inPlace(len(paths)))
	b.must(nil, "store", "gc")
	if s := store(); s.Chunks != 0 || s.InPlace == 0 {
		t.Errorf("%d chunks of %d bytes lie in the store as well", s.Chunks, s.Bytes)
	}
	b.checksOut()
	a.kill()

	// consumer is a node of its own, and what a copy through it says.
	consumer := func(name string, of []nix.StorePath) error {
		t.Helper()
		t.Setenv("NIX_REMOTE", "local?root="+t.TempDir())
		c := daemon(t, name, "--port", peerPort(t), "--peer", "127.0.0.1:"+b.args[1])
		defer c.kill()
		c.uses(made.Address, len(paths))
		return copyFrom(t, c, c.gateway, c.key, of)
	}
	if err := consumer("second", paths); err != nil {
		t.Fatalf("from /nix/store: %v", err)
	}
	b.stop()
	t.Setenv("NIX_REMOTE", "local?root="+root)
	b.start()
	b.await("to serve all in place again", inPlace(len(paths)))
	if err := consumer("third", paths); err != nil {
		t.Fatalf("from /nix/store after a restart: %v", err)
	}

	bad := paths[0]
	file := filepath.Join(root, bad.String(), "lib/noise")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := consumer("fourth", []nix.StorePath{bad}); err == nil || strings.Contains(err.Error(), "changed") {
		t.Errorf("what is damaged and nowhere else: %v", err)
	}
	if !strings.Contains(b.stderr.String(), "not what was imported") {
		t.Error("that a path of the Nix store is damaged is not said")
	}
	b.await("to withdraw it", inPlace(len(paths)-1))

	// What was read a moment ago Nix keeps. What nobody reads it does not.
	t.Setenv("NIX_REMOTE", "local?root="+root)
	if out, err := nixRun(t, t.TempDir(), "nix-store", "--gc"); err != nil {
		t.Fatal(out, err)
	}
	if got := store().InPlacePaths; got != len(paths)-1 {
		t.Errorf("%d of %d paths are left after a collection, although they were being read", got, len(paths)-1)
	}
	b.stop()
	b.start()
	b.await("to serve in place once more", inPlace(len(paths)))
	if out, err := nixRun(t, t.TempDir(), "nix-store", "--gc"); err != nil {
		t.Fatal(out, err)
	}
	b.await("to withdraw what Nix has collected", inPlace(0))
}
