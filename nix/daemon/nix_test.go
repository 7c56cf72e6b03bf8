package daemon

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/nixtest"
)

// openReal opens this machine's store with a nix-daemon of the test's own.
func openReal(t testing.TB) *Store {
	t.Helper()
	nixtest.Require(t, "nix-daemon", "nix-store", "nix-build")
	s, err := Open(t.Context(), Options{Remote: "local"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustPath(t testing.TB, abs string) nix.StorePath {
	t.Helper()
	p, err := nix.ParseStorePath(abs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// query asks nix-store, line by line.
func query(t testing.TB, what string, p nix.StorePath) []string {
	t.Helper()
	return strings.Fields(nixtest.Run(t, "nix-store", "--query", what, p.String()))
}

func TestRealStore(t *testing.T) {
	s := openReal(t)
	root := mustPath(t, nixtest.Build(t, nixtest.Chain("daemon", "1", 8)))
	closure, err := s.Closure(t.Context(), []nix.StorePath{root})
	if err != nil {
		t.Fatal(err)
	}
	if len(closure) != 8 || closure[7].Path != root {
		t.Fatalf("closure %v", bases(closure))
	}
	for i, info := range closure {
		p := info.Path
		if alone, err := s.PathInfo(t.Context(), p); err != nil || alone.NarHash != info.NarHash {
			t.Errorf("%s: %+v, %v", p, alone, err)
		}
		if got, want := info.NarHash.String(), query(t, "--hash", p)[0]; got != want {
			t.Errorf("%s: hash %s, want %s", p, got, want)
		}
		if got, want := strconv.FormatUint(info.NarSize, 10), query(t, "--size", p)[0]; got != want {
			t.Errorf("%s: size %s, want %s", p, got, want)
		}
		if got, want := nix.StoreDir+"/"+info.Deriver, query(t, "--deriver", p)[0]; got != want {
			t.Errorf("%s: deriver %s, want %s", p, got, want)
		}
		var refs []string
		for _, ref := range info.References {
			refs = append(refs, ref.String())
			if j := slices.IndexFunc(closure, func(o PathInfo) bool { return o.Path == ref }); j < 0 || j > i {
				t.Errorf("%s comes before %s, which it refers to", p, ref)
			}
		}
		want := query(t, "--references", p)
		slices.Sort(want)
		if !slices.Equal(refs, want) || len(refs) == 0 {
			t.Errorf("%s: references %v, want %v", p, refs, want)
		}
		if !info.Ultimate || info.RegTime.IsZero() || len(info.Sigs) != 0 || info.CA != "" {
			t.Errorf("%s: %+v", p, info)
		}
		if got, err := s.PathFromHash(t.Context(), p.Hash()); err != nil || got != p {
			t.Errorf("path of %s: %v, %v", p.Hash(), got, err)
		}
		if err := s.AddTempRoot(t.Context(), p); err != nil {
			t.Error(err)
		}
		sum := sha256.New()
		if err := s.Nar(t.Context(), p, sum); err != nil || nix.NarHash(sum.Sum(nil)) != info.NarHash {
			t.Errorf("NAR of %s: %v", p, err)
		}
	}
}

func TestRealStoreDoesNotKnowPath(t *testing.T) {
	s := openReal(t)
	p := storePath(t, hashA+"-nobody-has-this")
	if _, err := s.PathInfo(t.Context(), p); !errors.Is(err, ErrNotValid) {
		t.Errorf("PathInfo: %v", err)
	}
	if _, err := s.PathFromHash(t.Context(), p.Hash()); !errors.Is(err, ErrNotValid) {
		t.Errorf("PathFromHash: %v", err)
	}
	if err := s.AddTempRoot(t.Context(), p); err != nil {
		t.Errorf("AddTempRoot: %v", err)
	}
}

// While a temporary root is held Nix does not collect the path, and after Close
// it does.
func TestRealTempRoot(t *testing.T) {
	s := openReal(t)
	expression := nixtest.Chain("temproot", "1", 1)
	path := nixtest.Run(t, "nix-build", "--no-out-link", "-E", expression)
	p := mustPath(t, path)
	if err := s.AddTempRoot(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	nixtest.Run(t, "nix-build", "--no-out-link", "-E", expression) // in case it was collected before it was held
	if out, err := nixtest.Command(t, "nix-store", "--delete", path).CombinedOutput(); err == nil {
		t.Fatalf("Nix deleted a path that is held: %s", out)
	}
	s.Close()
	nixtest.Run(t, "nix-store", "--delete", path)
}

// The same daemon behind a socket, as a multi-user installation has it.
func TestRealDaemonBehindASocket(t *testing.T) {
	nixtest.Require(t, "nix-daemon", "nix-build")
	root := mustPath(t, nixtest.Build(t, nixtest.Chain("daemon", "1", 8)))
	d := startFake(t, func(c *fakeConn) {
		cmd := exec.Command("nix-daemon", "--stdio")
		cmd.Stdin, cmd.Stdout = c.Conn, c.Conn
		cmd.Env = append(cmd.Environ(), "NIX_REMOTE=local")
		cmd.Run()
	})
	s, err := Open(t.Context(), Options{Socket: d.socket})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	closure, err := s.Closure(t.Context(), []nix.StorePath{root})
	if err != nil || len(closure) != 8 {
		t.Errorf("%v, %v", bases(closure), err)
	}
}

// A second machine on the same disk: a store with another root.
func TestRealChrootStore(t *testing.T) {
	nixtest.Require(t, "nix-daemon", "nix-build", "nix")
	path := nixtest.Build(t, nixtest.Chain("daemon", "1", 2))
	dir := t.TempDir()
	t.Cleanup(func() { exec.Command("chmod", "-R", "u+w", dir).Run() })
	store := "local?root=" + dir
	nixtest.Run(t, "nix", "copy", "--no-check-sigs", "--to", store, path)
	s, err := Open(t.Context(), Options{Remote: store})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	info, err := s.PathInfo(t.Context(), mustPath(t, path))
	if err != nil || info.Ultimate {
		t.Fatalf("%+v, %v", info, err)
	}
	var nar bytes.Buffer
	if err := s.Nar(t.Context(), info.Path, &nar); err != nil || nix.NarHash(sha256.Sum256(nar.Bytes())) != info.NarHash {
		t.Errorf("NAR: %v", err)
	}
}

func TestRealResolve(t *testing.T) {
	nixtest.Require(t, "nix-build")
	path := nixtest.Build(t, nixtest.Chain("daemon", "1", 1))
	link := t.TempDir() + "/result"
	nixtest.Run(t, "nix-build", "--out-link", link, "-E", nixtest.Chain("daemon", "1", 1))
	for _, arg := range []string{path, link, link + "/run"} {
		if p, err := Resolve(arg); err != nil || p.String() != path {
			t.Errorf("%s: %v, %v", arg, p, err)
		}
	}
}

func BenchmarkRealClosure(b *testing.B) {
	s := openReal(b)
	root := mustPath(b, nixtest.Build(b, nixtest.Chain("bench", "1", 100)))
	for b.Loop() {
		if closure, err := s.Closure(b.Context(), []nix.StorePath{root}); err != nil || len(closure) != 100 {
			b.Fatal(err)
		}
	}
}

func BenchmarkRealNar(b *testing.B) {
	s := openReal(b)
	p := mustPath(b, nixtest.Build(b, nixtest.Chain("bench", "1", 1)))
	for b.Loop() {
		if err := s.Nar(b.Context(), p, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
