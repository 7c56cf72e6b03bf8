package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/trust"
)

// seeds has a node mirror demo-1 without using it, and alice have its signature for every publication.
func (d *demo) seeds(ctx context.Context) (string, error) {
	sam, err := d.start(ctx, "sam", node.ShareNone, nil, d.alice)
	if err != nil {
		return "", err
	}
	mirrored, err := sam.verbs().Seed(ctx, control.SeedRequest{Namespace: d.address, Quota: ptr(uint64(1 << 30)), Promise: ptr(30 * 24 * time.Hour)}, nil)
	if err != nil {
		return "", err
	}
	a, err := namespace.ParseAddress(d.address)
	if err != nil {
		return "", err
	}
	var ids []namespace.ID
	for info, err := range d.alice.catalog.Publications(ctx, a) {
		if err != nil {
			return "", err
		}
		if info.Standing.State == trust.Live {
			ids = append(ids, info.ID)
		}
	}
	copies, err := d.alice.node.MakeCopies(ctx, node.CopiesRequest{Alias: "demo-1", Publications: ids, Copies: 1})
	if err != nil {
		return "", err
	}
	if !copies.Enough() || copies.Copies[0].Until == nil {
		return "", fmt.Errorf("sam did not sign for a copy: %+v", copies)
	}
	if _, err := sam.node.Info(ctx, "", d.closure[0].Path.Hash()); !errors.Is(err, node.ErrNotHere) {
		return "", fmt.Errorf("sam's own Nix would be given what sam does not trust: %w", err)
	}
	return fmt.Sprintf("sam, who trusts nobody, mirrors %d paths, %s,\nand has signed for them until %s", mirrored.Paths, megabytes(mirrored.NarBytes),
		copies.Copies[0].Until.Format(time.DateOnly)), nil
}

// leaks gives a second key leave to publish, has a thief use it, and revokes it.
func (d *demo) leaks(ctx context.Context) (string, error) {
	bob := d.named("bob")
	added, err := d.alice.verbs().AddWriter(ctx, control.AddWriterRequest{Namespace: "demo-1", Generate: "ci-main"})
	if err != nil {
		return "", err
	}
	stolen, err := nix.ParseSecretKey(added.Secret)
	if err != nil {
		return "", err
	}
	forged, err := rebuild(ctx, d.source, d.closure[:1])
	if err != nil {
		return "", err
	}
	path := forged.infos[len(forged.infos)-1].Path
	if err := d.alice.waitForSerial(ctx, bob, added.Serial); err != nil {
		return "", err
	}
	if _, err := bob.node.Publish(ctx, forged, node.PublishRequest{Alias: "demo-1", Roots: []nix.StorePath{path}, Key: &stolen}); err != nil {
		return "", err
	}
	if err := d.alice.waitListed(ctx, path, true); err != nil {
		return "", err
	}
	start := time.Now()
	plan, err := d.alice.verbs().PlanRevocation(ctx, control.PlanRevocationRequest{Namespace: "demo-1", Writer: "ci-main", All: true})
	if err != nil {
		return "", err
	}
	revoked, err := d.alice.verbs().Revoke(ctx, control.RevokeRequest{Plan: plan})
	if err != nil {
		return "", err
	}
	if err := bob.waitListed(ctx, path, false); err != nil {
		return "", err
	}
	return fmt.Sprintf("ci-main is revoked; its %s gone from bob's node %.0f ms later", plural(int64(revoked.Dropped), "publication"), float64(time.Since(start).Milliseconds())), nil
}

// waitForSerial waits until other follows the document of that serial.
func (n *demoNode) waitForSerial(ctx context.Context, other *demoNode, serial uint64) error {
	a, err := n.verbs().find("demo-1")
	if err != nil {
		return err
	}
	return eventually(ctx, "the new document did not arrive", func() (bool, error) {
		return other.catalog.Stats(a.Address).Serial >= serial, nil
	})
}

// waitListed waits until n's catalog of demo-1 lists a path, or does no longer.
func (n *demoNode) waitListed(ctx context.Context, p nix.StorePath, want bool) error {
	sp, err := n.verbs().find("demo-1")
	if err != nil {
		return err
	}
	return eventually(ctx, fmt.Sprintf("%s: listed = %t did not become true", p.Base(), want), func() (bool, error) {
		found, err := n.catalog.Lookup(ctx, sp.Address, p.Hash())
		if errors.Is(err, catalog.ErrNotFound) {
			found, err = nil, nil
		}
		return len(found) > 0 == want, err
	})
}

// eventually waits up to 20 s for a condition that other goroutines bring about.
func eventually(ctx context.Context, failed string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if yes, err := ok(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", failed, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
