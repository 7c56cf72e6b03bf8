package nix

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix/nixtest"
)

// nixDump is the NAR that the real Nix makes of the tree at path.
func nixDump(t *testing.T, path string) []byte {
	t.Helper()
	out, err := nixtest.Command(t, "nix-store", "--dump", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDumpNarEqualsNix(t *testing.T) {
	nixtest.Require(t)
	rng := rand.New(rand.NewPCG(11, 12))
	trees := []*NarNode{oddTree(), {Type: 'f', Data: []byte("root file")}, {Type: 'x'}, {Type: 'l', Target: "nowhere"}, {Type: 'd'}}
	for range 20 {
		trees = append(trees, randomTree(rng, 4))
	}
	for i, tree := range trees {
		path := filepath.Join(t.TempDir(), "root")
		unpack(t, tree, path)
		var got bytes.Buffer
		if err := DumpNar(&got, path); err != nil {
			t.Fatalf("tree %d: %v", i, err)
		}
		if !bytes.Equal(got.Bytes(), nixDump(t, path)) {
			t.Errorf("tree %d: nix-store --dump writes another NAR", i)
		}
	}
}

// What the checker accepts, Nix unpacks to the tree that gives the same NAR.
func TestNixUnpacksWhatTheCheckerAccepts(t *testing.T) {
	nixtest.Require(t)
	for name, nar := range goodNars {
		path := filepath.Join(t.TempDir(), "root")
		cmd := nixtest.Command(t, "nix-store", "--restore", path)
		cmd.Stdin = strings.NewReader(nar)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: Nix refuses it: %v\n%s", name, err, out)
			continue
		}
		if !bytes.Equal(nixDump(t, path), []byte(nar)) {
			t.Errorf("%s: Nix unpacks it to another tree", name)
		}
	}
}

func TestDumpNarOfStorePathsHasNixHash(t *testing.T) {
	nixtest.Require(t, "nix-store", "nix-build")
	path := nixtest.Build(t, nixtest.Chain("dump", "1", 3))
	for line := range strings.Lines(nixtest.Run(t, "nix-store", "--query", "--requisites", path) + "\n") {
		path := strings.TrimSuffix(line, "\n")
		var nar bytes.Buffer
		if err := DumpNar(&nar, path); err != nil {
			t.Fatal(err)
		}
		want := nixtest.Run(t, "nix-store", "--query", "--hash", path)
		if got := NarHash(sha256.Sum256(nar.Bytes())).String(); got != want {
			t.Errorf("%s: NarHash %s, Nix has %s", path, got, want)
		}
		if err := check(nar.String(), 1<<20); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
