package node_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// TestWhyNotGiven: of a path that was published once and does not count any more it is said why.
func TestWhyNotGiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareNone, nil)
		alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		alice.addsWriter("acme-1", ci)
		path := func(name string) nix.StorePath { return alice.nix.build(name, "1", 100) }
		denied, withdrawn, revoked, expired := path("denied"), path("withdrawn"), path("revoked"), path("expired")
		alice.publishes("acme-1", denied)
		id := alice.publishesAs("acme-1", alice.keys.all[0], withdrawn)
		alice.publishesAs("acme-1", ci, revoked)
		if _, err := alice.Publish(t.Context(), alice.nix, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{expired}, Keep: time.Hour}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		for what, reason := range map[string]string{denied.String(): "contains a token", id.String(): "the wrong branch"} {
			if _, err := alice.Retract(t.Context(), "acme-1", nil, what, reason); err != nil {
				t.Fatal(err)
			}
		}
		plan, err := alice.PlanRevocation(t.Context(), node.RevokeRequest{Alias: "acme-1", Name: "ci-main", All: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Revoke(t.Context(), "acme-1", nil, plan); err != nil {
			t.Fatal(err)
		}
		for p, want := range map[nix.StorePath]struct {
			verdict report.Verdict
			words   string
		}{
			denied:          {report.Retracted, `acme-1 retracted it: "contains a token"`},
			withdrawn:       {report.Retracted, `acme-1 retracted it: "the wrong branch"`},
			revoked:         {report.WriterGone, "acme-1 revoked its writer ci-main"},
			expired:         {report.RanOut, "and nobody renewed it"},
			path("unheard"): {report.Unknown, "no namespace in use has published it"},
		} {
			why, err := alice.Why(t.Context(), p.Hash())
			if err != nil {
				t.Fatal(err)
			}
			if why.Verdict != want.verdict || !strings.Contains(why.Reason, want.words) || why.Exit != report.ExitUnavailable {
				t.Errorf("%s: %s: %q, exit %d", p.Name(), why.Verdict, why.Reason, why.Exit)
			}
		}
	})
}

// TestWhyFrozen: what a writer dates after the document's end waits for another document, and that is said.
func TestWhyFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCommunity(t, 1, 1)
		m := c.machines[0]
		app := m.nix.build("app", "1", 100)
		time.Sleep(10 * time.Second)
		soon := c.Document(2, func(d *namespace.Document) {
			d.Issued = time.Now().Truncate(time.Second)
			d.Expires = d.Issued.Add(time.Minute)
			d.Writers = []namespace.Writer{{Key: c.writers[0].Public()}}
		})
		if err := m.list.Adopt(t.Context(), soon, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		raw := c.Publication(c.writers[0], func(p *namespace.Publication) {
			p.Time = time.Now().Truncate(time.Second)
			p.Expires = p.Time.Add(time.Hour)
			p.Entries = []namespace.Entry{plainEntry(app)}
		})
		policy, _ := m.list.Policy(c.Address)
		pub, err := policy.VerifyPublication(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.list.Add(t.Context(), pub); err != nil {
			t.Fatal(err)
		}
		why, err := m.Why(t.Context(), app.Hash())
		if err != nil || why.Verdict != report.Frozen {
			t.Errorf("%s: %q, %v", why.Verdict, why.Reason, err)
		}
	})
}

// plainEntry is an entry for p that says nothing else.
func plainEntry(p nix.StorePath) namespace.Entry {
	return namespace.Entry{Path: p, NarHash: [32]byte{1}, NarSize: 1, Body: [32]byte{2}}
}

// TestWhyUpstream: of a path of an HTTP cache it is said where it can be had, and of one that is not there, what was asked.
func TestWhyUpstream(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p, q := o.nix.build("app", "1", 2_000_000), o.nix.build("other", "1", 1000)
	bob := w.client("bob", o, node.ShareLAN, nil)
	bob.has(o, p)
	hers := o.away()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	says := func(who *machine, h nix.PathHash, verdict report.Verdict, words string) {
		t.Helper()
		why, err := who.Why(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		text := why.Reason
		for _, s := range why.Steps {
			text += "\n" + s.Asked + ": " + s.Answer
		}
		if why.Verdict != verdict || !strings.Contains(text, words) {
			t.Errorf("%s: %q, want %s, %q", why.Verdict, text, verdict, words)
		}
	}
	says(bob, p.Hash(), report.Available, "cache: signed by cache.example-1")
	says(carol, q.Hash(), report.Unknown, "cache: not asked: this node has not asked https://cache.example for anything yet")
	if _, err := carol.Info(t.Context(), "", q.Hash()); err != nil {
		t.Fatal(err)
	}
	says(carol, q.Hash(), report.FromOrigin, "from https://cache.example (no peer has it)")
	if _, err := carol.Info(t.Context(), "", nix.PathHash{1}); err == nil {
		t.Fatal("it is there")
	}
	says(carol, nix.PathHash{1}, report.Unknown, "https://cache.example does not have it")
	says(carol, nix.PathHash{2}, report.Unknown, "was not asked for it in the last minute")
	hers.down()
	for i := range 10 {
		if _, err := carol.Info(t.Context(), "", nix.PathHash{3, byte(i)}); err == nil {
			t.Fatal("it is there")
		}
	}
	says(carol, nix.PathHash{2}, report.Unknown, "not asked: https://cache.example does not answer")
	says(carol, q.Hash(), report.NoProvider, "neither https://cache.example gives it now nor a peer")
	carol.joins(bob)
	if _, err := carol.Info(t.Context(), "", p.Hash()); err != nil {
		t.Fatal(err)
	}
	says(carol, p.Hash(), report.Available, "from cache")
}

// TestWhyCorrupt: of what was published with a NarHash that is not its content's it is said that this was found out.
func TestWhyCorrupt(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.keeper("alice"), w.keeper("bob")
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 100_000)
	alice.publishes("acme-1", app)
	alice.republishesWrong("acme-1", app)
	wrong := alice.nix.build("wrong", "1", 1000)
	bob.uses(a)
	bob.meet(alice)
	bob.waitsFor(wrong)
	if _, err := bob.reads(wrong); err == nil {
		t.Fatal("it was given")
	}
	why, err := bob.Why(t.Context(), wrong.Hash())
	if err != nil || why.Verdict != report.Corrupt || why.Exit != report.ExitUnavailable || !strings.Contains(why.Reason, "acme-1 does not match its NarHash") {
		t.Errorf("%s: %q, %v", why.Verdict, why.Reason, err)
	}
}
