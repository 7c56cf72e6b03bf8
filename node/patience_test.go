package node_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store/storetest"
	"github.com/flurry-nix/flurry/transfer"
)

// TestPatience: who answers nothing holds a narinfo up for as long as it was given, to the instant: those on the LAN for less than others,
// the slowest of several decides, and after a start there is the grace.
func TestPatience(t *testing.T) {
	const grace = 2 * time.Second
	for name, c := range map[string]struct {
		lan, wan, origin bool          // who hangs
		at               time.Duration // after the start
		want             time.Duration
	}{
		"nobody":                         {at: time.Minute},
		"the LAN":                        {lan: true, at: time.Minute, want: node.BudgetLAN},
		"beyond it":                      {wan: true, at: time.Minute, want: node.BudgetWAN},
		"both":                           {lan: true, wan: true, at: time.Minute, want: node.BudgetWAN},
		"an origin":                      {origin: true, at: time.Minute, want: node.BudgetWAN},
		"an origin and the LAN":          {lan: true, origin: true, at: time.Minute, want: node.BudgetWAN},
		"nobody at the start":            {want: grace},
		"the LAN at the start":           {lan: true, want: grace},
		"beyond it at the start":         {wan: true, want: grace},
		"the LAN during the grace":       {lan: true, at: grace / 4, want: grace - grace/4},
		"the LAN at the grace's end":     {lan: true, at: grace - node.BudgetLAN/2, want: node.BudgetLAN},
		"beyond it at the grace's end":   {wan: true, at: grace - node.BudgetWAN/2, want: node.BudgetWAN},
		"the LAN when the grace is over": {lan: true, at: grace, want: node.BudgetLAN},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				publisher := w.machine("publisher", node.ShareAll, nil)
				a := publisher.creates("acme-1")
				publisher.publishes("acme-1", publisher.nix.build("lib", "1", 1000))
				o := newFakeOrigin(t)
				o.changes(func(ctx context.Context, _ *nix.NarInfo) (*nix.NarInfo, error) { <-ctx.Done(); return nil, ctx.Err() }, nil)
				var lookups atomic.Int64
				holder := func(name, site string) *machine {
					w.site = site
					defer func() { w.site = "" }()
					l := &silent{lookups: &lookups}
					m := w.machine(name, node.ShareAll, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
					m.keys = publisher.keys
					m.meet(publisher)
					m.uses(a)
					return m
				}
				var others []*machine
				if c.lan {
					others = append(others, holder("near", ""))
				}
				if c.wan {
					others = append(others, holder("far", "elsewhere"))
				}
				publisher.stop() // it would answer
				bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareNone, grace: grace,
					origins: func(string) (node.Origin, error) { return o, nil }})
				bob.meet(others...)
				if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
					t.Fatal(err)
				}
				if c.origin {
					if err := bob.Put(node.Space{Alias: "cache", Address: namespace.AddressOf(o.key.Public()), Use: true, Origin: "https://cache.example"}); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if n := bob.Status(false).Namespaces[0].Serving; n != len(others) {
					t.Fatalf("%d of %d are known to serve it", n, len(others))
				}
				time.Sleep(c.at)
				took, err := bob.asNix(publisher.nix.build("app", "1", 1000))
				if !errors.Is(err, node.ErrNotHere) && !errors.Is(err, context.DeadlineExceeded) || took != c.want {
					t.Errorf("%v after %v, want %v", err, took, c.want)
				}
				if n := lookups.Load() + o.infos.Load(); n == 0 && (c.lan || c.wan || c.origin) {
					t.Error("nobody was asked")
				}
				for _, m := range append(others, bob) {
					m.stop()
				}
			})
		})
	}
}
