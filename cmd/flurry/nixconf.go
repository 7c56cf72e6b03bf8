package main

import (
	"bufio"
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// defaultNixKey is the key that Nix trusts unless nix.conf says otherwise (nix.conf(5), trusted-public-keys).
const defaultNixKey = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="

// maxNixConf bounds what is read of one configuration file, and maxNixIncludes how deep files name others.
const (
	maxNixConf     = 1 << 20
	maxNixIncludes = 8
)

// nixTrusts are the keys that this machine's Nix trusts besides this node's, as the nix.conf in dir says: what they sign,
// Nix gets from the cache that signs so. A machine without Nix trusts none.
func nixTrusts(dir string) []nix.PublicKey {
	if _, err := os.Stat(nix.StoreDir); dir == "" || err != nil {
		return nil
	}
	c := nixConf{trusted: []string{defaultNixKey}}
	c.read(filepath.Join(dir, "nix.conf"), 0)
	var keys []nix.PublicKey
	for _, word := range append(c.trusted, c.extra...) {
		if key, err := nix.ParsePublicKey(word); err == nil && key.Name != localKeyName {
			keys = append(keys, key) // one that is malformed Nix itself refuses to start with
		}
	}
	return keys
}

// defaultNixCache is the cache that Nix asks unless nix.conf says otherwise (nix.conf(5), substituters).
const defaultNixCache = "https://cache.nixos.org/"

// nixCaches are the caches that this machine's Nix asks, the keys that it trusts, and the hosts that it has a password for.
type nixCaches struct {
	urls, keys []string
	passwords  map[string]bool
}

// readNixCaches reads what the nix.conf in dir says.
func readNixCaches(dir string) nixCaches {
	c := nixConf{trusted: []string{defaultNixKey}, substituters: []string{defaultNixCache}}
	if dir == "" {
		return nixCaches{urls: c.substituters, keys: c.trusted}
	}
	c.read(filepath.Join(dir, "nix.conf"), 0)
	return nixCaches{urls: append(c.substituters, c.extraSubstituters...), keys: append(c.trusted, c.extra...), passwords: netrcHosts(cmp.Or(c.netrc, filepath.Join(dir, "netrc")))}
}

// netrcHosts are the hosts that a netrc file has a password for. One that cannot be read, as that of root, says nothing.
func netrcHosts(name string) map[string]bool {
	hosts := make(map[string]bool)
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Size() > maxNixConf {
		return hosts
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return hosts
	}
	words := strings.Fields(string(text))
	for i, word := range words[:max(0, len(words)-1)] {
		if word == "machine" {
			hosts[words[i+1]] = true
		}
	}
	return hosts
}

// namesGateway reports whether Nix asks the gateway at url and trusts the key that it signs with, as the nix.conf in dirs say,
// of which a later one counts more.
func namesGateway(url, signer string, dirs ...string) bool {
	var c nixConf
	for _, dir := range dirs {
		c.read(filepath.Join(dir, "nix.conf"), 0)
	}
	return slices.Contains(append(c.trusted, c.extra...), signer) && slices.ContainsFunc(append(c.substituters, c.extraSubstituters...), func(u string) bool {
		bare, _, _ := strings.Cut(u, "?")
		return strings.TrimSuffix(bare, "/") == url
	})
}

// defaultNegativeTTL is how long Nix remembers "not here" unless nix.conf says otherwise (nix.conf(5),
// narinfo-cache-negative-ttl).
const defaultNegativeTTL = time.Hour

// nixRemembers is how long this machine's Nix remembers "not here", as the nix.conf in dir says.
func nixRemembers(dir string) time.Duration {
	c := nixConf{negativeTTL: defaultNegativeTTL}
	if dir != "" {
		c.read(filepath.Join(dir, "nix.conf"), 0)
	}
	return c.negativeTTL
}

// nixConf gathers the settings of nix.conf that matter here: those that name caches and trusted keys, how long a "no" is
// remembered, and what doctor looks at.
type nixConf struct {
	trusted, extra                  []string
	substituters, extraSubstituters []string
	dropped                         []string // substituters that a later line took away
	droppedKeys                     []string // keys that one did
	shorterTTL                      bool     // a line before the last had what setup writes, or less
	negativeTTL                     time.Duration
	fallback                        bool
	maxJobs, hook, netrc            string
	trustedUsers                    []string // nil: no line says
	displaced                       string   // a hook that an earlier line names: Nix runs the last alone
}

// read reads a file and those that it includes, in their order. What cannot be read, or is no file, says nothing.
func (c *nixConf) read(name string, depth int) {
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Size() > maxNixConf || depth > maxNixIncludes {
		return
	}
	text, err := os.ReadFile(name)
	if err != nil || len(text) > maxNixConf {
		return
	}
	c.parse(text, filepath.Dir(name), depth)
}

// parse reads settings; files that they include are looked for in dir.
func (c *nixConf) parse(text []byte, dir string, depth int) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxNixConf)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && (words[0] == "include" || words[0] == "!include"):
			other := words[1]
			if !filepath.IsAbs(other) {
				other = filepath.Join(dir, other)
			}
			c.read(other, depth+1)
		case len(words) >= 2 && words[1] == "=":
			c.set(words[0], words[2:])
		}
	}
}

// set takes one setting, as Nix does: extra- adds to what is set so far, and a later line without it takes that away.
func (c *nixConf) set(key string, values []string) {
	switch key {
	case "trusted-public-keys", "binary-cache-public-keys":
		c.droppedKeys = append(append(c.droppedKeys, c.trusted...), c.extra...)
		c.trusted, c.extra = values, nil
	case "extra-trusted-public-keys":
		c.extra = append(c.extra, values...)
	case "substituters", "binary-caches":
		c.dropped = append(append(c.dropped, c.substituters...), c.extraSubstituters...)
		c.substituters, c.extraSubstituters = values, nil
	case "extra-substituters", "extra-binary-caches":
		c.extraSubstituters = append(c.extraSubstituters, values...)
	case "trusted-users":
		c.trustedUsers = append([]string{}, values...)
	case "extra-trusted-users":
		c.trustedUsers = append(c.orRoot(), values...)
	case "fallback", "build-fallback":
		c.fallback = len(values) == 1 && values[0] == "true"
	case "max-jobs", "build-max-jobs":
		c.maxJobs = strings.Join(values, " ")
	case "netrc-file":
		c.netrc = strings.Join(values, " ")
	case "post-build-hook":
		if hook := strings.Join(values, " "); hook != c.hook {
			c.displaced, c.hook = c.hook, hook
		}
	case "narinfo-cache-negative-ttl":
		if len(values) == 1 {
			if n, err := strconv.ParseUint(values[0], 10, 31); err == nil {
				c.negativeTTL = time.Duration(n) * time.Second
				c.shorterTTL = c.shorterTTL || n <= negativeTTL
			}
		}
	}
}
