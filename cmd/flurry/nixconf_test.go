package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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

// TestNixRemembers: how long a "no" lasts is what nix.conf says, where it says something that is a time.
func TestNixRemembers(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"":                                                  time.Hour,
		"narinfo-cache-negative-ttl = 60":                   time.Minute,
		"narinfo-cache-negative-ttl = 0":                    0,
		"narinfo-cache-negative-ttl = soon":                 time.Hour,
		"narinfo-cache-negative-ttl = -1":                   time.Hour,
		"narinfo-cache-negative-ttl = 1 2":                  time.Hour,
		"narinfo-cache-negative-ttl":                        time.Hour,
		"narinfo-cache-negative-ttl = 99999999999999999999": time.Hour,
		"narinfo-cache-negative-ttl = 5 # s\nnarinfo-cache-negative-ttl = 7": 7 * time.Second,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "nix.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := nixRemembers(dir); got != want {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "missing")} {
		if got := nixRemembers(dir); got != time.Hour {
			t.Errorf("%q: %s", dir, got)
		}
	}
}

// FuzzNixConf: whatever nix.conf says is read in the same way line by line, and stops nobody.
func FuzzNixConf(f *testing.F) {
	f.Add("extra-substituters = http://127.0.0.1:7669\ntrusted-public-keys = a-1:x b-1:y # no\n!include other\nnarinfo-cache-negative-ttl = 60\nfallback = true\n")
	f.Add("include /dev/zero\n")
	f.Add("substituters =\n= x\n!include\n")
	f.Fuzz(func(t *testing.T, text string) {
		var c nixConf
		c.parse([]byte(text), t.TempDir(), maxNixIncludes) // what it includes is too deep
		for _, words := range [][]string{c.substituters, c.extraSubstituters, c.trusted, c.extra} {
			for _, w := range words {
				if w == "" || strings.ContainsAny(w, " \t\n#") {
					t.Errorf("%q is one word", w)
				}
			}
		}
		if c.negativeTTL < 0 {
			t.Errorf("%v", c.negativeTTL)
		}
	})
}

// TestNixConfOrder: as Nix has it, a later line without extra- takes away what extra- added before.
func TestNixConfOrder(t *testing.T) {
	c := nixConf{substituters: []string{defaultNixCache}, trusted: []string{defaultNixKey}}
	c.parse([]byte("extra-substituters = http://a\nextra-trusted-public-keys = a:x\nsubstituters = http://b\ntrusted-public-keys = b:x\nextra-substituters = http://c\n"), "/nowhere", 0)
	if got := strings.Join(append(append(c.substituters, c.extraSubstituters...), append(c.trusted, c.extra...)...), " "); got != "http://b http://c b:x" {
		t.Error(got)
	}
	if got := strings.Join(c.dropped, " "); got != defaultNixCache+" http://a" {
		t.Error(got)
	}
}
