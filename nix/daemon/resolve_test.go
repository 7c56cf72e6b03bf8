package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

const (
	hello = "/nix/store/" + hashA + "-hello-2.12"
	gone  = "/nix/store/" + hashC + "-gone"
)

// exists plays a store in which everything is there but one path.
func exists(p nix.StorePath) bool { return p.String() != gone }

// enterWorkingDirectory makes one with the links that a user may have.
func enterWorkingDirectory(t *testing.T) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, sub := range []string{"sub", "a#b", "gnu/store/" + hashA + "-hello/bin", "profile/bin"} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile("README.md", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"result":            hello,
		"result-bin":        hello + "/bin/../bin",
		"profile/bin/hello": hello + "/bin/hello",
		"sub/up":            "../result",
		"sub/again":         dir + "/sub/up",
		"through":           "sub/../sub",
		"escape":            hello + "/../../../etc",
		"gone":              gone,
		"gone-below":        gone + "/bin",
		"drv":               hello + ".drv",
		"dangling":          "nowhere/at/all",
		"loop":              "loop2",
		"loop2":             "loop",
		"readme":            "README.md",
		"guix":              "gnu/store/" + hashA + "-hello",
		"store":             "/nix/store",
		"bad":               "/nix/store/hello",
		"a#b/result":        "../result",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestResolve(t *testing.T) {
	dir := enterWorkingDirectory(t)
	for _, arg := range []string{
		hello,
		hello + "/",
		hello + "/bin/hello",
		hello + "/bin/../share",
		"/nix/./store//" + hashA + "-hello-2.12",
		"/nix/store/" + hashB + "-b/../" + hashA + "-hello-2.12",
		"result",
		"./result",
		"./result/bin/hello",
		"sub/../result",
		"result-bin",
		"profile/bin/hello",
		"sub/up",
		"sub/again",
		"through/again/bin",
		dir + "/result",
		"store/" + hashA + "-hello-2.12/bin",
		"./a#b/result", // a file goes before a flake
	} {
		if got, err := resolve(arg, exists); err != nil || got.String() != hello {
			t.Errorf("%q is %v, %v", arg, got, err)
		}
	}
	// Whether a path that is spelled out is there is not asked here.
	if got, err := resolve(gone, exists); err != nil || got.String() != gone {
		t.Errorf("%v, %v", got, err)
	}
	// A file within a derivation's path, or after its ending, is no derivation.
	for _, arg := range []string{hello + ".drv/x", hello + ".drv.txt"} {
		if _, err := resolve(arg, exists); err != nil {
			t.Errorf("%q: %v", arg, err)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	dir := enterWorkingDirectory(t)
	for arg, want := range map[string]struct {
		kind  PathErrorKind
		found string
		says  string
	}{
		"":                                     {NotAStorePath, "", "there is no such file"},
		"./nothing":                            {NotAStorePath, "", `"./nothing" is not in the Nix store: there is no such file`},
		"hello":                                {NotAStorePath, "", "there is no such file"},
		"acme-1:gUPS5WA15etHss+q=":             {NotAStorePath, "", "there is no such file"},
		"./README.md":                          {NotAStorePath, dir + "/README.md", `"./README.md" is not in the Nix store (it is ` + dir + "/README.md)"},
		"readme":                               {NotAStorePath, dir + "/README.md", "it is "},
		"README.md/x":                          {NotAStorePath, "", "not a directory"},
		"/":                                    {NotAStorePath, "/", "it is /"},
		"loop":                                 {NotAStorePath, "", "more than 40 links"},
		"/nix/store":                           {NotAStorePath, "/nix/store", "not in the Nix store"},
		"store":                                {NotAStorePath, "/nix/store", "not in the Nix store"},
		"escape":                               {NotAStorePath, "/etc", "it is /etc"},
		"./gone":                               {BrokenLink, gone, `"./gone" points to ` + gone + ", which is gone"},
		"gone-below":                           {BrokenLink, gone, "which is gone"},
		"dangling":                             {BrokenLink, dir + "/nowhere/at/all", "which is gone"},
		"/nix/store/hello":                     {BadStorePath, "/nix/store/hello", "no dash after 32 characters"},
		"bad":                                  {BadStorePath, "/nix/store/hello", `"bad": "/nix/store/hello" is not a store path: no dash`},
		"/nix/store/L" + hashA[1:] + "-widget": {BadStorePath, "/nix/store/L" + hashA[1:] + "-widget", `-widget" is not a store path: "L" at position 1 cannot be in a hash`},
		"/nix/store/" + hashA + "-":            {BadStorePath, "/nix/store/" + hashA + "-", "no name"},
		"/nix/store/.links/x":                  {BadStorePath, "/nix/store/.links", "no dash"},
		"/gnu/store/" + hashA + "-hello":       {OtherStore, "/gnu/store", "is in the store /gnu/store"},
		"/gnu/store/" + hashA + "-hello/bin/x": {OtherStore, "/gnu/store", "is in the store /gnu/store"},
		"guix":                                 {OtherStore, dir + "/gnu/store", "is in the store"},
		"guix/bin":                             {OtherStore, dir + "/gnu/store", "is in the store"},
		".#widget":                             {FlakeRef, "", `".#widget" is a flake reference`},
		"nixpkgs#hello":                        {FlakeRef, "", "flake reference"},
		"github:NixOS/nixpkgs":                 {FlakeRef, "", "flake reference"},
		"git+https://example.org/x":            {FlakeRef, "", "flake reference"},
		"path:/tmp/x":                          {FlakeRef, "", "flake reference"},
		hello + ".drv":                         {DerivationGiven, hello + ".drv", "is a recipe"},
		"drv":                                  {DerivationGiven, hello + ".drv", "is a recipe"},
	} {
		p, err := resolve(arg, exists)
		var e *PathError
		if !errors.As(err, &e) || e.Kind != want.kind || e.Arg != arg || e.Found != want.found || !strings.Contains(e.Error(), want.says) {
			t.Errorf("%q: %#v: %v", arg, e, err)
		}
		if p.IsZero() != (want.kind != DerivationGiven) {
			t.Errorf("%q: with the error comes %v", arg, p)
		}
	}
}

func TestPathErrorKindsHaveTheNamesOfTheMessages(t *testing.T) {
	var names []string
	for k := NotAStorePath; k <= DerivationGiven; k++ {
		names = append(names, k.String())
	}
	if got := strings.Join(names, " "); got != "not-a-store-path bad-store-path other-store flake-ref broken-link derivation-given" {
		t.Error(got)
	}
}

func FuzzResolve(f *testing.F) {
	for _, arg := range []string{hello, hello + "/../..", ".#x", "/gnu/store/" + hashA + "-x", "a:b", "\x00", "/nix/store/../../etc"} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		p, err := Resolve(arg)
		var e *PathError
		switch {
		case err == nil && p.IsZero():
			t.Errorf("%q: neither path nor error", arg)
		case err != nil && (!errors.As(err, &e) || e.Kind == 0 || e.Error() == ""):
			t.Errorf("%q: %v", arg, err)
		}
	})
}
