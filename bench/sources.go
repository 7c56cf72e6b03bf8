package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/internal/netlab"
	"github.com/flurry-nix/flurry/report"
)

// The lines of the hosts: good is a seed's, thin the same slowed to a tenth, wide the receiver's.
const (
	good = 100 * netlab.Mbit
	thin = good / 10
	wide = 400 * netlab.Mbit
)

// sources compares copies of the closure through a gateway that has nothing of it, each from an empty state, by how many
// seeds it is fetched from. The seeds and the receiver have lines of their own.
func (b *bench) sources(ctx context.Context) (err error) {
	if missing := netlab.Missing(); missing != nil {
		fmt.Fprintf(b.out, "sources: left out: %v\n", missing)
		return nil
	}
	lab, err := netlab.New(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	seeds, address, err := b.seeds(ctx, lab, 3)
	if err != nil {
		return err
	}
	lines := func(n int, last netlab.Rate) error {
		for k, s := range seeds {
			rate := good
			if k == n-1 {
				rate = last
			}
			if err := s.host.SetRate(ctx, rate); err != nil {
				return err
			}
		}
		return nil
	}
	host, err := lab.Host(ctx, wide)
	if err != nil {
		return err
	}
	for _, client := range []struct {
		name string
		read func(context.Context, *daemon, []string) (float64, error)
	}{
		{"nix copy", func(ctx context.Context, d *daemon, paths []string) (float64, error) {
			return b.copyOn(ctx, d.host, d.gateway, d.key, paths)
		}},
		{"16 at a time", readAll},
	} {
		from := func(what string, n int, last netlab.Rate) rival {
			return rival{what, func(int) (float64, error) {
				if err := lines(n, last); err != nil {
					return 0, err
				}
				return b.fromSeeds(ctx, host, address, seeds[:n], client.read)
			}}
		}
		m, err := b.medians(from("one", 1, good), from("two", 2, good), from("three", 3, good), from("slowed", 3, thin))
		if err != nil {
			return err
		}
		b.line(client.name+", three seeds of 100 Mbit/s", m["three"], m["one"], "s", "one")
		b.line(client.name+", two", m["two"], m["one"], "s", "one")
		b.line(client.name+", two, and one of 10 Mbit/s", m["slowed"], m["two"], "s", "the two alone")
	}
	for _, s := range seeds {
		err = errors.Join(err, s.drop())
	}
	return err
}

// seeds are n daemons, each on a host of its own, that mirror the closure. Who published it is gone.
func (b *bench) seeds(ctx context.Context, lab *netlab.Lab, n int) (seeds []*daemon, address string, err error) {
	alice, err := b.daemonIn(ctx, lab, "sources-alice")
	if err != nil {
		return nil, "", err
	}
	var made report.New
	if err := alice.ask(ctx, &made, "new", "acme-1"); err != nil {
		return nil, "", err
	}
	if err := alice.ask(ctx, nil, append([]string{"publish", "acme-1", "--full"}, b.r1...)...); err != nil {
		return nil, "", err
	}
	for k := range n {
		s, err := b.daemonIn(ctx, lab, fmt.Sprintf("sources-seed-%d", k), "--peer", alice.peer())
		if err != nil {
			return nil, "", err
		}
		if err := s.ask(ctx, nil, "seed", made.Address, "--quota", "100GiB"); err != nil {
			return nil, "", err
		}
		if err := s.mirrors(ctx, len(b.r1)); err != nil {
			return nil, "", err
		}
		seeds = append(seeds, s)
	}
	return seeds, made.Address, alice.drop()
}

// mirrors waits until the daemon's one seeded namespace has that many paths and nothing is on its way.
func (d *daemon) mirrors(ctx context.Context, paths int) error {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var s report.Seeds
		if err := d.ask(ctx, &s, "seed"); err != nil {
			return err
		}
		if len(s.Seeds) == 1 && s.Seeds[0].Paths >= paths && s.Seeds[0].Pending == 0 {
			return nil
		}
	}
	return errors.New("a seed did not have all of it in time")
}

// fromSeeds is how long read takes to get the closure through a gateway on h that has nothing yet.
func (b *bench) fromSeeds(ctx context.Context, h *netlab.Host, address string, seeds []*daemon, read func(context.Context, *daemon, []string) (float64, error)) (took float64, err error) {
	var args []string
	for _, s := range seeds {
		args = append(args, "--peer", s.peer())
	}
	bob, err := b.daemonOn(ctx, h, "sources-bob", args...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, bob.drop()) }()
	if err := bob.ask(ctx, nil, "use", address); err != nil {
		return 0, err
	}
	if err := bob.lists(ctx, len(b.r1)); err != nil {
		return 0, err
	}
	if err := bob.meets(ctx, len(seeds)); err != nil {
		return 0, err
	}
	return read(ctx, bob, b.r1)
}

// readAll is how long it takes to read the NARs of paths from the gateway of d and to throw them away, 16 at a time: what a
// client costs that writes nothing, and does not wait for one path before it asks for the next.
func readAll(ctx context.Context, d *daemon, paths []string) (float64, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: d.host.Dial, MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	next := make(chan string)
	failed := make(chan error, 16)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return timed(func() error {
		for range cap(failed) {
			go func() {
				var err error
				for path := range next {
					if err = readPath(ctx, client, d.gateway, path); err != nil {
						cancel()
						break
					}
				}
				failed <- err
			}()
		}
		for _, path := range paths {
			select {
			case next <- path:
			case <-ctx.Done():
			}
		}
		close(next)
		var errs []error
		for range cap(failed) {
			errs = append(errs, <-failed)
		}
		return errors.Join(errs...)
	})
}

// readPath reads the narinfo of path and the NAR that it names.
func readPath(ctx context.Context, client *http.Client, gateway, path string) error {
	var narinfo strings.Builder
	hash, _, _ := strings.Cut(filepath.Base(path), "-")
	if err := get(ctx, client, gateway+"/"+hash+".narinfo", &narinfo); err != nil {
		return err
	}
	for line := range strings.Lines(narinfo.String()) {
		if url, ok := strings.CutPrefix(line, "URL: "); ok {
			return get(ctx, client, gateway+"/"+strings.TrimSpace(url), io.Discard)
		}
	}
	return fmt.Errorf("the narinfo of %s names no NAR", path)
}

func get(ctx context.Context, client *http.Client, url string, to io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: HTTP %s", url, response.Status)
	}
	_, err = io.Copy(to, response.Body)
	return err
}

// meets waits until n peers answer for the daemon's one namespace.
func (d *daemon) meets(ctx context.Context, n int) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var s report.Status
		if err := d.ask(ctx, &s, "status"); err != nil {
			return err
		}
		if len(s.Namespaces) > 0 && s.Namespaces[0].Serving >= n {
			return nil
		}
	}
	return fmt.Errorf("%d peers were not found in time", n)
}

// daemonIn starts a flurry on a new host of lab, whose line carries what the machine can.
func (b *bench) daemonIn(ctx context.Context, lab *netlab.Lab, name string, args ...string) (*daemon, error) {
	h, err := lab.Host(ctx, 0)
	if err != nil {
		return nil, err
	}
	return b.daemonOn(ctx, h, name, args...)
}

// daemonOn starts a flurry on a host of a lab. It sends as fast as the host's line carries, and looks for nobody: it knows
// whom it is told of.
func (b *bench) daemonOn(ctx context.Context, h *netlab.Host, name string, args ...string) (*daemon, error) {
	config := filepath.Join(b.dir, "unlimited.toml")
	if err := os.WriteFile(config, []byte("[share]\nupload = \"0\"\n"), 0o644); err != nil {
		return nil, err
	}
	d := &daemon{b: b, host: h, state: filepath.Join(b.dir, name), port: "7670"}
	return d, d.start(ctx, append([]string{"--config", config, "--wan=false"}, args...)...)
}

// peer is how others name the daemon on a host.
func (d *daemon) peer() string { return d.host.Addr() + ":" + d.port }
