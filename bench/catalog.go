package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	catalogdisk "github.com/flurry-nix/flurry/catalog/disk"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
	"github.com/flurry-nix/flurry/trust"
)

// catalog measures a daemon whose catalog has 100,000 paths in 5,000 publications: how long it takes to answer after its
// start, and what it has resident then.
func (b *bench) catalog(ctx context.Context) error {
	const publications, each = 5000, 20
	if err := fill(ctx, filepath.Join(b.dir, "catalog"), publications, each); err != nil {
		return err
	}
	start := time.Now()
	d, err := b.daemon(ctx, "catalog")
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	var s report.Status
	if err := d.ask(ctx, &s, "status"); err != nil {
		return err
	}
	if len(s.Namespaces) != 1 || s.Namespaces[0].Paths != publications*each {
		return fmt.Errorf("the daemon lists %+v", s.Namespaces)
	}
	rss, err := d.resident("VmRSS")
	if err != nil {
		return err
	}
	b.alone("start with 100,000 paths in a catalog", took, "s", "from exec to the first answer")
	b.alone("resident with 100,000 paths in a catalog", rss, "MB", "")
	return d.drop()
}

// fill writes a state directory whose only namespace has publications of each paths.
func fill(ctx context.Context, state string, publications, each int) error {
	log := slog.New(slog.DiscardHandler)
	packs, err := storedisk.Open(ctx, state, storedisk.Options{Log: log})
	if err != nil {
		return err
	}
	defer packs.Close()
	index, err := catalogdisk.Open(filepath.Join(state, "db", "catalog"), log)
	if err != nil {
		return err
	}
	defer index.Close()
	c, err := catalog.Open(ctx, index, texts{packs, store.NewCodec()}, time.Now, log)
	if err != nil {
		return err
	}
	root, err := nix.NewSecretKey("acme-1", rand.Reader)
	if err != nil {
		return err
	}
	a := namespace.AddressOf(root.Public())
	if err := declare(state, a); err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	raw, err := trust.SignDocument(&namespace.Document{Namespace: a, Serial: 1, Issued: now, Expires: now.AddDate(1, 0, 0), Keep: 90 * 24 * time.Hour, Access: "public"}, root)
	if err != nil {
		return err
	}
	d, err := trust.VerifyDocument(a, raw)
	if err != nil {
		return err
	}
	if err := c.Adopt(ctx, d, nil); err != nil {
		return err
	}
	policy, _ := c.Policy(a)
	for n := range publications {
		p, err := made(policy, root, now, n, each)
		if err != nil {
			return err
		}
		if _, err := c.Add(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// made is the nth publication, of made-up entries.
func made(policy *trust.Policy, root nix.SecretKey, now time.Time, n, each int) (trust.Publication, error) {
	p := &namespace.Publication{Namespace: policy.Address(), Time: now, Expires: now.AddDate(0, 3, 0)}
	for k := range each {
		sum := sha256.Sum256(fmt.Append(nil, n, k))
		var h nix.PathHash
		copy(h[:], sum[:])
		path, err := nix.ParseBaseName(fmt.Sprintf("%s-package-%d-%d-1.0", h, n, k))
		if err != nil {
			return trust.Publication{}, err
		}
		e := namespace.Entry{Path: path, NarHash: nix.NarHash(sum), NarSize: 100_000, References: []nix.StorePath{path}, Body: content.BodyID(sum), Slots: []nix.PathHash{h}}
		trust.SignEntry(&e, root)
		p.Entries = append(p.Entries, e)
		p.Roots = append(p.Roots[:0], path)
	}
	raw, err := trust.SignPublication(p, root)
	if err != nil {
		return trust.Publication{}, err
	}
	return policy.VerifyPublication(raw)
}
