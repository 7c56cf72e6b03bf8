package main

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// TestPairOrigins: what becomes of the caches that a nix.conf names.
func TestPairOrigins(t *testing.T) {
	const key = ":gUPS5WA15etHss+qS88T+5lXfwyC3r3IZt7EWO7FeRE="
	for _, c := range []struct {
		name, conf string
		pairs      []string // URL and the key's name
		left       []string // the beginning of each
	}{
		{"Nix's own", "", []string{"https://cache.nixos.org cache.nixos.org-1"}, nil},
		{"no cache", "substituters =\n", nil, nil},
		{"the same one again", "substituters = https://a.example https://a.example/ https://a.example?priority=3 https://a.example//\nextra-trusted-public-keys = a.example-1" + key, []string{"https://a.example a.example-1"}, nil},
		{"one by two ways", "substituters = https://a.example http://a.example\nextra-trusted-public-keys = a.example-1" + key, []string{"https://a.example a.example-1"}, []string{"http://a.example: the same key"}},
		{"a port, a path and capitals", "substituters = https://A.example:8443/x%2Fy/z?want-mass-query=true#f\nextra-trusted-public-keys = a.example" + key, []string{"https://A.example:8443/x%2Fy/z a.example"}, nil},
		{"a name that is not its host's, but known", "substituters = https://cache.iog.io\ntrusted-public-keys = hydra.iohk.io:f/Ea+s+dFdN+3Y/G+FDgSq+a5NEWhJGzdjvKNGv0/EQ=", []string{"https://cache.iog.io hydra.iohk.io"}, nil},
		{"two keys", "substituters = https://a.example\nextra-trusted-public-keys = a.example-1" + key + " a.example-2" + key, []string{"https://a.example a.example-1"}, []string{"https://a.example: what a.example-2"}},
		{"a key that looks like it", "substituters = https://a.example\nextra-trusted-public-keys = xa.example-1" + key + " a.example-1x" + key, nil, []string{"https://a.example: no key"}},
		{"added, and taken away again", "extra-substituters = https://b.example\nsubstituters = https://a.example\nextra-trusted-public-keys = a.example" + key, []string{"https://a.example a.example"}, nil},
		{"others", "substituters = s3://bucket?region=eu file:///srv/cache /srv/cache ssh://host ssh-ng://host daemon auto local?root=/x https:///x\n", nil,
			[]string{"s3://bucket", "file:///srv/cache", "/srv/cache", "ssh://host", "ssh-ng://host", "daemon", "auto", "local", "https:///x"}},
		{"unsigned", "substituters = https://a.example?trusted=true\n", nil, []string{"https://a.example?trusted=true: trusted=true has Nix"}},
		{"unsigned, but there is a key", "substituters = https://a.example?trusted=1\nextra-trusted-public-keys = a.example" + key, []string{"https://a.example a.example"}, nil},
		{"this machine's", "substituters = http://127.0.0.1:7669 http://localhost:5000 http://[::1]:7669/v1\n", nil, nil},
		{"a password in the URL", "substituters = https://me:secret@a.example\nextra-trusted-public-keys = a.example" + key, []string{"https://me:secret@a.example a.example"}, nil},
		{"a password in netrc", "substituters = https://locked.example\nextra-trusted-public-keys = locked.example" + key, nil, []string{"https://locked.example: its password is in netrc"}},
		{"a password in another file", "netrc-file = /nowhere\nsubstituters = https://locked.example\nextra-trusted-public-keys = locked.example" + key, []string{"https://locked.example locked.example"}, nil},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"nix.conf": c.conf, "netrc": "machine other.example\nlogin x\nmachine locked.example login me password secret\nmachine"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, left := pairOrigins(readNixCaches(dir))
		var pairs []string
		for _, p := range found {
			name, _, _ := strings.Cut(p.key, ":")
			pairs = append(pairs, p.url+" "+name)
		}
		if !slices.Equal(pairs, c.pairs) {
			t.Errorf("%s: %q", c.name, pairs)
		}
		if !slices.EqualFunc(left, c.left, strings.HasPrefix) {
			t.Errorf("%s: left out: %q", c.name, left)
		}
		if strings.Contains(fmt.Sprint(left), "secret") {
			t.Errorf("%s: a password is shown: %q", c.name, left)
		}
	}
}

// builtInSum is the SHA-256 of the built-in names, keys and URLs when they were last compared with what their owners say.
const builtInSum = "05783a0a20aae3b1bb2711269ee40666c50e5b080cf43da79603c4c15fe56c2a"

// TestBuiltIn: the names that need no key are ten, each with a key that can verify something and that no other has, and with an HTTPS URL at the host that the
// key is named after; pinned, since a slip in one of them would have this machine's Nix trust somebody else, or nobody.
func TestBuiltIn(t *testing.T) {
	all := builtIn()
	if len(all) != 10 {
		t.Errorf("%d names", len(all))
	}
	seen := make(map[string]bool)
	for _, k := range all {
		key, err := nix.ParsePublicKey(k.key)
		if err != nil {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		u, err := url.Parse(k.origin)
		if err != nil || u.Scheme != "https" || u.Path != "" {
			t.Errorf("%s is at %s", k.name, k.origin)
			continue
		}
		if host := trimNumber(key.Name); host != u.Hostname() && k.name != "hydra.iohk.io" || k.name != key.Name && k.name != host && k.name+".cachix.org" != host {
			t.Errorf("%s, at %s, has a key that is named %s", k.name, k.origin, key.Name)
		}
		for _, x := range []string{k.name, k.key, k.origin} {
			if seen[x] {
				t.Errorf("%s is there twice", x)
			}
			seen[x] = true
		}
		if found, ok := builtInKey(k.name); !ok || found != k.key {
			t.Errorf("%s means %s", k.name, found)
		}
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, all))); sum != builtInSum {
		t.Errorf("they are other ones by now (%s): compare each with what its owner says", sum)
	}
	if builtIn()[0].key != defaultNixKey {
		t.Error("Nix trusts another key by default")
	}
}
