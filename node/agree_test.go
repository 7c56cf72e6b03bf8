package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// rebuilt gives a path another content, as a build does that is not reproducible, until it is restored.
func (f *fakeNix) rebuilt(p nix.StorePath) (restore func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, nar, tree := f.infos[p], f.nars[p], f.trees[p]
	order := slices.Clone(f.order)
	f.add(p, nil, map[string]*nix.NarNode{"bin": {Type: 'x', Data: []byte("built at another hour")}})
	f.order = order
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.infos[p], f.nars[p], f.trees[p] = info, nar, tree
	}
}

// substituted makes a path one that was not built here.
func (f *fakeNix) substituted(p nix.StorePath) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info := f.infos[p]
	info.Ultimate = false
	f.infos[p] = info
}

func (f *fakeNix) hash(p nix.StorePath) nix.NarHash {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.infos[p].NarHash
}

// TestThreshold: where two builders have to agree nothing is given that one has signed, not even with the root's countersignature, and
// not what needs it; two keys that say the same of a path are enough, and one that is revoked counts no more.
func TestThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob := w.machine("alice", node.ShareAll, nil), w.machine("bob", node.ShareNone, nil)
		acme := alice.creates("acme-1")
		ci, second := newKey(t, "ci-main"), newKey(t, "second-1")
		alice.addsWriter("acme-1", ci)
		alice.addsWriter("acme-1", second)
		library := alice.nix.build("openssl", "1", 1000)
		widget := alice.nix.build("widget", "1", 1000, library)
		bob.joins(alice)
		bob.uses(acme)
		wants := func(builders int) {
			t.Helper()
			if err := bob.Put(node.Space{Alias: "acme-1", Address: acme, Use: true, Threshold: builders}); err != nil {
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
		refused := func(p nix.StorePath) {
			t.Helper()
			if v, err := bob.Info(t.Context(), "", p.Hash()); !errors.Is(err, node.ErrNotHere) {
				t.Errorf("%s is given: %v, %v", p.Base(), v, err)
			}
			if n, err := bob.Nar(t.Context(), "", alice.nix.hash(p), p.Hash()); !errors.Is(err, node.ErrNotHere) {
				t.Errorf("the NAR of %s is given: %v, %v", p.Base(), n, err)
			}
		}
		knows := func(id namespace.ID) {
			t.Helper()
			bob.eventually("to have the publication", func() bool { return bob.counts(acme, id) })
		}
		wants(2)
		knows(alice.publishesAs("acme-1", ci, widget))
		refused(widget)
		refused(library)
		says(widget, report.BelowThreshold, "acme-1 wants 2 builders to agree, 1 has signed: ci-main")
		wants(1)
		bob.gets(alice, widget)
		wants(2)
		bob.eventuallyWithin(time.Minute, "to have the countersignature", func() bool { return bob.list.Stats(acme).Publications == 2 })
		refused(widget)

		// What it needs was built by two, and then it.
		knows(alice.publishesAs("acme-1", second, library))
		bob.gets(alice, library)
		refused(widget)
		knows(alice.publishesAs("acme-1", second, widget))
		bob.gets(alice, widget)
		says(widget, report.Available, "from acme-1")
		wants(3)
		refused(widget)
		says(widget, report.BelowThreshold, "wants 3 builders to agree, 2 have signed: ci-main, second-1")
		wants(4)
		says(widget, report.BelowThreshold, "acme-1 has 1 root and 2 writers; 4 can never agree")
		if s := bob.Status(false).Namespaces[0]; len(s.Problems) != 1 || s.Problems[0] != "acme-1 has 1 root and 2 writers; 4 can never agree" || s.Threshold != 4 {
			t.Errorf("status says %+v", s)
		}
		wants(2)

		// Of what needs something that too few built there is no narinfo. Who was given that something is no builder of it.
		part := alice.nix.build("part", "1", 1000)
		whole := alice.nix.build("whole", "1", 1000, part)
		knows(alice.publishesAs("acme-1", ci, whole))
		alice.nix.substituted(part)
		knows(alice.publishesAs("acme-1", second, whole))
		refused(whole)
		says(whole, report.Incomplete, "it needs /nix/store/"+part.Base()+", and of that acme-1 wants 2 builders to agree, 1 has signed: ci-main")

		// Two who built different things, and a third who says who is right.
		fickle := alice.nix.build("fickle", "1", 1000)
		knows(alice.publishesAs("acme-1", ci, fickle))
		restore := alice.nix.rebuilt(fickle)
		knows(alice.publishesAs("acme-1", second, fickle))
		refused(fickle)
		for _, words := range []string{"wants 2 builders to agree, and they disagree: ", alice.nix.hash(fickle).String() + " by second-1", " by ci-main"} {
			says(fickle, report.BelowThreshold, words)
		}
		restore()
		refused(fickle)
		time.Sleep(time.Minute) // the root's node countersigns both, and has built neither
		refused(fickle)
		alice.publishes("acme-1", fickle)
		bob.eventually("to be given what two agree on", func() bool { _, err := bob.Info(t.Context(), "", fickle.Hash()); return err == nil })
		bob.gets(alice, fickle)

		// A key that was stolen counts no more.
		if _, err := alice.Revoke(t.Context(), "acme-1", nil, report.Revocation{Key: second.Public().String(), All: true}); err != nil {
			t.Fatal(err)
		}
		bob.eventually("to have the new document", func() bool { return bob.list.Stats(acme).Serial == 4 })
		refused(widget)
		says(widget, report.BelowThreshold, "1 has signed: ci-main")
		bob.gets(alice, fickle)
	})
}

// TestDisagreement: status tells of paths that two built differently, of those that two built alike it does not, and of none any more when
// one is taken back.
func TestDisagreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob := w.machine("alice", node.ShareAll, nil), w.machine("bob", node.ShareNone, nil)
		acme := alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		alice.addsWriter("acme-1", ci)
		steady, fickle := alice.nix.build("steady", "1", 1000), alice.nix.build("fickle", "1", 1000)
		alice.publishesAs("acme-1", ci, steady, fickle)
		alice.nix.rebuilt(fickle)
		alice.publishes("acme-1", steady, fickle)
		bob.joins(alice)
		bob.uses(acme)
		problems := func() []string { return bob.Status(false).Namespaces[0].Problems }
		want := "1 path signed differently by several builders: flurry why " + fickle.String()
		bob.eventuallyWithin(time.Hour, "to tell of it", func() bool { return slices.Contains(problems(), want) })
		for p, differs := range map[nix.StorePath]bool{steady: false, fickle: true} {
			why, err := bob.Why(t.Context(), p.Hash())
			if err != nil || why.Verdict != report.Available || len(why.Steps) != 1 {
				t.Fatalf("%+v, %v", why, err)
			}
			if said := why.Steps[0].Answer; strings.Contains(said, "; builders disagree: ") != differs || differs && !(strings.Contains(said, " by ci-main") && strings.Contains(said, " by acme-1")) {
				t.Errorf("why says %q of %s", said, p.Base())
			}
		}
		if _, err := alice.Revoke(t.Context(), "acme-1", nil, report.Revocation{Key: ci.Public().String(), All: true}); err != nil {
			t.Fatal(err)
		}
		bob.eventuallyWithin(time.Hour, "to tell of nothing", func() bool { return len(problems()) == 0 })
	})
}
