package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
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
	if e.found == "" {
		return
	}
	conf := filepath.Join(e.sh.nixConfDir(), "nix.conf")
	if !slices.ContainsFunc(e.caches(), e.isGateway) {
		e.bySetup("nix.substituter", report.CheckFail, "%s does not name the gateway: Nix does not ask it", conf)
		return
	}
	// A user's own settings come after the system's, and the environment's after those.
	for _, own := range []struct{ where, text string }{
		{filepath.Join(e.sh.userDir("XDG_CONFIG_HOME", ".config"), "nix/nix.conf"), ""},
		{"NIX_CONFIG", e.sh.getenv("NIX_CONFIG")},
	} {
		c := nixConf{}
		if own.where == "NIX_CONFIG" {
			c.parse([]byte(own.text), ".", 0)
		} else {
			c.read(e.site.real(own.where), 0)
		}
		if len(c.substituters) > 0 && !slices.ContainsFunc(append(c.substituters, c.extraSubstituters...), e.isGateway) {
			e.add("nix.substituter", report.CheckWarn, []string{"extra-substituters in the place of substituters"}, "%s has `substituters =`, which takes the gateway away again", own.where)
			return
		}
	}
	e.ok("nix.substituter", "%s names the gateway", conf)
}

// maxCaches is how many HTTP caches are asked one after the other before it is felt: 200 paths that none has take 0.4 s with
// one of them 30 ms away, 2.9 s with ten (docs/BENCHMARKS.md).
const maxCaches = 3

// nixMany looks at the other caches: how many, and how fast.
func (e *examined) nixMany(ctx context.Context) {
	if e.found == "" {
		return
	}
	others := slices.DeleteFunc(e.caches(), func(s string) bool { return e.isGateway(s) || !strings.HasPrefix(s, "http") })
	if len(others) > maxCaches {
		e.add("nix.many", report.CheckWarn, []string{"flurry use --from-nix-conf        and then take them out of nix.conf"},
			"%d HTTP caches besides the gateway: each of them costs a round trip for every path that it lacks", len(others))
	}
	for _, s := range others[:min(len(others), 10)] {
		took, err := e.ping(ctx, s)
		switch {
		case err != nil:
			e.add("nix.order", report.CheckWarn, []string{"take it out of nix.conf, or put it behind the gateway: flurry use KEY --origin " + s}, "%s does not answer: Nix waits for it (%v)", s, reasonOf(err))
		case took > time.Second/2:
			e.add("nix.order", report.CheckWarn, []string{"put it behind the gateway: flurry use KEY --origin " + s}, "%s needs %d ms for an answer", s, took.Milliseconds())
		default:
			e.ok("nix.order", "%s answers in %d ms", s, took.Milliseconds())
		}
	}
}

// ping asks a cache for what every cache has.
func (e *examined) ping(ctx context.Context, cache string) (time.Duration, error) {
	bare, _, _ := strings.Cut(cache, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(bare, "/")+"/nix-cache-info", nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	resp, err := e.http.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return 0, err
	}
	resp.Body.Close()
	return time.Since(began), nil
}

// nixKey looks whether Nix trusts this machine's key, and can read all of them.
func (e *examined) nixKey(context.Context) {
	if e.found == "" {
		return
	}
	ours := e.status.Gateway.Signer
	key, err := e.site.localKey()
	if ours == "" && err == nil {
		ours = key.String()
	}
	names := make(map[string]string)
	trusted := false
	for _, word := range append(slices.Clone(e.nix.trusted), e.nix.extra...) {
		key, err := nix.ParsePublicKey(word)
		if err != nil {
			e.add("nix.key", report.CheckFail, []string{"take it out of trusted-public-keys in nix.conf: Nix stops with it"}, "%.60q is no key: %v", word, err)
			return
		}
		if old, ok := names[key.Name]; ok && old != word && key.Name != localKeyName {
			e.add("nix.key", report.CheckWarn, nil, "two different keys are called %s: Nix uses one of them", key.Name)
		}
		names[key.Name] = word
		trusted = trusted || word == ours
	}
	switch {
	case trusted:
		e.ok("nix.key", "Nix trusts this machine's key")
	case ours == "" && !errors.Is(err, fs.ErrNotExist):
		e.add("nix.key", report.CheckSkip, nil, "whether Nix trusts this machine's key is not known while the daemon is down")
	case ours == "":
		e.bySetup("nix.key", report.CheckFail, "this machine has no key yet that Nix could trust")
	default:
		e.bySetup("nix.key", report.CheckFail, "Nix does not trust this machine's key: it refuses what the gateway gives")
	}
}

// nixDaemons are the processes of nix-daemon: the one that others are the children of.
func (e *examined) nixDaemons() (pids []string) {
	all, err := os.ReadDir(e.site.real("/proc"))
	if err != nil {
		return nil
	}
	for _, p := range all {
		name, err := os.ReadFile(filepath.Join(e.site.real("/proc"), p.Name(), "comm"))
		if err == nil && strings.TrimSpace(string(name)) == "nix-daemon" {
			pids = append(pids, p.Name())
		}
	}
	return pids
}

// nixDaemonAge looks whether the daemon has read the configuration as it is.
func (e *examined) nixDaemonAge(context.Context) {
	if e.found == "" || !e.multi {
		return
	}
	var changed time.Time
	for _, name := range []string{"nix.conf", "nix.custom.conf", "flurry.conf"} {
		if info, err := os.Stat(e.site.real(filepath.Join(e.sh.nixConfDir(), name))); err == nil && info.ModTime().After(changed) {
			changed = info.ModTime()
		}
	}
	var started time.Time // of the oldest: others serve one client each
	for _, pid := range e.nixDaemons() {
		if info, err := os.Stat(filepath.Join(e.site.real("/proc"), pid)); err == nil && (started.IsZero() || info.ModTime().Before(started)) {
			started = info.ModTime()
		}
	}
	switch {
	case started.IsZero(): // it is started when somebody asks
	case changed.After(started):
		e.add("nix.daemon-age", report.CheckFail, []string{"sudo systemctl restart nix-daemon"}, "nix-daemon was started before nix.conf changed (%s < %s): it does not know of that", started.Format(time.TimeOnly), changed.Format(time.TimeOnly))
	default:
		e.ok("nix.daemon-age", "nix-daemon was started after nix.conf changed")
	}
}

// nixProxy looks whether the daemon sends loopback to a proxy.
func (e *examined) nixProxy(context.Context) {
	for _, pid := range e.nixDaemons() {
		raw, err := os.ReadFile(filepath.Join(e.site.real("/proc"), pid, "environ"))
		if err != nil {
			continue // another user's
		}
		env := make(map[string]string)
		for word := range bytes.SplitSeq(raw, []byte{0}) {
			name, value, _ := strings.Cut(string(word), "=")
			env[strings.ToLower(name)] = value
		}
		if env["http_proxy"] == "" && env["all_proxy"] == "" {
			continue
		}
		if no := env["no_proxy"]; !strings.Contains(no, "127.0.0.1") && no != "*" {
			e.add("nix.proxy", report.CheckFail, []string{"in its unit: Environment=no_proxy=127.0.0.1,localhost,::1        sudo systemctl edit nix-daemon"},
				"nix-daemon uses a proxy (%s), also for 127.0.0.1: it does not reach the gateway", first(env["http_proxy"], env["all_proxy"]))
			return
		}
	}
}

// nixTTL looks for how long Nix remembers that something is not here.
func (e *examined) nixTTL(context.Context) {
	if e.found == "" {
		return
	}
	if ttl := e.nix.negativeTTL; ttl > 5*time.Minute {
		e.bySetup("nix.ttl", report.CheckWarn, "narinfo-cache-negative-ttl is %d: what is published now can be invisible to Nix for %s", ttl/time.Second, ttl)
		return
	}
	e.ok("nix.ttl", "Nix remembers \"not here\" for %s", e.nix.negativeTTL)
}

// nixHook looks whether the hook that Nix runs after each build is there: a missing one fails every build.
func (e *examined) nixHook(context.Context) {
	hook := e.nix.hook
	if hook == "" {
		return
	}
	info, err := os.Stat(e.site.real(hook))
	text, _ := os.ReadFile(e.site.real(hook))
	switch {
	case err != nil || info.Mode()&0o111 == 0:
		e.add("nix.hook", report.CheckFail, []string{"flurry hook --script | sudo install -m 755 /dev/stdin " + hook, "or take post-build-hook out of nix.conf"}, "post-build-hook names %s, which cannot be run: every build fails", hook)
	case bytes.Contains(text, []byte("flurry")):
		e.ok("nix.hook", "%s tells flurry what is built", hook)
	default:
		e.ok("nix.hook", "%s is another program's hook", hook)
	}
}
