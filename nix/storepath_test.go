package nix

import (
	"cmp"
	"strings"
	"testing"
)

const hashA = "00bgd045z0d4icpbc2yyz4gx48ak44la"

func TestParseStorePath(t *testing.T) {
	for _, name := range []string{"a", "hello-2.12.1", "x.drv", "+-._?=", ".hidden", "...", "..a", ".a-b", "..b-c", "-", "--", "=", strings.Repeat("n", MaxNameLength)} {
		base := hashA + "-" + name
		p, err := ParseStorePath("/nix/store/" + base)
		if err != nil {
			t.Errorf("ParseStorePath(%q): %v", base, err)
			continue
		}
		if p.String() != "/nix/store/"+base || p.Base() != base || p.Name() != name || p.Hash().String() != hashA || p.IsZero() {
			t.Errorf("%q became %q, %q, %q", base, p, p.Base(), p.Name())
		}
		if q, err := ParseBaseName(base); err != nil || q != p {
			t.Errorf("ParseBaseName(%q) = %v, %v", base, q, err)
		}
	}
}

func TestParseStorePathRejects(t *testing.T) {
	for name, s := range map[string]string{
		"empty":                   "",
		"store directory":         "/nix/store",
		"store directory, slash":  "/nix/store/",
		"other store":             "/gnu/store/" + hashA + "-a",
		"relative":                "nix/store/" + hashA + "-a",
		"base name":               hashA + "-a",
		"double slash":            "/nix/store//" + hashA + "-a",
		"below a path":            "/nix/store/" + hashA + "-a/bin",
		"trailing slash":          "/nix/store/" + hashA + "-a/",
		"traversal":               "/nix/store/" + hashA + "-a/../" + hashA + "-b",
		"traversal before":        "/nix/store/../store/" + hashA + "-a",
		"no name":                 "/nix/store/" + hashA + "-",
		"no dash":                 "/nix/store/" + hashA,
		"other separator":         "/nix/store/" + hashA + ".a",
		"short hash":              "/nix/store/" + hashA[1:] + "-a",
		"long hash":               "/nix/store/" + hashA + "0-a",
		"upper-case hash":         "/nix/store/" + strings.ToUpper(hashA) + "-a",
		"letter not in nix32":     "/nix/store/e" + hashA[1:] + "-a",
		"name .":                  "/nix/store/" + hashA + "-.",
		"name ..":                 "/nix/store/" + hashA + "-..",
		"name .-":                 "/nix/store/" + hashA + "-.-x",
		"name ..-":                "/nix/store/" + hashA + "-..-x",
		"name too long":           "/nix/store/" + hashA + "-" + strings.Repeat("n", MaxNameLength+1),
		"space in name":           "/nix/store/" + hashA + "-a b",
		"NUL in name":             "/nix/store/" + hashA + "-a\x00",
		"newline after name":      "/nix/store/" + hashA + "-a\n",
		"non-ASCII name":          "/nix/store/" + hashA + "-é",
		"name with a colon":       "/nix/store/" + hashA + "-a:b",
		"name with a backslash":   "/nix/store/" + hashA + "-a\\b",
		"name with a percent":     "/nix/store/" + hashA + "-a%2fb",
		"other case of the store": "/Nix/Store/" + hashA + "-a",
	} {
		if p, err := ParseStorePath(s); err == nil || !p.IsZero() {
			t.Errorf("%s: accepted %q as %v", name, s, p)
		}
	}
}

func TestStorePathOrderIsThatOfTheBaseNames(t *testing.T) {
	bases := []string{hashA + "-a", hashA + "-A", hashA + "-a-b", hashA + "-a.b", "z" + hashA[1:] + "-a", hashA[:31] + "b-a", "1" + hashA[1:] + "-0"}
	for _, a := range bases {
		for _, b := range bases {
			p, q := mustBase(t, a), mustBase(t, b)
			if got, want := p.Compare(q), cmp.Compare(a, b); got != want {
				t.Errorf("%q.Compare(%q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestZeroStorePath(t *testing.T) {
	if p := (StorePath{}); !p.IsZero() {
		t.Error("the zero value says that it is a path")
	}
}

func FuzzParseStorePath(f *testing.F) {
	f.Add("/nix/store/" + hashA + "-hello-1.0")
	f.Add("/nix/store/" + hashA + "-..-x")
	f.Add("/nix/store/" + hashA + "-a/../b")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseStorePath(s)
		if err != nil {
			return
		}
		if p.String() != s || strings.Count(s, "/") != 3 || p.IsZero() {
			t.Errorf("%q became %q", s, p)
		}
	})
}

func mustBase(t testing.TB, base string) StorePath {
	t.Helper()
	p, err := ParseBaseName(base)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
