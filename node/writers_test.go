package node_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

func newKey(t *testing.T, name string) nix.SecretKey {
	t.Helper()
	k, err := nix.NewSecretKey(name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// publishesAs publishes roots with a key and returns the publication.
func (m *machine) publishesAs(alias string, key nix.SecretKey, roots ...nix.StorePath) namespace.ID {
	m.w.t.Helper()
	done, err := m.Publish(m.w.t.Context(), m.nix, node.PublishRequest{Alias: alias, Roots: roots, Key: &key})
	if err != nil || len(done.Publications) != 1 {
		m.w.t.Fatalf("publish: %+v, %v", done.Publications, err)
	}
	return done.Publications[0]
}

// forges makes a publication of p by key, dated at, and puts it into m's catalog, if its policy lets it.
func (m *machine) forges(a namespace.Address, key nix.SecretKey, like nix.StorePath, name string, at time.Time) (namespace.ID, error) {
	m.w.t.Helper()
	entries, err := m.list.Lookup(m.w.t.Context(), a, like.Hash())
	if err != nil || len(entries) == 0 {
		m.w.t.Fatal(err)
	}
	p := m.nix.build(name, "forged", 1000)
	e := *entries[0].Entry()
	e.Path, e.References, e.Sigs, e.Slots = p, []nix.StorePath{p}, nil, nil
	trust.SignEntry(&e, key)
	at = at.UTC().Truncate(time.Second)
	raw, err := trust.SignPublication(&namespace.Publication{Namespace: a, Time: at, Expires: at.Add(300 * 24 * time.Hour), Entries: []namespace.Entry{e}}, key)
	if err != nil {
		m.w.t.Fatal(err)
	}
	id, err := namespace.TextID(raw)
	if err != nil {
		m.w.t.Fatal(err)
	}
	policy, _ := m.list.Policy(a)
	pub, err := policy.VerifyPublication(raw)
	if err != nil {
		return id, err
	}
	_, err = m.list.Add(m.w.t.Context(), pub)
	return id, err
}

// counts reports whether a publication is alive on m.
func (m *machine) counts(a namespace.Address, id namespace.ID) bool {
	m.w.t.Helper()
	_, err := m.list.Publication(m.w.t.Context(), a, id)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		m.w.t.Fatal(err)
	}
	return err == nil
}

func (m *machine) addsWriter(alias string, key nix.SecretKey) {
	m.w.t.Helper()
	if _, err := m.AddWriter(m.w.t.Context(), alias, nil, key.Public(), time.Time{}); err != nil {
		m.w.t.Fatal(err)
	}
}

// TestWriters: who is added may publish, two at the same moment as well, and is listed; names and keys are taken once.
func TestWriters(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.machine("alice", node.ShareAll, nil), w.machine("bob", node.ShareAll, nil)
	a := alice.creates("acme-1")
	ci := newKey(t, "ci-main")
	bob.meet(alice)
	bob.uses(a)
	if _, err := bob.Publish(t.Context(), bob.nix, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{bob.nix.build("early", "1", 10)}, Key: &ci}); err == nil {
		t.Error("who is no writer published")
	}
	alice.addsWriter("acme-1", ci)
	bob.eventually("to have the new document", func() bool { return bob.list.Stats(a).Serial == 2 })
	one := bob.publishesAs("acme-1", ci, bob.nix.build("one", "1", 1000))
	two := alice.publishesAs("acme-1", ci, alice.nix.build("two", "1", 1000))
	for _, m := range []*machine{alice, bob} {
		m.eventually("to have both publications", func() bool { return m.counts(a, one) && m.counts(a, two) })
	}
	got, err := alice.Writers(t.Context(), "acme-1")
	if err != nil || len(got.Writers) != 2 || got.Writers[1].Name != "ci-main" || got.Writers[1].Publications != 2 || got.Serial != 2 {
		t.Errorf("writers: %+v, %v", got, err)
	}
	var taken *node.WriterExistsError
	for _, k := range []nix.SecretKey{ci, newKey(t, "ci-main"), alice.keys.all[0]} {
		if _, err := alice.AddWriter(t.Context(), "acme-1", nil, k.Public(), time.Time{}); !errors.As(err, &taken) {
			t.Errorf("%s again: %v", k.Name(), err)
		}
	}
	if _, err := bob.AddWriter(t.Context(), "acme-1", &ci, newKey(t, "more").Public(), time.Time{}); !errors.Is(err, node.ErrNoRootKey) {
		t.Errorf("a writer adds a writer: %v", err)
	}
}

// TestStolenWriterKey: what a stolen key forged goes from every node at its next sync, whatever date it bears, and never
// comes back from a node that slept through it; what was received in time stays.
func TestStolenWriterKey(t *testing.T) {
	w := newWorld(t)
	alice, bob, sleeper := w.machine("alice", node.ShareAll, nil), w.machine("bob", node.ShareAll, nil), w.machine("sleeper", node.ShareAll, nil)
	a := alice.creates("acme-1")
	ci := newKey(t, "ci-main")
	alice.addsWriter("acme-1", ci)
	app := alice.nix.build("app", "1", 1000)
	honest := alice.publishesAs("acme-1", ci, app)
	for _, m := range []*machine{bob, sleeper} {
		m.meet(alice)
		m.uses(a)
		m.eventually("to have the honest publication", func() bool { return m.counts(a, honest) })
	}
	caught := w.now()
	w.passes(time.Hour)
	// The thief dates one before everything, and one now.
	var forged []namespace.ID
	for i, at := range []time.Time{w.now().Add(-30 * 24 * time.Hour), w.now()} {
		id, err := sleeper.forges(a, ci, app, []string{"old", "new"}[i], at)
		if err != nil {
			t.Fatal(err)
		}
		forged = append(forged, id)
	}
	for _, m := range []*machine{alice, bob} {
		m.meet(sleeper)
		m.eventually("to have been fooled", func() bool { return m.counts(a, forged[0]) && m.counts(a, forged[1]) })
	}
	sleeper.stop()
	plan, err := alice.PlanRevocation(t.Context(), node.RevokeRequest{Alias: "acme-1", Name: "ci-main", After: caught})
	if err != nil || plan.Total != 3 || plan.Kept != 1 || plan.Dropped != 2 || !slices.Equal(plan.Keep, []namespace.ID{honest}) {
		t.Fatalf("plan: %+v, %v", plan, err)
	}
	done, err := alice.Revoke(t.Context(), "acme-1", nil, plan)
	if err != nil || done.Dropped < 2 || done.Kept != 1 {
		t.Fatalf("revoked: %+v, %v", done, err)
	}
	clean := func(m *machine) bool {
		return m.counts(a, honest) && !m.counts(a, forged[0]) && !m.counts(a, forged[1])
	}
	bob.eventually("to have dropped what is forged", func() bool { return clean(bob) })
	if !clean(alice) {
		t.Error("the publisher's own node keeps what is forged")
	}
	// The sleeper wakes with all of it, and meets somebody who never heard of the namespace before anybody else.
	again := w.restart(sleeper)
	if err := again.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
		t.Fatal(err)
	}
	again.meet(bob)
	again.eventually("to have dropped what is forged", func() bool { return clean(again) })
	carol := w.machine("carol", node.ShareLAN, nil)
	carol.meet(again)
	carol.uses(a)
	carol.eventually("to have what is kept alone", func() bool { return clean(carol) })
	for _, m := range []*machine{alice, bob} {
		if !clean(m) {
			t.Error("what was forged came back from the node that slept")
		}
	}
	// The key is of no use any more, nor is its name.
	if _, err := again.forges(a, ci, app, "late", caught.Add(-time.Hour)); err == nil {
		t.Error("a revoked key publishes")
	}
	var taken *node.WriterExistsError
	if _, err := alice.AddWriter(t.Context(), "acme-1", nil, ci.Public(), time.Time{}); !errors.As(err, &taken) || !taken.Closed {
		t.Errorf("the revoked key again: %v", err)
	}
}

// TestRevocationAsksSeeds: what this node received late, and a seed in time, is kept by the seed's word.
func TestRevocationAsksSeeds(t *testing.T) {
	w := newWorld(t)
	alice, ciNode, seed := w.machine("alice", node.ShareAll, nil), w.machine("ci", node.ShareAll, nil), w.machine("seed", node.ShareAll, nil)
	a := alice.creates("acme-1")
	ci := newKey(t, "ci-main")
	alice.addsWriter("acme-1", ci)
	ciNode.meet(alice)
	ciNode.uses(a)
	ciNode.eventually("to have the document", func() bool { return ciNode.list.Stats(a).Serial == 2 })
	for _, other := range []*machine{ciNode, seed} {
		w.net.Cut(alice.link.Self().ID, other.link.Self().ID)
	}
	seed.seeds(a, 0)
	seed.meet(ciNode)
	early := ciNode.publishesAs("acme-1", ci, ciNode.nix.build("early", "1", 1000))
	seed.holds(a)
	caught := w.now().Add(time.Second)
	w.passes(time.Hour)
	w.net.Heal()
	alice.meet(seed)
	alice.eventually("to have the publication, late", func() bool { return alice.counts(a, early) })
	r := node.RevokeRequest{Alias: "acme-1", Name: "ci-main", After: caught}
	if plan, err := alice.PlanRevocation(t.Context(), r); err != nil || plan.Kept != 0 || plan.Dropped != 1 {
		t.Errorf("without asking: %+v, %v", plan, err)
	}
	r.Ask = map[peer.ID]string{seed.link.Self().ID: "the seed", w.machine("away", node.ShareAll, nil).link.Self().ID: "somebody who is away"}
	if plan, err := alice.PlanRevocation(t.Context(), r); err != nil || plan.KeptSeeds != 1 || plan.Dropped != 0 || strings.Join(plan.Silent, ",") != "somebody who is away" {
		t.Errorf("with the seed's word: %+v, %v", plan, err)
	}
}

// TestCountersigned: the root's node publishes what a writer did under both signatures, which a Nix that knows the root key
// alone verifies, and takes it back with what it countersigned: a forged path does not live on under the root's name.
func TestCountersigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		alice.addsWriter("acme-1", ci)
		good, bad := alice.nix.build("good", "1", 1000), alice.nix.build("bad", "1", 1000)
		kept := alice.publishesAs("acme-1", ci, good)
		dropped := alice.publishesAs("acme-1", ci, bad)
		bySigner := func(p nix.StorePath, k nix.PublicKey) bool {
			found, err := alice.list.Lookup(t.Context(), a, p.Hash())
			if err != nil && !errors.Is(err, catalog.ErrNotFound) {
				t.Fatal(err)
			}
			for _, v := range found {
				if v.Signer() != k {
					continue
				}
				signed := 0
				for _, s := range v.Entry().Sigs {
					if a.Key().Verify(v.Entry().Fingerprint(), s) || ci.Public().Verify(v.Entry().Fingerprint(), s) {
						signed++
					}
				}
				return signed == 2 || k == ci.Public()
			}
			return false
		}
		for _, p := range []nix.StorePath{good, bad} {
			alice.eventuallyWithin(40*time.Second, "to countersign "+p.Base(), func() bool { return bySigner(p, a.Key()) })
		}
		before := alice.list.Stats(a).Publications
		if before != 4 {
			t.Errorf("%d publications, want two and two that countersign them", before)
		}
		plan, err := alice.PlanRevocation(t.Context(), node.RevokeRequest{Alias: "acme-1", Name: "ci-main"})
		if err != nil {
			t.Fatal(err)
		}
		plan.Keep = slices.DeleteFunc(plan.Keep, func(id namespace.ID) bool { return id == dropped })
		if _, err := alice.Revoke(t.Context(), "acme-1", nil, plan); err != nil {
			t.Fatal(err)
		}
		if found, err := alice.list.Lookup(t.Context(), a, bad.Hash()); err == nil && len(found) > 0 {
			t.Errorf("the dropped path lives on, signed by %s", found[0].Signer().Name)
		}
		if !alice.counts(a, kept) || !bySigner(good, a.Key()) {
			t.Error("what is kept lost its countersignature")
		}
	})
}

// TestCountersignedElsewhere: a machine with the root key that revokes a writer without knowing of a countersignature which
// another one made does not leave it in force.
func TestCountersignedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice, twin := w.machine("alice", node.ShareAll, nil), w.machine("twin", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		alice.addsWriter("acme-1", ci)
		twin.meet(alice)
		twin.uses(a)
		bad := alice.nix.build("bad", "1", 1000)
		forged := alice.publishesAs("acme-1", ci, bad)
		twin.eventually("to have the publication", func() bool { return twin.counts(a, forged) })
		w.net.Cut(alice.link.Self().ID, twin.link.Self().ID)
		alice.eventuallyWithin(40*time.Second, "to countersign", func() bool { return alice.list.Stats(a).Publications == 2 })
		root := alice.keys.all[0]
		if _, err := twin.Revoke(t.Context(), "acme-1", &root, report.Revocation{Key: ci.Public().String(), All: true}); err != nil {
			t.Fatal(err)
		}
		w.net.Heal()
		alice.meet(twin)
		alice.eventuallyWithin(60*time.Second, "to take its countersignature back", func() bool {
			found, err := alice.list.Lookup(t.Context(), a, bad.Hash())
			return errors.Is(err, catalog.ErrNotFound) || err == nil && len(found) == 0
		})
	})
}

// TestRetract: a path, and a publication, are taken back everywhere.
func TestRetract(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.machine("alice", node.ShareAll, nil), w.machine("bob", node.ShareAll, nil)
	a := alice.creates("acme-1")
	secret, other := alice.nix.build("secret", "1", 1000), alice.nix.build("other", "1", 1000)
	alice.publishes("acme-1", secret)
	act := alice.publishesFor("acme-1", other)[0]
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, secret)
	bob.gets(alice, other)
	alice.eventually("to see that bob serves it", func() bool {
		s, err := alice.Show(t.Context(), node.ShowQuery{Alias: "acme-1"})
		return err == nil && len(s.Serving) == 1
	})
	if r, err := alice.Retract(t.Context(), "acme-1", nil, secret.String(), "contains a token"); err != nil || r.Paths != 1 || r.Have != 1 || r.Of != 1 {
		t.Errorf("a path: %+v, %v", r, err)
	}
	if _, err := bob.reads(secret); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("a retracted path is given: %v", err)
	}
	if _, err := alice.Retract(t.Context(), "acme-1", nil, secret.String(), "again"); err == nil || !strings.Contains(err.Error(), "took "+secret.String()+" back already: contains a token") {
		t.Errorf("a path that was retracted before: %v", err)
	}
	bob.gets(alice, other)
	if r, err := alice.Retract(t.Context(), "acme-1", nil, act.Short(), "by mistake"); err != nil || len(r.Publications) != 1 {
		t.Errorf("a publication: %+v, %v", r, err)
	}
	bob.eventually("to have dropped the publication", func() bool { return !bob.counts(a, act) })
	for _, what := range []string{alice.nix.build("never", "1", 10).String(), "00000000", "x"} {
		if _, err := alice.Retract(t.Context(), "acme-1", nil, what, "x"); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := bob.Retract(t.Context(), "acme-1", nil, other.String(), "x"); err == nil {
		t.Error("who has no root key retracted")
	}
}

// TestDocumentIsRenewed: from half of its life on, and what stands in it stays.
func TestDocumentIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		alice.addsWriter("acme-1", ci)
		w.passes(100 * 24 * time.Hour)
		seeds := []string{"/ip4/192.0.2.1/tcp/7670"}
		about := "renewed"
		if _, err := alice.EditDocument(t.Context(), "acme-1", nil, node.DocumentEdit{About: &about, Seeds: &seeds}); err != nil {
			t.Fatal(err)
		}
		if s := alice.list.Stats(a); s.Serial != 3 {
			t.Fatalf("serial %d", s.Serial)
		}
		w.passes(200 * 24 * time.Hour)
		alice.eventuallyWithin(40*time.Second, "to renew the document", func() bool { return alice.list.Stats(a).Serial == 4 })
		policy, _ := alice.list.Policy(a)
		d, _ := policy.Document()
		if v := d.Value(); len(v.Writers) != 1 || v.About != about || !slices.Equal(v.Seeds, seeds) || v.Expires.Before(w.now().Add(364*24*time.Hour)) || v.Previous.IsZero() {
			t.Errorf("renewed: %+v", v)
		}
	})
}

// TestPins: versions of a pin live on while it keeps them, and no longer.
func TestPins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		var ids []namespace.ID
		for _, salt := range []string{"1", "2", "3"} {
			p := alice.nix.build("app", salt, 1000)
			done, err := alice.Publish(t.Context(), alice.nix, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{p}, Pins: []namespace.Pin{{Name: "main", Last: 2}}})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, done.Publications...)
			w.passes(time.Minute)
		}
		loose := alice.publishesFor("acme-1", alice.nix.build("loose", "1", 1000))[0]
		pins, err := alice.Pins(t.Context(), "acme-1")
		if err != nil || len(pins.Pins) != 1 || pins.Pins[0].Versions != 2 || pins.Pins[0].Last != 2 {
			t.Fatalf("pins: %+v, %v", pins, err)
		}
		living := func(want ...bool) func() bool {
			return func() bool {
				for i, id := range append(slices.Clone(ids), loose) {
					if alice.counts(a, id) != want[i] {
						return false
					}
				}
				return true
			}
		}
		// Publications live for 90 days. The first version and what was never pinned are over after that, the others are renewed.
		w.passes(60 * 24 * time.Hour)
		alice.eventuallyWithin(40*time.Second, "to renew what is pinned", func() bool {
			info, err := alice.list.PublicationInfo(t.Context(), a, ids[2])
			return err == nil && info.Lives.After(w.now().Add(80*24*time.Hour))
		})
		w.passes(40 * 24 * time.Hour)
		alice.eventually("to keep two versions", living(false, true, true, false))
		if _, err := alice.Pin(t.Context(), node.PinRequest{Alias: "acme-1", Name: "main", Last: 1}); err != nil {
			t.Fatal(err)
		}
		// What only names what was published before is as large as that.
		if pins, err := alice.Pins(t.Context(), "acme-1"); err != nil || len(pins.Pins) != 1 || pins.Pins[0].Versions != 1 || pins.Pins[0].NarBytes < 1000 {
			t.Errorf("one version: %+v, %v", pins, err)
		}
		if _, err := alice.Pin(t.Context(), node.PinRequest{Alias: "acme-1", Name: "main", Delete: true}); err != nil {
			t.Fatal(err)
		}
		if pins, err := alice.Pins(t.Context(), "acme-1"); err != nil || len(pins.Pins) != 0 {
			t.Errorf("after the end: %+v, %v", pins, err)
		}
		w.passes(100 * 24 * time.Hour)
		alice.eventually("to keep nothing", living(false, false, false, false))
		if _, err := alice.Pin(t.Context(), node.PinRequest{Alias: "acme-1", Name: "main", Delete: true}); !errors.Is(err, node.ErrNoPin) {
			t.Errorf("a pin that is not there: %v", err)
		}
	})
}
