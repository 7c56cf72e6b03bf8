package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// publish compares flurry publish of the closure with nix copy to a zstd cache of files, both into empty directories.
func (b *bench) publish(ctx context.Context) error {
	nix := func(round int) (float64, error) {
		dir := filepath.Join(b.dir, fmt.Sprintf("file-%d", round))
		took, err := timed(func() error {
			return b.nix(ctx, append([]string{"copy", "--to", "file://" + dir + "?compression=zstd"}, b.r1...)...)
		})
		return took, errors.Join(err, os.RemoveAll(dir))
	}
	ours := func(round int) (float64, error) {
		d, err := b.daemon(ctx, fmt.Sprintf("publish-%d", round))
		if err != nil {
			return 0, err
		}
		if err := d.ask(ctx, nil, "new", "acme-1"); err != nil {
			return 0, err
		}
		took, err := timed(func() error { return d.ask(ctx, nil, append([]string{"publish", "acme-1", "--full"}, b.r1...)...) })
		return took, errors.Join(err, d.drop())
	}
	m, err := b.medians(rival{"nix", nix}, rival{"ours", ours})
	if err != nil {
		return err
	}
	b.line("publish the closure", m["ours"], m["nix"], "s", "nix copy --to file zstd")
	return nil
}

// cache makes a binary cache of files with the closure and puts an nginx before it.
func (b *bench) cache(ctx context.Context, compression string) (url string, stop func() error, err error) {
	dir := filepath.Join(b.dir, "cache-"+compression)
	if err := b.nix(ctx, append([]string{"copy", "--to", "file://" + dir + "?compression=" + compression}, b.r1...)...); err != nil {
		return "", nil, err
	}
	return b.nginx(ctx, dir)
}

// fetch compares copies from a gateway that has nothing and from one that has it all with copies from nginx.
func (b *bench) fetch(ctx context.Context) error {
	zstd, stopZstd, err := b.cache(ctx, "zstd")
	if err != nil {
		return err
	}
	none, stopNone, err := b.cache(ctx, "none")
	if err != nil {
		return err
	}
	alice, address, err := b.publisher(ctx, "fetch-alice", b.r1)
	if err != nil {
		return err
	}
	var bob *daemon
	cold := func(round int) (took float64, err error) {
		if bob != nil {
			if err := bob.drop(); err != nil {
				return 0, err
			}
		}
		if bob, err = b.consumer(ctx, fmt.Sprintf("fetch-bob-%d", round), alice, address, len(b.r1)); err != nil {
			return 0, err
		}
		return b.copyFrom(ctx, bob.gateway, bob.key, b.r1)
	}
	warm := func(int) (float64, error) { return b.copyFrom(ctx, bob.gateway, bob.key, b.r1) }
	m, err := b.medians(
		rival{"zstd", func(int) (float64, error) { return b.copyFrom(ctx, zstd, "", b.r1) }},
		rival{"cold", cold},
		rival{"none", func(int) (float64, error) { return b.copyFrom(ctx, none, "", b.r1) }},
		rival{"warm", warm})
	if err != nil {
		return err
	}
	b.line("nix copy, gateway fetches all from one peer", m["cold"], m["zstd"], "s", "nginx, zstd")
	b.line("nix copy, gateway holds it", m["warm"], m["none"], "s", "nginx, none")
	return errors.Join(stopZstd(), stopNone(), bob.drop(), alice.drop())
}

// rebuild counts what a receiver of the closure receives to get all of its rebuild.
func (b *bench) rebuild(ctx context.Context) error {
	if len(b.r2) == 0 {
		return nil
	}
	alice, address, err := b.publisher(ctx, "rebuild-alice", b.r1)
	if err != nil {
		return err
	}
	bob, err := b.consumer(ctx, "rebuild-bob", alice, address, len(b.r1))
	if err != nil {
		return err
	}
	if _, err := b.copyFrom(ctx, bob.gateway, bob.key, b.r1); err != nil {
		return err
	}
	var before, after report.Status
	if err := bob.ask(ctx, &before, "status"); err != nil {
		return err
	}
	if err := alice.ask(ctx, nil, append([]string{"publish", "acme-1", "--full"}, b.r2...)...); err != nil {
		return err
	}
	if err := bob.lists(ctx, before.Namespaces[0].Paths+len(fresh(b.r1, b.r2))); err != nil {
		return err
	}
	took, err := b.copyFrom(ctx, bob.gateway, bob.key, b.r2)
	if err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // the last answers are counted when their streams have ended
	if err := bob.ask(ctx, &after, "status"); err != nil {
		return err
	}
	b.alone("rebuild: payload received for revision 2", float64(after.Traffic.Received-before.Traffic.Received)/1e6, "MB",
		fmt.Sprintf("for %.0f MB of NARs, by a receiver of revision 1, in %.1f s", float64(narBytes(ctx, b.r2))/1e6, took))
	return errors.Join(bob.drop(), alice.drop())
}

// fresh are the paths of now that are not among before.
func fresh(before, now []string) (out []string) {
	had := make(map[string]bool)
	for _, p := range before {
		had[p] = true
	}
	for _, p := range now {
		if !had[p] {
			out = append(out, p)
		}
	}
	return out
}
