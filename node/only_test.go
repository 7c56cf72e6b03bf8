package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store/storetest"
)

// TestOnly: of a namespace that is limited to some names nothing else is given, not even when the NAR is asked for; why says so; and
// another namespace gives it.
func TestOnly(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareAll, nil)
	acme, other := alice.creates("acme-1"), alice.creates("other-1")
	widget, library := alice.nix.build("widget", "1", 1000), alice.nix.build("openssl", "1", 1000)
	alice.publishes("acme-1", widget, library)
	bob := w.machine("bob", node.ShareNone, nil)
	bob.joins(alice)
	bob.uses(acme)
	limit := func(only ...string) {
		t.Helper()
		if err := bob.Put(node.Space{Alias: "acme-1", Address: acme, Use: true, Only: only}); err != nil {
			t.Fatal(err)
		}
	}
	says := func(p nix.StorePath, verdict report.Verdict, words string) {
		t.Helper()
		why, err := bob.Why(t.Context(), p.Hash())
		if err != nil || why.Verdict != verdict || !strings.Contains(why.Reason, words) || why.Exit != verdict.Exit() {
			t.Errorf("%s: %q, exit %d, %v, and not %s, %q", why.Verdict, why.Reason, why.Exit, err, verdict, words)
		}
	}
	limit("gadget-*", "widget*")
	v, err := bob.Info(t.Context(), "", library.Hash())
	if !errors.Is(err, node.ErrNotHere) {
		t.Errorf("openssl is given: %v, %v", v, err)
	}
	if _, err := bob.Info(t.Context(), "acme-1", library.Hash()); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("openssl is given to who asks the namespace itself: %v", err)
	}
	says(library, report.Only, "your `only` for acme-1 does not match the name \""+library.Name()+`"`)
	if _, err := bob.reads(widget); err != nil {
		t.Error(err)
	}
	says(widget, report.Available, "from acme-1")
	limit("openssl*")
	if v, err = bob.Info(t.Context(), "", library.Hash()); err != nil {
		t.Fatal(err)
	}
	limit("widget*")
	if n, err := bob.Nar(t.Context(), "", v.Entry().NarHash, library.Hash()); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("the NAR of openssl is given: %v, %v", n, err)
	}
	if s := bob.Status(false); len(s.Namespaces) != 1 || s.Namespaces[0].Note != "only widget*" {
		t.Errorf("status says %+v", s.Namespaces)
	}
	alice.publishes("other-1", library)
	bob.uses(other)
	if _, err := bob.reads(library); err != nil {
		t.Error(err)
	}
	says(library, report.Available, "from other-1")
	limit()
	if _, err := bob.Info(t.Context(), "acme-1", library.Hash()); err != nil {
		t.Error(err)
	}
}

// TestOnlyUpstream: an origin is asked what a hash means, and then not again for what is not taken from it.
func TestOnlyUpstream(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	app, library := o.nix.build("app", "1", 1000), o.nix.build("openssl", "1", 1000)
	bob := w.client("bob", o, node.ShareNone, nil)
	if err := bob.Put(node.Space{Alias: "cache", Address: o.address(), Use: true, Origin: "https://cache.example", Only: []string{"app*"}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if v, err := bob.Info(t.Context(), "", library.Hash()); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("openssl is given: %v, %v", v, err)
		}
	}
	if n := o.infos.Load(); n != 1 {
		t.Errorf("the origin was asked %d times", n)
	}
	if _, err := bob.Info(t.Context(), "", app.Hash()); err != nil {
		t.Error(err)
	}
	why, err := bob.Why(t.Context(), library.Hash())
	if err != nil || why.Verdict != report.Only {
		t.Errorf("%+v, %v", why, err)
	}
}

// TestOnlyWaits: who answers first with what is not taken from it does not keep another from giving it.
func TestOnlyWaits(t *testing.T) {
	w, first := newWorld(t), newFakeOrigin(t)
	library := first.nix.build("openssl", "1", 1000)
	second := &fakeOrigin{nix: first.nix, key: secretOf(t, "second.example-1")}
	second.info = func(_ context.Context, i *nix.NarInfo) (*nix.NarInfo, error) {
		time.Sleep(200 * time.Millisecond)
		return i, nil
	}
	bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareNone, budget: 10 * time.Second,
		origins: func(at string) (node.Origin, error) {
			return map[string]node.Origin{"https://first.example": first, "https://second.example": second}[at], nil
		}})
	for _, sp := range []node.Space{{Alias: "first", Address: first.address(), Use: true, Origin: "https://first.example", Only: []string{"app*"}},
		{Alias: "second", Address: second.address(), Use: true, Origin: "https://second.example"}} {
		if err := bob.Put(sp); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := bob.Info(t.Context(), "", library.Hash()); err != nil || v.Address() != second.address() {
		t.Errorf("%v, %v", v, err)
	}
}
