package node_test

import (
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store/storetest"
	"github.com/flurry-nix/flurry/transfer"
)

// TestUpstreamNotAnnounced: the DHT hears neither of an upstream namespace nor of what is held of it, also not from a node that shares all with everybody, and
// not after a start either.
func TestUpstreamNotAnnounced(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p := o.nix.build("app", "1", 100_000)
	bob := w.client("bob", o, node.ShareAll, nil)
	bob.has(o, p)
	a := o.address()
	check := func(when string) {
		t.Helper()
		for what, k := range map[string]dht.Key{"the namespace": dht.NamespaceKey(a), "a path": dht.PathKey(a, p.Hash())} {
			if slices.Contains(bob.router.Provided(), k) {
				t.Errorf("%s: %s is announced", when, what)
			}
			if n := bob.router.asked(k); n > 0 {
				t.Errorf("%s: %s was asked for", when, what)
			}
		}
	}
	check("at first")
	bob.stop()
	again := &machine{w: w, name: bob.name, store: bob.store, keys: bob.keys, nix: bob.nix, kv: bob.kv, texts: bob.texts, share: bob.share, origins: bob.origins, budget: bob.budget,
		spaces: []node.Space{{Alias: "cache", Address: a, Use: true, Origin: "https://cache.example"}}}
	bob = w.boot(again)
	own := bob.creates("own-1")
	q := bob.nix.build("mine", "1", 1000)
	bob.publishes("own-1", q)
	bob.eventually("to announce what it does announce", func() bool { return slices.Contains(bob.router.Provided(), dht.PathKey(own, q.Hash())) })
	bob.getsFrom(o, p)
	check("after a start")
}

// TestUpstreamWithPassword: what a cache gives for a password is given to nobody, unless the namespace is marked otherwise.
func TestUpstreamWithPassword(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p := o.nix.build("app", "1", 100_000)
	bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareLAN,
		origins: func(string) (node.Origin, error) { return o, nil }})
	neighbour := transfer.Remote{LAN: true}
	for _, c := range []struct {
		origin string
		share  node.Share
		given  bool
	}{
		{"https://cache.example", node.ShareDefault, true},
		{"https://me:secret@cache.example", node.ShareDefault, false},
		{"https://token@cache.example", node.ShareDefault, false},
		{"https://me:secret@cache.example", node.ShareLAN, true},
	} {
		if err := bob.Put(node.Space{Alias: "cache", Address: o.address(), Use: true, Origin: c.origin, Share: c.share}); err != nil {
			t.Fatal(err)
		}
		bob.has(o, p)
		answers, err := bob.Server().Lookup(t.Context(), neighbour, o.address(), []nix.PathHash{p.Hash()})
		if given := err == nil && len(answers) > 0 && len(answers[0].Entries) > 0; given != c.given {
			t.Errorf("%s, shared %v: given %v, %v", c.origin, c.share, given, err)
		}
	}
}
