package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
)

// address is that of a namespace whose key is the same in every run.
func address(t testing.TB, name string) namespace.Address {
	t.Helper()
	a, err := namespace.ParseAddress(secretKey(t, name).Public().String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// secretKey is a key that depends on nothing but its name.
func secretKey(t testing.TB, name string) nix.SecretKey {
	t.Helper()
	key, err := nix.NewSecretKey(name, strings.NewReader(strings.Repeat(name, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// hint reads a PEER.
func hint(t testing.TB, word string) peer.Hint {
	t.Helper()
	h, err := peer.ParsePeer(word)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// told is a node that learns of everything.
func told(node.Space) error { return nil }

// reopened is what a new process reads.
func reopened(t testing.TB, f *spacesFile) *spacesFile {
	t.Helper()
	again, err := openSpaces(f.name, f.declared)
	if err != nil {
		text, _ := os.ReadFile(f.name) // to be shown
		t.Fatalf("%v\n%s", err, text)
	}
	return again
}

// TestSpacesRoundTrip: what is put is read again as it was, whatever the alias.
func TestSpacesRoundTrip(t *testing.T) {
	f, err := openSpaces(filepath.Join(t.TempDir(), "namespaces.toml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []node.Space
	for i, alias := range []string{"acme-1", "a.b", "cache.nixos.org", "0", "-", "_", "namespace", "true", "key", "A", "a", strings.Repeat("x", 64), ".", "..", "1.5", "inf", "2026-11-22"} {
		sp := node.Space{Alias: alias, Address: address(t, fmt.Sprintf("n%d", i)), Use: i%2 == 0, Share: node.Share(i % 4)}
		for range i % 3 {
			sp.Peers = append(sp.Peers, hint(t, fmt.Sprintf("host%d.example:%d", len(sp.Peers), 1000+i)))
		}
		if i%2 == 1 {
			sp.Only = []string{"widget-*", `a"b[0-9]`}
		}
		if i == 4 {
			sp.Peers = []peer.Hint{hint(t, "/ip6/2001:db8::1/udp/7670/quic-v1"), hint(t, "fe80::1%eth0"), hint(t, "seed.acme.example")}
		}
		want = append(want, sp)
		if err := f.put(sp, told); err != nil {
			t.Fatalf("%q: %v", alias, err)
		}
		if got := reopened(t, f).all(); !equalSpaces(got, want) {
			t.Fatalf("after %q:\n%+v, not\n%+v", alias, got, want)
		}
	}
	info, err := os.Stat(f.name)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// Changed in its place, and taken out.
	want[3].Alias, want[3].Use, want[3].Peers = "renamed", true, nil
	if err := f.put(want[3], told); err != nil {
		t.Fatal(err)
	}
	gone := false
	if err := f.remove(want[5].Address, func() { gone = true }); err != nil || !gone {
		t.Fatal(err)
	}
	want = slices.Delete(want, 5, 6)
	if got := reopened(t, f).all(); !equalSpaces(got, want) || !equalSpaces(f.all(), want) {
		t.Errorf("%+v, not\n%+v", got, want)
	}
}

func equalSpaces(a, b []node.Space) bool {
	return slices.EqualFunc(a, b, func(x, y node.Space) bool {
		return x.Alias == y.Alias && x.Address == y.Address && x.Use == y.Use && x.Share == y.Share && x.Publish == y.Publish && x.Declared == y.Declared && slices.Equal(x.Only, y.Only) && slices.Equal(x.Peers, y.Peers)
	})
}

// TestSpacesRandom: after any sequence of changes a new process reads what this one knows.
func TestSpacesRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	f, err := openSpaces(filepath.Join(t.TempDir(), "namespaces.toml"), []node.Space{{Alias: "d", Address: address(t, "declared"), Declared: "flurry.toml:1"}})
	if err != nil {
		t.Fatal(err)
	}
	aliases := []string{"a", "b", "c.d", "d", "e"}
	for step := range 300 {
		a := address(t, []string{"n0", "n1", "n2", "n3", "declared"}[rng.IntN(5)])
		before := f.all()
		var err error
		if rng.IntN(3) == 0 {
			err = f.remove(a, func() {})
		} else {
			err = f.put(node.Space{Alias: aliases[rng.IntN(len(aliases))], Address: a, Use: rng.IntN(2) == 0, Share: node.Share(rng.IntN(4))}, told)
		}
		if err != nil && !equalSpaces(f.all(), before) {
			t.Fatalf("step %d: what was refused changed something: %v", step, err)
		}
		if got := reopened(t, f).all(); !equalSpaces(got, f.all()) {
			t.Fatalf("step %d: %+v, not %+v", step, got, f.all())
		}
		seen := make(map[string]bool)
		for _, sp := range f.all() {
			if seen[sp.Alias] {
				t.Fatalf("step %d: two are called %q", step, sp.Alias)
			}
			seen[sp.Alias] = true
		}
	}
}

// TestSpacesRefuse: what is declared, and what an alias means already, stays.
func TestSpacesRefuse(t *testing.T) {
	declared := node.Space{Alias: "acme-1", Address: address(t, "acme-1"), Use: true, Declared: "/etc/flurry/flurry.toml:31"}
	f, err := openSpaces(filepath.Join(t.TempDir(), "namespaces.toml"), []node.Space{declared})
	if err != nil {
		t.Fatal(err)
	}
	other := node.Space{Alias: "other", Address: address(t, "other")}
	if err := f.put(other, told); err != nil {
		t.Fatal(err)
	}
	never := func(node.Space) error { t.Error("the node was told"); return nil }
	left := declared
	left.Use = false
	for id, err := range map[string]error{
		"declared put":       f.put(left, never),
		"declared remove":    f.remove(declared.Address, func() { t.Error("the node was told") }),
		"alias-taken":        f.put(node.Space{Alias: "acme-1", Address: address(t, "third")}, never),
		"alias-taken rename": f.put(node.Space{Alias: "other", Address: address(t, "third")}, never),
	} {
		var p *report.Problem
		if !errors.As(err, &p) || !strings.HasPrefix(id, p.ID) || p.Exit != report.ExitUsage {
			t.Errorf("%s: %v", id, err)
		}
	}
	if got := f.all(); !equalSpaces(got, []node.Space{declared, other}) {
		t.Errorf("%+v", got)
	}
	// A namespace that was in use and is declared now is the declared one.
	before, err := openSpaces(f.name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := before.put(left, told); err != nil {
		t.Fatal(err)
	}
	if got := reopened(t, f).all(); !equalSpaces(got, []node.Space{declared, other}) {
		t.Errorf("%+v", got)
	}
}

// TestSpacesDisk: when the disk does not take a change, nothing has changed, and nobody is told.
func TestSpacesDisk(t *testing.T) {
	dir := t.TempDir()
	f, err := openSpaces(filepath.Join(dir, "namespaces.toml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := node.Space{Alias: "a", Address: address(t, "a")}
	if err := f.put(first, told); err != nil {
		t.Fatal(err)
	}
	// The temporary file cannot be made: a directory that is not empty has its name.
	if err := os.MkdirAll(filepath.Join(dir, "namespaces.toml.tmp", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	never := func(node.Space) error { t.Error("the node was told"); return nil }
	if err := f.put(node.Space{Alias: "b", Address: address(t, "b")}, never); err == nil {
		t.Error("put succeeded")
	}
	if err := f.remove(first.Address, func() { t.Error("the node was told") }); err == nil {
		t.Error("remove succeeded")
	}
	if got := reopened(t, f).all(); !equalSpaces(got, []node.Space{first}) || !equalSpaces(f.all(), got) {
		t.Errorf("%+v", got)
	}
}

// TestSpacesBroken: a file with something wrong in it is not guessed at.
func TestSpacesBroken(t *testing.T) {
	for text, want := range map[string]string{
		"[namespace.a]\nkey = \"a:AAAA\"":                      `:1: "key": "a:AAAA" is not a key`,
		"[namespace.a]\nkey = 7":                               `:2: "key" in [namespace.a] is a whole number and should be a string`,
		"[namespace.a]\nkey = \"" + acmeKey + "\"\nuze = true": `:3: unknown key "uze" in [namespace.a]; did you mean "use"?`,
		"[store]\nquota = \"1\"":                               `:1: unknown table [store]`,
		"[namespace.\"a b\"]\nkey = \"" + acmeKey + "\"":       `:1: "a b" cannot be an alias`,
		"\x00": `:1: `,
		"[namespace.d]\nkey = \"" + acmeKey + "\"": `:1: "d" means another key already, in flurry.toml:1; call that table otherwise`,
	} {
		name := filepath.Join(t.TempDir(), "namespaces.toml")
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := openSpaces(name, []node.Space{{Alias: "d", Address: address(t, "d"), Declared: "flurry.toml:1"}})
		var p *report.Problem
		if !errors.As(err, &p) || p.ID != "bad-config" || !strings.HasPrefix(p.Message, name+want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
