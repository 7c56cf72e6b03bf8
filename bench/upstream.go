package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// signedCache makes a binary cache of files with the closure, signed by a key of its own, and puts an nginx before it.
func (b *bench) signedCache(ctx context.Context) (url, key string, stop func() error, err error) {
	secret, err := nix.NewSecretKey("cache.bench-1", rand.Reader)
	if err != nil {
		return "", "", nil, err
	}
	file := filepath.Join(b.dir, "cache.bench-1.sec")
	if err := os.WriteFile(file, []byte(secret.Text()), 0o600); err != nil {
		return "", "", nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "cache-signed-") // what is there is not signed anew
	if err != nil {
		return "", "", nil, err
	}
	if err := b.nix(ctx, append([]string{"copy", "--to", "file://" + dir + "?compression=zstd&secret-key=" + file}, b.r1...)...); err != nil {
		return "", "", nil, err
	}
	url, stop, err = b.nginx(ctx, dir)
	return url, secret.Public().String(), stop, err
}

// downstream is a daemon that uses an HTTP cache.
func (b *bench) downstream(ctx context.Context, name, url, key string) (*daemon, error) {
	d, err := b.daemon(ctx, name)
	if err != nil {
		return nil, err
	}
	return d, d.ask(ctx, nil, "use", key, "--origin", url)
}

// cold is how long a copy takes through a daemon that has nothing yet. It becomes *d, and what was *d is dropped.
func (b *bench) cold(ctx context.Context, d **daemon, round int, url, key string) (took float64, err error) {
	if *d != nil {
		if err := (*d).drop(); err != nil {
			return 0, err
		}
	}
	if *d, err = b.downstream(ctx, fmt.Sprintf("upstream-%d", round), url, key); err != nil {
		return 0, err
	}
	return b.copyFrom(ctx, (*d).gateway, (*d).key, b.r1)
}

// far compares copies from an HTTP cache that is 30 ms away with copies from a gateway that pulls all from it.
func (b *bench) far(ctx context.Context) error {
	near, key, stop, err := b.signedCache(ctx)
	if err != nil {
		return err
	}
	target, err := url.Parse(near)
	if err != nil {
		return err
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
	at, stopFar, err := farAway(proxy)
	if err != nil {
		return err
	}
	defer stopFar()
	var d *daemon
	m, err := b.medians(
		rival{"straight", func(int) (float64, error) { return b.copyFrom(ctx, at, key, b.r1) }},
		rival{"cold", func(round int) (float64, error) { return b.cold(ctx, &d, round, at, key) }})
	if err != nil {
		return err
	}
	b.line("the same, the origin 30 ms away", m["cold"], m["straight"], "s", "that nginx, zstd")
	return errors.Join(d.drop(), stop())
}

// farAway serves h on loopback, each answer later than it would be by the way to a server 30 ms away and back.
func farAway(h http.Handler) (at string, stop func() error, err error) {
	const away = 30 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(away)
		h.ServeHTTP(w, r)
	})}
	go s.Serve(l)
	return "http://" + l.Addr().String(), s.Close, nil
}

// upstream compares copies from a gateway that pulls all from an HTTP cache, and then has it, with copies from that cache.
func (b *bench) upstream(ctx context.Context) error {
	url, key, stop, err := b.signedCache(ctx)
	if err != nil {
		return err
	}
	none, stopNone, err := b.cache(ctx, "none")
	if err != nil {
		return err
	}
	var d *daemon
	m, err := b.medians(
		rival{"straight", func(int) (float64, error) { return b.copyFrom(ctx, url, key, b.r1) }},
		rival{"cold", func(round int) (float64, error) { return b.cold(ctx, &d, round, url, key) }},
		rival{"aside", func(int) (float64, error) {
			took, err := b.copyFrom(ctx, d.gateway, d.key, b.r1)
			return took, errors.Join(err, d.settled(ctx))
		}},
		rival{"none", func(int) (float64, error) { return b.copyFrom(ctx, none, "", b.r1) }},
		rival{"warm", func(int) (float64, error) { return b.copyFrom(ctx, d.gateway, d.key, b.r1) }})
	if err != nil {
		return err
	}
	b.line("nix copy, gateway pulls all from an origin", m["cold"], m["straight"], "s", "that nginx, zstd")
	b.line("nix copy, gateway has it still aside", m["aside"], m["none"], "s", "nginx, none")
	b.line("nix copy, gateway holds it", m["warm"], m["none"], "s", "nginx, none")
	return errors.Join(d.drop(), stop(), stopNone())
}

// misses is how long a build takes to learn that 200 paths are nowhere, with one gateway before 20 namespaces and 3 origins that
// are 30 ms away.
func (b *bench) misses(ctx context.Context) error {
	const paths, namespaces, origins = 200, 20, 3
	alice, _, err := b.publisher(ctx, "misses-alice", b.r1[:1])
	if err != nil {
		return err
	}
	bob, err := b.daemon(ctx, "misses-bob", "--peer", "127.0.0.1:"+alice.port)
	if err != nil {
		return err
	}
	for k := range namespaces {
		var made report.New
		if err := alice.ask(ctx, &made, "new", fmt.Sprintf("team-%d", k)); err != nil {
			return err
		}
		if err := alice.ask(ctx, nil, "publish", fmt.Sprintf("team-%d", k), "--full", b.r1[k]); err != nil {
			return err
		}
		if err := bob.ask(ctx, nil, "use", made.Address); err != nil {
			return err
		}
	}
	far, stop, err := farAway(http.NotFoundHandler())
	if err != nil {
		return err
	}
	defer stop()
	for k := range origins {
		secret, err := nix.NewSecretKey(fmt.Sprintf("far-%d", k), rand.Reader)
		if err != nil {
			return err
		}
		if err := bob.ask(ctx, nil, "use", secret.Public().String(), "--origin", fmt.Sprintf("%s/%d", far, k)); err != nil {
			return err
		}
	}
	time.Sleep(time.Second) // the grace after a start
	round := 0
	m, err := b.medians(rival{"dry-run", func(int) (float64, error) {
		round++
		return b.dryRun(ctx, bob, unknown(round, paths))
	}}, rival{"nothing", func(int) (float64, error) {
		round++
		return b.dryRun(ctx, nil, unknown(round, paths))
	}})
	if err != nil {
		return err
	}
	b.line(fmt.Sprintf("nix build --dry-run of %d unknown paths", paths), m["dry-run"], m["nothing"], "s", "without substituters")
	return errors.Join(bob.drop(), alice.drop())
}

// unknown is an expression for derivations that nobody has built.
func unknown(round, n int) string {
	return fmt.Sprintf(`builtins.genList (k: derivation { name = "unknown-%d-${toString k}"; system = builtins.currentSystem; builder = "/bin/sh"; nonce = "%d"; }) %d`, round, time.Now().UnixNano(), n)
}

func (b *bench) dryRun(ctx context.Context, d *daemon, expression string) (float64, error) {
	home, err := os.MkdirTemp(b.dir, "home-")
	if err != nil {
		return 0, err
	}
	args := []string{"--dry-run", "-E", expression, "--option", "substituters", "", "--option", "sandbox", "false"}
	if d != nil {
		args = append(args, "--option", "substituters", d.gateway, "--option", "trusted-public-keys", d.key)
	}
	cmd := exec.CommandContext(ctx, "nix-build", args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home)
	return timed(func() error {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nix-build --dry-run: %w: %s", err, out)
		}
		return nil
	})
}

// crowd is how fast 25 clients are who copy the closure at once, from one gateway that has it and from nginx, and how much
// memory the gateway takes.
func (b *bench) crowd(ctx context.Context) error {
	const clients = 25
	none, stop, err := b.cache(ctx, "none")
	if err != nil {
		return err
	}
	alice, _, err := b.publisher(ctx, "crowd-alice", b.r1)
	if err != nil {
		return err
	}
	if err := alice.ask(ctx, nil, "use", "acme-1"); err != nil {
		return err
	}
	m, err := b.medians(rival{"ours", func(int) (float64, error) { return b.copyAll(ctx, alice.gateway, alice.key, clients) }},
		rival{"nginx", func(int) (float64, error) { return b.copyAll(ctx, none, "", clients) }})
	if err != nil {
		return err
	}
	b.line(fmt.Sprintf("%d nix copy of the closure at once", clients), m["ours"], m["nginx"], "s", "nginx, none")
	if err := b.peak(alice, "most resident meanwhile", "of the gateway"); err != nil {
		return err
	}
	return errors.Join(alice.drop(), stop())
}

// copyAll is how long it takes until all of some clients have copied the closure, who begin together. Each has a store of its own.
func (b *bench) copyAll(ctx context.Context, url, key string, clients int) (float64, error) {
	return timed(func() error {
		errs := make([]error, clients)
		var all sync.WaitGroup
		for k := range clients {
			all.Go(func() { _, errs[k] = b.copyFrom(ctx, url, key, b.r1) })
		}
		all.Wait()
		return errors.Join(errs...)
	})
}
