package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// nixVersion looks at what this machine's Nix is known to do badly.
func (e *examined) nixVersion(context.Context) {
	if e.found == "" {
		e.ok("nix.version", "there is no Nix here: this machine can host, and publish from elsewhere")
		return
	}
	kind := "single-user"
	if e.multi {
		kind = "multi-user"
	}
	major, minor, ok := nixRelease(e.found)
	switch {
	case ok && (major < 2 || major == 2 && minor <= 8) && e.nix.fallback:
		e.add("nix.version", report.CheckFail, []string{"take `fallback = true` out of nix.conf, or upgrade Nix"}, "Nix %s crashes with `fallback = true` when a download breaks off", e.found)
	case ok && major == 2 && minor < 16 && e.nix.maxJobs == "1":
		e.add("nix.version", report.CheckWarn, []string{"max-jobs = auto, in nix.conf"}, "Nix %s downloads one path at a time with `max-jobs = 1`", e.found)
	case e.found == "2.8.0" && e.nix.hook != "":
		e.ok("nix.version", "Nix %s, %s; this release tells its post-build-hook no OUT_PATHS, and flurry's goes by DRV_PATH", e.found, kind)
	default:
		e.ok("nix.version", "Nix %s, %s", e.found, kind)
	}
}

// nixRelease takes a version apart.
func nixRelease(version string) (major, minor int, ok bool) {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(strings.TrimRight(parts[1], "abcdefghijklmnopqrstuvwxyz_-"))
	return major, minor, err == nil && err2 == nil
}

// gatewayURLs are where the gateway is, as Nix may have it.
func (e *examined) gatewayURLs() []string {
	var urls []string
	if e.down == nil && e.status.Gateway.URL != "" {
		urls = append(urls, e.status.Gateway.URL)
	}
	for _, at := range e.conf.config.Gateway {
		urls = append(urls, "http://"+at, "http://"+strings.Replace(at, "127.0.0.1", "localhost", 1))
	}
	return urls
}

func (e *examined) isGateway(substituter string) bool {
	bare, _, _ := strings.Cut(strings.TrimSuffix(substituter, "/"), "?")
	return slices.Contains(e.gatewayURLs(), strings.TrimSuffix(bare, "/"))
}

// caches are the substituters of nix.conf.
func (e *examined) caches() []string {
	return append(slices.Clone(e.nix.substituters), e.nix.extraSubstituters...)
}

// nixSubstituter looks whether Nix asks the gateway.
func (e *examined) nixSubstituter(context.Context) {
	if e.found == "" || e.ignored {
		return
	}
	conf := filepath.Join(e.site.nix, "nix.conf")
	switch {
	case slices.ContainsFunc(e.caches(), e.isGateway):
	case slices.ContainsFunc(e.nix.dropped, e.isGateway):
		e.add("nix.substituter", report.CheckFail, []string{"in " + conf + ": extra-substituters in the place of substituters, or that line before what names the gateway"},
			"%s names the gateway, and a later `substituters =` takes it away again: Nix does not ask it", conf)
		return
	default:
		e.bySetup("nix.substituter", report.CheckFail, "%s does not name the gateway: Nix does not ask it", conf)
		return
	}
	for _, own := range e.ownSettings() {
		if own.substituters != nil && !slices.ContainsFunc(append(own.substituters, own.extraSubstituters...), e.isGateway) {
			e.add("nix.substituter", report.CheckWarn, []string{"extra-substituters in the place of substituters"}, "%s has `substituters =`, which takes the gateway away again", own.where)
			return
		}
	}
	e.ok("nix.substituter", "%s names the gateway", conf)
}

// ownSetting is what a user's own file, or the environment, says to Nix.
type ownSetting struct {
	where string
	nixConf
}

// ownSettings are the user's own settings for Nix: they come after the system's, and the environment's after those (nix.conf(5)).
func (e *examined) ownSettings() []ownSetting {
	files := filepath.SplitList(e.sh.getenv("NIX_USER_CONF_FILES"))
	if len(files) == 0 {
		dirs := append([]string{e.sh.userDir("XDG_CONFIG_HOME", ".config")}, filepath.SplitList(first(e.sh.getenv("XDG_CONFIG_DIRS"), "/etc/xdg"))...)
		for _, dir := range dirs {
			files = append(files, filepath.Join(dir, "nix/nix.conf"))
		}
	}
	slices.Reverse(files) // the first of them counts most, and is read last
	var own []ownSetting
	for _, name := range files {
		one := ownSetting{where: name}
		one.read(e.site.real(name), 0)
		own = append(own, one)
	}
	said := ownSetting{where: "NIX_CONFIG"}
	said.parse([]byte(e.sh.getenv("NIX_CONFIG")), ".", 0)
	return append(own, said)
}

// nixKey looks whether Nix trusts this machine's key, and can read all of them.
func (e *examined) nixKey(context.Context) {
	if e.found == "" || e.ignored {
		return
	}
	ours := e.status.Gateway.Signer
	key, err := e.site.localKey()
	if ours == "" && err == nil {
		ours = key.String()
	}
	names := make(map[string]string)
	trusted, hidden := false, false
	for _, word := range append(slices.Clone(e.nix.trusted), e.nix.extra...) {
		key, err := nix.ParsePublicKey(word)
		if err != nil {
			e.add("nix.key", report.CheckFail, []string{"take it out of trusted-public-keys in nix.conf: Nix stops with it"}, "%.60q is no key: %v", word, err)
			return
		}
		first, ok := names[key.Name]
		switch {
		case !ok: // the first of a name is the one that Nix keeps
			names[key.Name] = word
			trusted = trusted || word == ours
		case first != word && word == ours:
			hidden = true
		case first != word && first != ours:
			e.add("nix.key", report.CheckWarn, []string{"take out of trusted-public-keys the one that is not needed"}, "two different keys are called %s: Nix uses the first of them alone", key.Name)
		}
	}
	switch {
	case hidden:
		e.add("nix.key", report.CheckFail, []string{"take the older " + localKeyName + " out of trusted-public-keys in nix.conf"},
			"another key called %s comes before this machine's, and Nix uses the first alone: it refuses what the gateway gives", localKeyName)
	case trusted:
		for _, own := range e.ownSettings() {
			if own.trusted != nil && !slices.Contains(append(own.trusted, own.extra...), ours) {
				e.add("nix.key", report.CheckWarn, []string{"extra-trusted-public-keys in the place of trusted-public-keys"}, "%s has `trusted-public-keys =`, which takes this machine's key away again", own.where)
				return
			}
		}
		e.ok("nix.key", "Nix trusts this machine's key")
	case ours == "" && !errors.Is(err, fs.ErrNotExist):
		e.add("nix.key", report.CheckSkip, nil, "whether Nix trusts this machine's key is not known while the daemon is down")
	case ours == "":
		e.bySetup("nix.key", report.CheckFail, "this machine has no key yet that Nix could trust")
	case slices.Contains(e.nix.droppedKeys, ours):
		e.add("nix.key", report.CheckFail, []string{"in " + filepath.Join(e.site.nix, "nix.conf") + ": extra-trusted-public-keys in the place of trusted-public-keys, or that line before what names this machine's key"},
			"nix.conf has this machine's key, and a later `trusted-public-keys =` takes it away again: Nix refuses what the gateway gives")
	default:
		e.bySetup("nix.key", report.CheckFail, "Nix does not trust this machine's key: it refuses what the gateway gives")
	}
}

// nixTTL looks for how long Nix remembers that something is not here.
func (e *examined) nixTTL(context.Context) {
	if e.found == "" || e.ignored {
		return
	}
	if ttl := e.nix.negativeTTL; ttl > negativeTTL*time.Second && e.nix.shorterTTL {
		e.add("nix.ttl", report.CheckWarn, []string{"take the last narinfo-cache-negative-ttl out of nix.conf"}, "narinfo-cache-negative-ttl is %d, by a line after setup's: what is published now can be invisible to Nix for %s", ttl/time.Second, ttl)
		return
	} else if ttl > negativeTTL*time.Second {
		e.bySetup("nix.ttl", report.CheckWarn, "narinfo-cache-negative-ttl is %d: what is published now can be invisible to Nix for %s", ttl/time.Second, ttl)
		return
	}
	e.ok("nix.ttl", "Nix remembers \"not here\" for %s", e.nix.negativeTTL)
}
