package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/report"
)

const (
	// maxCaches is how many HTTP caches are asked one after the other before it is felt: 200 paths that none has take 0.4 s
	// with one of them 30 ms away, 2.9 s with ten (docs/BENCHMARKS.md).
	maxCaches = 3
	// maxPings is how many caches are looked at: who has more is told of that.
	maxPings = 10
	// maxCacheInfo bounds what is read of a nix-cache-info, which is three lines.
	maxCacheInfo = 4096
	// slowCache is when a cache is called slow: Nix waits as long for each path that it lacks.
	slowCache = time.Second / 2
	// defaultPriority is that of a cache that names none (libstore/binary-cache-store.hh).
	defaultPriority = 50
)

// pinged is how a cache answered.
type pinged struct {
	took     time.Duration
	priority int
	err      error
}

// nixMany looks at the other caches: how many, how fast, and whether they are asked before the gateway.
func (e *examined) nixMany(ctx context.Context) {
	if e.found == "" {
		return
	}
	others := slices.DeleteFunc(e.caches(), func(s string) bool { return e.isGateway(s) || !strings.HasPrefix(s, "http") })
	if len(others) > maxCaches {
		e.add("nix.many", report.CheckWarn, []string{"flurry use --from-nix-conf        and then take them out of nix.conf"},
			"%d HTTP caches besides the gateway: each of them costs a round trip for every path that it lacks", len(others))
	}
	others = others[:min(len(others), maxPings)]
	answers := e.pingAll(ctx, others)
	for i, s := range others {
		a, name := answers[i], redacted(s)
		behind := e.behind(s)
		switch {
		case a.err != nil && isGatewayElsewhere(s):
			e.add("nix.leak", report.CheckFail, []string{"take it out of nix.conf"}, "nix.conf names a gateway at %s, and none is there: up to Nix 2.31 that ends a build", name)
		case a.err != nil:
			e.add("nix.order", report.CheckWarn, []string{behind, e.without(s)}, "%s does not answer: Nix waits for it (%s)", name, silence(a.err))
		case a.took > slowCache:
			e.add("nix.order", report.CheckWarn, []string{behind}, "%s needs %d ms for an answer%s", name, a.took.Milliseconds(), a.order())
		default:
			e.ok("nix.order", "%s answers in %d ms%s", name, a.took.Milliseconds(), a.order())
		}
	}
}

// behind is how a cache comes behind the gateway, where one that is dead or slow keeps nobody waiting, and neighbours have its paths.
func (e *examined) behind(cache string) string {
	bare, _, _ := strings.Cut(cache, "?")
	for _, k := range builtIn() {
		switch {
		case strings.TrimSuffix(bare, "/") != k.origin:
		case slices.ContainsFunc(e.status.Namespaces, func(n report.Namespace) bool { return n.Trusted && n.Key == k.key }):
			return "the gateway asks it already: Nix need not"
		default:
			return "put it behind the gateway: flurry use " + k.name
		}
	}
	return "put it behind the gateway: flurry use KEY --origin " + redacted(cache)
}

// without is how Nix is kept from asking a cache.
func (e *examined) without(cache string) string {
	if cache == defaultNixCache && len(e.nix.dropped) == 0 {
		return "or have Nix not ask it, which it does unasked: `substituters =`, as the first line of nix.conf"
	}
	return "or take it out of nix.conf"
}

// silence says why a cache gave no answer, as a person would.
func silence(err error) string {
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("nothing came for %s", doctorTime)
	case errors.As(err, &name):
		return fmt.Sprintf("the name %s cannot be looked up", name.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it refuses connections"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "no way leads there"
	}
	return err.Error()
}

// order says whether Nix asks the cache before the gateway. The gateway itself is not asked for its priority: that would count
// as a question of Nix's.
func (p pinged) order() string {
	gateway, err := strconv.Atoi(httpgateway.Priority)
	switch {
	case err != nil || p.priority == gateway:
		return ""
	case p.priority < gateway:
		return fmt.Sprintf(", and is asked before the gateway (%d < %d)", p.priority, gateway)
	}
	return fmt.Sprintf(", and is asked after the gateway (%d > %d)", p.priority, gateway)
}

// pingAll asks the caches, all at once: none of them makes the user wait for longer than the slowest.
func (e *examined) pingAll(ctx context.Context, caches []string) []pinged {
	answers := make([]pinged, len(caches))
	var all sync.WaitGroup
	for i, s := range caches {
		all.Go(func() { answers[i] = e.ping(ctx, s) })
	}
	all.Wait()
	return answers
}

// ping asks a cache for what every cache has.
func (e *examined) ping(ctx context.Context, cache string) pinged {
	bare, query, _ := strings.Cut(cache, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(bare, "/")+"/nix-cache-info", nil)
	if err != nil {
		return pinged{err: errors.New("it is no URL")} // url.Error would show a password
	}
	began := time.Now()
	resp, err := e.http.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return pinged{err: err}
	}
	defer resp.Body.Close()
	p := pinged{took: time.Since(began), priority: defaultPriority}
	lines := bufio.NewScanner(io.LimitReader(resp.Body, maxCacheInfo))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "Priority:"); ok {
			p.setPriority(strings.TrimSpace(value))
		}
	}
	if values, err := url.ParseQuery(query); err == nil && values.Has("priority") { // nix.conf's word counts
		p.setPriority(values.Get("priority"))
	}
	return p
}

func (p *pinged) setPriority(word string) {
	if n, err := strconv.Atoi(word); err == nil {
		p.priority = n
	}
}

// redacted is a URL without the password that it may have.
func redacted(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "a cache whose URL is malformed"
	}
	return u.Redacted()
}

// isGatewayElsewhere reports whether a cache is where a gateway of this machine's would be.
func isGatewayElsewhere(cache string) bool {
	u, err := url.Parse(cache)
	return err == nil && u.Port() == "7669" && isLoopback(u.Hostname())
}

// maxFlake bounds what is read of a flake.
const maxFlake = 1 << 20

// nixLeak looks whether the flake in which the user is takes the gateway to machines that have none.
func (e *examined) nixLeak(context.Context) {
	f, err := os.Open(filepath.Join(e.here, "flake.nix"))
	if err != nil {
		return
	}
	defer f.Close() // it is only read
	text, err := io.ReadAll(io.LimitReader(f, maxFlake))
	if err != nil {
		return
	}
	for _, at := range e.gatewayURLs() {
		host := strings.TrimPrefix(at, "http://")
		if _, port, err := net.SplitHostPort(host); err == nil && (strings.Contains(string(text), host) || strings.Contains(string(text), "localhost:"+port)) {
			e.add("nix.leak", report.CheckWarn, []string{"take it out of nixConfig; a namespace's key may stay there"}, "flake.nix names this machine's gateway, %s: on machines without flurry, builds fail up to Nix 2.31", host)
			return
		}
	}
}
