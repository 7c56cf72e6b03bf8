package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestNixConf(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("nix.conf", "# trusted-public-keys = no:1\nextra-trusted-public-keys = a:1 b:2 # c:3\n!include more.conf\ninclude missing.conf\nsandbox = false\n")
	write("more.conf", "trusted-public-keys = d:4\nextra-trusted-public-keys = e:5\ninclude nix.conf\n")
	c := nixConf{trusted: []string{defaultNixKey}}
	c.read(filepath.Join(dir, "nix.conf"), 0)
	if !slices.Equal(c.trusted, []string{"d:4"}) {
		t.Errorf("trusted: %v", c.trusted)
	}
	for _, want := range []string{"a:1", "b:2", "e:5"} {
		if !slices.Contains(c.extra, want) {
			t.Errorf("%s is not among %v", want, c.extra)
		}
	}
	if slices.Contains(c.extra, "c:3") {
		t.Error("a comment was read")
	}
	var none nixConf
	none.read(filepath.Join(dir, "nothing"), 0)
	if len(none.trusted)+len(none.extra) > 0 {
		t.Errorf("no file says %v", none)
	}
}
