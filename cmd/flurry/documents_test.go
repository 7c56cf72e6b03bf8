package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
)

// TestDocumentWarnings: a document that expired, and two of one serial, are told of wherever somebody looks.
func TestDocumentWarnings(t *testing.T) {
	p := newBenchPublisher(t)
	for id, adopt := range map[string]func(*catalog.Catalog) error{
		"document-expired": func(c *catalog.Catalog) error {
			return c.Adopt(t.Context(), p.Document(1, func(d *namespace.Document) { d.Expires = d.Issued.Add(time.Minute) }), nil)
		},
		"document-fork": func(c *catalog.Catalog) error {
			for _, about := range []string{"one", "another"} {
				err := c.Adopt(t.Context(), p.Document(1, func(d *namespace.Document) { d.About = about }), nil)
				if err != nil && !errors.Is(err, catalog.ErrRollback) {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(id, func(t *testing.T) {
			n := newBenchNode(t, node.ShareNone)
			if err := adopt(n.catalog); err != nil {
				t.Fatal(err)
			}
			u, err := n.verbs().Use(t.Context(), control.UseRequest{Namespace: p.Address.String(), Wait: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			s, err := n.verbs().Status(t.Context(), control.StatusRequest{})
			if err != nil {
				t.Fatal(err)
			}
			show, err := n.verbs().Show(t.Context(), control.ShowRequest{Namespace: "acme-1", Document: true})
			if err != nil {
				t.Fatal(err)
			}
			warns := func(where string, ids ...string) {
				t.Helper()
				if !slices.Contains(ids, id) {
					t.Errorf("%s says %q", where, ids)
				}
			}
			var ids []string
			for _, w := range u.Warnings {
				ids = append(ids, w.ID)
			}
			warns("use", ids...)
			ids = nil
			for _, w := range s.Problems {
				ids = append(ids, w.ID)
			}
			warns("status", ids...)
			word := map[string]string{"document-expired": "frozen", "document-fork": "two documents"}[id]
			if all := strings.Join(slices.Concat(s.Namespaces[0].Problems, show.Problems), "\n"); strings.Count(all, word) != 2 {
				t.Errorf("the table and show say %q", all)
			}
			if (show.Rival != "") != (id == "document-fork") {
				t.Errorf("show --document prints as the other one %q", show.Rival)
			}
		})
	}
}

// TestStopWhenCopied: mirroring that is to end when others have copies goes on until then, is remembered on the disk, and no
// longer.
func TestStopWhenCopied(t *testing.T) {
	ctx := t.Context()
	publisher := newBenchNode(t, node.ShareAll)
	made, err := publisher.verbs().New(ctx, control.NewRequest{Name: "acme-1", Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	source := madeUp(true)
	root := source.infos[len(source.infos)-1].Path
	if _, err := publisher.node.Publish(ctx, source, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{root}}); err != nil {
		t.Fatal(err)
	}
	mirrors := func(peers ...*benchNode) *benchNode {
		t.Helper()
		n := newBenchNode(t, node.ShareNone, peers...)
		if _, err := n.verbs().Seed(ctx, control.SeedRequest{Namespace: made.Address, Promise: ptr(time.Hour)}, nil); err != nil {
			t.Fatal(err)
		}
		return n
	}
	one := mirrors(publisher)
	s, err := one.verbs().StopSeed(ctx, control.StopSeedRequest{Namespace: "acme-1", AfterCopies: 1})
	if err != nil {
		t.Fatal(err)
	}
	if sp, err := one.verbs().find("acme-1"); err != nil || s.After != 1 || s.OnlyCopy == 0 || !sp.Seed {
		t.Fatalf("it ended before others had a copy: %+v, %+v, %v", s, sp, err)
	}
	file, err := os.ReadFile(filepath.Join(one.cfg.State, "namespaces.toml"))
	if err != nil || !strings.Contains(string(file), "stop_after_copies = 1") {
		t.Errorf("a restart would forget it: %s, %v", file, err)
	}
	mirrors(publisher, one)
	watch, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- one.verbs().stopWhenCopied(watch, 20*time.Millisecond) }()
	err = eventually(ctx, "the mirroring did not end", func() (bool, error) {
		sp, err := one.verbs().find("acme-1")
		return !sp.Seed && sp.StopAfter == 0 && !sp.Until.IsZero(), err
	})
	cancel()
	if err := errors.Join(err, <-ended); err != nil {
		t.Error(err)
	}
}
