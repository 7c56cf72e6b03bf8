package catalog_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// script is a life of a catalog, one act after the other. Each can be repeated
// until it succeeds.
func script(b *catalogtest.Bench) []func() error {
	ctx := b.T.Context()
	ci := b.Key("ci")
	lists := func(names ...string) func(*namespace.Publication) {
		return func(p *namespace.Publication) {
			for _, name := range names {
				p.Entries = append(p.Entries, catalogtest.Entry(name, "", catalogtest.Path("libc")))
			}
		}
	}
	first := b.Publication(ci, func(p *namespace.Publication) {
		lists("a", "b")(p)
		p.Expires = p.Time.Add(time.Minute)
	})
	second := b.Publication(b.Root, func(p *namespace.Publication) {
		lists("b", "c")(p)
		p.Uses = []namespace.ID{b.ID(first)}
	})
	brief := b.Publication(b.Root, func(p *namespace.Publication) {
		lists("c", "d")(p)
		p.Expires = p.Time.Add(time.Minute)
	})
	quiet, third := b.Publication(b.Root, lists("e")), b.Publication(b.Root, lists("f"))
	signed, err := trust.SignReceipt(&namespace.Receipt{Namespace: b.Address, Publication: b.ID(third), Time: b.Start}, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		b.T.Fatal(err)
	}
	receipt, err := trust.VerifyReceipt(signed)
	if err != nil {
		b.T.Fatal(err)
	}
	addAll := func(raws ...[]byte) func() error {
		return func() error {
			var pubs []trust.Publication
			for _, raw := range raws {
				pubs = append(pubs, b.Verify(raw))
			}
			results, err := b.Catalog.AddAll(ctx, pubs, false)
			for _, r := range results {
				err = errors.Join(err, r.Err)
			}
			return err
		}
	}
	adopt := func(d trust.Document, lists ...*namespace.KeepList) func() error {
		return func() error { return b.Catalog.Adopt(ctx, d, lists) }
	}
	add := func(raw []byte) func() error {
		return func() error {
			policy, ok := b.Catalog.Policy(b.Address)
			if !ok {
				return errors.New("no policy")
			}
			p, err := policy.VerifyPublication(raw)
			if err != nil {
				return err
			}
			_, err = b.Catalog.Add(ctx, p)
			return err
		}
	}
	with := func(name string, act func(trust.Verified) error) func() error {
		return func() error {
			if found := b.Lookup(name); found != nil { // else an attempt that failed has done it
				return act(found[0])
			}
			return nil
		}
	}
	list := &namespace.KeepList{Namespace: b.Address, Publications: []namespace.ID{b.ID(first)}}
	closing := b.Document(2, func(d *namespace.Document) {
		d.Closed = []namespace.Closed{{Key: ci.Public(), Keep: list.ID()}}
	})
	up := catalogtest.NewPublisher(b.T, "cache.example-1", 5)
	kept := catalogtest.Entry("kept", "")
	trust.SignEntry(&kept, up.Root)
	keep := func() error {
		v, err := trust.NewUpstreamPolicy(up.Address).Recall(&kept, namespace.ID{}, up.Root.Public())
		if err != nil {
			return err
		}
		return b.Catalog.Keep(ctx, v)
	}
	forget := func() error {
		if !slices.Contains(b.Catalog.Namespaces(), up.Address) {
			return nil // an attempt that failed has done it
		}
		return b.Catalog.Forget(ctx, up.Address)
	}
	return []func() error{
		adopt(b.Document(1, catalogtest.Writers(ci))),
		add(first), add(second), add(brief),
		addAll(quiet), addAll(third),
		func() error { return b.Catalog.Want(ctx, b.Address, b.ID(third), 2) },
		func() error { return b.Catalog.KeepReceipt(ctx, receipt) },
		func() error { return b.Catalog.List(ctx, b.Address, b.ID(third)) },
		func() error { return b.Catalog.Unlist(ctx, b.Address, b.ID(second)) },
		with("d", func(v trust.Verified) error { return b.Catalog.MarkProven(ctx, v) }),
		with("c", func(v trust.Verified) error { return b.Catalog.MarkProven(ctx, v) }),
		adopt(closing, list),
		keep,
		func() error { b.Clock.Set(b.Start.Add(time.Minute)); return nil },
		func() error { return b.Catalog.Drop(ctx, b.Address, b.ID(brief)) },
		forget,
		adopt(up.Document(7, nil)),
		forget,
		with("a", func(v trust.Verified) error { return b.Catalog.Distrust(ctx, v, "test") }),
	}
}

// dump returns all that an index holds.
func dump(t *testing.T, kv catalog.KV) (all []string) {
	t.Helper()
	err := kv.Scan(nil, nil, func(k, v []byte) (bool, error) {
		all = append(all, fmt.Sprintf("%q=%q", k, v))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// play carries out a script. Each act is repeated while it fails by an injected
// fault, after a restart where crash is set. After every act the index has to be
// what it is without faults.
func play(t *testing.T, b *catalogtest.Bench, crash bool, want [][]string) (states [][]string) {
	t.Helper()
	for i, act := range script(b) {
		for {
			err := act()
			if err == nil {
				break
			}
			if !errors.Is(err, catalogtest.ErrFault) {
				t.Fatalf("act %d: %v", i, err)
			}
			if crash {
				b.Reopen()
			}
			if i > 0 && want != nil {
				acknowledged(t, b, i, want)
			}
		}
		states = append(states, dump(t, b.KV))
		if want != nil && !slices.Equal(states[i], want[i]) {
			t.Fatalf("after act %d the index holds\n%q\nand should hold\n%q", i, states[i], want[i])
		}
	}
	return states
}

// acknowledged fails unless the index is as before the act that failed, or as
// after it.
func acknowledged(t *testing.T, b *catalogtest.Bench, act int, want [][]string) {
	t.Helper()
	if got := dump(t, b.KV); !slices.Equal(got, want[act-1]) && !slices.Equal(got, want[act]) {
		t.Fatalf("act %d failed and left the index as it is neither before nor after: %q", act, got)
	}
}

// TestFaults lets each write fail, once without having been done and once
// although it was, with a crash and without.
func TestFaults(t *testing.T) {
	calm := &catalogtest.FaultyKV{KV: new(catalogtest.MemKV), Plan: func(int) catalogtest.Fault { return catalogtest.NoFault }}
	states := play(t, catalogtest.NewBench(t, calm), false, nil)
	if calm.Calls() < len(states) {
		t.Fatalf("%d writes for %d acts", calm.Calls(), len(states))
	}
	for _, fault := range []catalogtest.Fault{catalogtest.Failed, catalogtest.FailedAfter} {
		for _, crash := range []bool{false, true} {
			for at := 1; at < calm.Calls(); at++ { // call 0 is the format's
				t.Run(fmt.Sprintf("fault %d, crash %v, write %d", fault, crash, at), func(t *testing.T) {
					t.Parallel()
					kv := &catalogtest.FaultyKV{KV: new(catalogtest.MemKV), Plan: func(call int) catalogtest.Fault {
						if call == at {
							return fault
						}
						return catalogtest.NoFault
					}}
					b := catalogtest.NewBench(t, kv)
					play(t, b, crash, states)
					before := b.Alive()
					b.Reopen()
					if after := b.Alive(); !slices.Equal(before, after) {
						t.Fatalf("alive %v, after a restart %v", before, after)
					}
				})
			}
		}
	}
}

// TestOpenFails: an index that cannot be begun is an error, and no catalog.
func TestOpenFails(t *testing.T) {
	kv := &catalogtest.FaultyKV{KV: new(catalogtest.MemKV), Plan: func(int) catalogtest.Fault { return catalogtest.Failed }}
	if _, err := catalog.Open(t.Context(), kv, new(catalogtest.Texts), time.Now, discard()); !errors.Is(err, catalogtest.ErrFault) {
		t.Fatalf("Open: %v", err)
	}
	newer := new(catalogtest.MemKV)
	if err := newer.Apply([]catalog.Op{{Kind: catalog.OpPut, Key: []byte("c"), Value: []byte{2}}}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Open(t.Context(), newer, new(catalogtest.Texts), time.Now, discard()); !errors.Is(err, catalog.ErrNewer) {
		t.Fatalf("Open of a later version's: %v", err)
	}
}
