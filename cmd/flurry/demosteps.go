package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/transfer"
)

// rebuilds gives the closure's first dependency another hash, and with it everything that refers to it, as a rebuild of
// that dependency does.
func (d *demo) rebuilds(ctx context.Context) (string, error) {
	rebuilt, err := rebuild(ctx, d.source, d.closure)
	if err != nil {
		return "", err
	}
	bob := d.named("bob")
	before := bob.wire.streams.Traffic().Total().Received
	if _, err := d.alice.node.Publish(ctx, rebuilt, node.PublishRequest{Alias: "demo-1", Roots: rebuilt.roots(d.roots)}); err != nil {
		return "", err
	}
	paths := rebuilt.infos
	if err := bob.waitFor(ctx, paths[len(paths)-1].Path); err != nil {
		return "", err
	}
	if _, err := d.copyAll(ctx, bob, paths); err != nil {
		return "", err
	}
	sent := bob.wire.streams.Traffic().Total().Received - before
	whole, plain, err := compare(ctx, d.source, d.closure, rebuilt)
	d.source, d.closure, d.roots = rebuilt, paths, rebuilt.roots(d.roots)
	return fmt.Sprintf("%d paths rebuilt (simulated), %s: %s sent\nwhole compressed NARs: %s, plain chunks: %s", len(paths), megabytes(narBytes(paths)),
		smallBytes(sent), megabytes(whole), megabytes(plain)), err
}

func smallBytes(n uint64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	}
	return megabytes(n)
}

// waitFor waits until n's catalog lists p.
func (n *demoNode) waitFor(ctx context.Context, p nix.StorePath) error {
	return eventually(ctx, p.Base()+" did not appear", func() (bool, error) {
		_, err := n.node.Info(ctx, "", p.Hash())
		if errors.Is(err, node.ErrNotHere) {
			return false, nil
		}
		return err == nil, err
	})
}

func (d *demo) sleeps(ctx context.Context) (string, error) {
	if err := d.alice.end(); err != nil {
		return "", err
	}
	carol, _, err := d.joins(ctx, "carol", node.ShareAll, nil, d.named("sam"))
	if err != nil {
		return "", err
	}
	if _, err := d.copyAll(ctx, carol, d.closure); err != nil {
		return "", err
	}
	return fmt.Sprintf("carol, who knows sam, copies all %d paths", len(d.closure)), nil
}

// lies has a node that flips one bit in each run of chunks join, and another copy from it and from bob.
func (d *demo) lies(ctx context.Context) (string, error) {
	bob := d.named("bob")
	var told atomic.Int64
	mallory, _, err := d.joins(ctx, "mallory", node.ShareAll, func(h transfer.Handler) transfer.Handler { return &mallory{h, &told} }, bob)
	if err != nil {
		return "", err
	}
	if _, err := d.copyAll(ctx, mallory, d.closure); err != nil {
		return "", err
	}
	dave, _, err := d.joins(ctx, "dave", node.ShareNone, nil, mallory)
	if err != nil {
		return "", err
	}
	if _, err := d.copyAll(ctx, dave, d.closure); err != nil {
		return "", err
	}
	banned := dave.wire.streams.Banned()
	if told.Load() == 0 || len(banned) == 0 {
		return "", fmt.Errorf("%d lies were told, %d peers banned", told.Load(), len(banned))
	}
	return fmt.Sprintf("%s, caught on arrival; banned; dave's copy is right", plural(told.Load(), "wrong chunk")), mallory.end()
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// mallory flips a bit in everything it sends.
type mallory struct {
	transfer.Handler
	told *atomic.Int64
}

func (m *mallory) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, b content.BodyID, r []transfer.Range, send func(transfer.Run) error) error {
	return m.Handler.Chunks(ctx, from, a, b, r, func(run transfer.Run) error {
		m.told.Add(1)
		run.Data = bytes.Clone(run.Data)
		run.Data[len(run.Data)/2] ^= 1
		return send(run)
	})
}

// dies has erin copy from bob and carol, and ends carol in the middle of it.
func (d *demo) dies(ctx context.Context) (string, error) {
	bob, carol := d.named("bob"), d.named("carol")
	erin, _, err := d.joins(ctx, "erin", node.ShareNone, nil, carol, bob)
	if err != nil {
		return "", err
	}
	// What the copy needs in all is what dave, who got it whole, holds.
	need, err := d.named("dave").packs.Stats(ctx)
	if err != nil {
		return "", err
	}
	half := make(chan error, 1)
	died := false
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for watch.Err() == nil && erin.wire.streams.Traffic().Fetch.Received < uint64(need.Bytes)/3 {
			time.Sleep(time.Millisecond)
		}
		died = watch.Err() == nil
		half <- carol.end()
	}()
	_, err = d.copyAll(ctx, erin, d.closure)
	cancel()
	if err := errors.Join(err, <-half); err != nil {
		return "", err
	}
	if !died {
		return "", errors.New("the copy was over before carol could die in the middle of it")
	}
	got := erin.wire.streams.Traffic().Fetch.Received
	twice := max(int64(got)-need.Bytes, 0)
	return fmt.Sprintf("the other peer goes on; %s fetched twice, no error in %s", smallBytes(uint64(twice)), d.client.name()), nil
}

// alone ends everybody but erin, and asks her for paths that nobody knows.
func (d *demo) alone(ctx context.Context) (string, error) {
	erin := d.named("erin")
	for _, n := range d.nodes {
		if n != erin {
			if err := n.end(); err != nil {
				return "", err
			}
		}
	}
	const unknown = 200
	start := time.Now()
	for k := range unknown {
		h := nix.PathHash{byte(k), byte(k >> 8), 1}
		if code, err := status(ctx, erin.url()+"/"+h.String()+".narinfo"); err != nil || code != 404 {
			return "", fmt.Errorf("%s: status %d, %w", h, code, err)
		}
	}
	each := time.Since(start).Seconds() * 1000 / unknown
	return fmt.Sprintf("%d unknown paths: \"not here\" in %.2f ms each", unknown, each), nil
}
