package node_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/trust"
)

// seeds makes m mirror a.
func (m *machine) seeds(a namespace.Address, quota uint64) {
	m.w.t.Helper()
	if err := m.Put(node.Space{Alias: a.Name(), Address: a, Seed: true, Quota: quota}); err != nil {
		m.w.t.Fatal(err)
	}
}

// publishesFor publishes roots and returns the publications.
func (m *machine) publishesFor(alias string, roots ...nix.StorePath) []namespace.ID {
	m.w.t.Helper()
	done, err := m.Publish(m.w.t.Context(), m.nix, node.PublishRequest{Alias: alias, Roots: roots})
	if err != nil {
		m.w.t.Fatalf("publish: %v", err)
	}
	return done.Publications
}

// offers asks for copies and returns what became of it.
func (m *machine) offers(alias string, copies int, ids ...namespace.ID) report.Copies {
	m.w.t.Helper()
	ctx, cancel := context.WithTimeout(m.w.t.Context(), 20*time.Second)
	defer cancel()
	c, err := m.MakeCopies(ctx, node.CopiesRequest{Alias: alias, Publications: ids, Copies: copies, Patience: 2 * time.Second})
	if err != nil {
		m.w.t.Fatalf("copies: %v", err)
	}
	return c
}

// holds waits until everything that m mirrors of a is here.
func (m *machine) holds(a namespace.Address) {
	m.w.t.Helper()
	m.eventually("to hold all of "+a.Name(), func() bool {
		s := m.list.Stats(a)
		return s.Publications > 0 && s.Unlisted == 0
	})
}

// TestSeedOutlivesPublisher: what a seed took can be had when the publisher is gone, and the seed's own Nix is not given it.
func TestSeedOutlivesPublisher(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareAll, nil)
	seed := w.machine("seed", node.ShareNone, nil)
	a := alice.creates("acme-1")
	lib := alice.nix.build("lib", "1", 300_000)
	app := alice.nix.build("app", "1", 3_000_000, lib)
	seed.seeds(a, 0)
	seed.meet(alice)
	ids := alice.publishesFor("acme-1", app)
	c := alice.offers("acme-1", 1, ids...)
	if len(c.Copies) != 1 || c.Copies[0].Peer != string(seed.link.Self().ID) || !c.Enough() {
		t.Fatalf("copies: %+v", c)
	}
	if _, err := seed.reads(app); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("the seed's own Nix is given what is not in use: %v", err)
	}
	if n := seed.router.Provided(); !slices.Contains(n, dht.NamespaceKey(a)) || !slices.Contains(n, dht.PathKey(a, app.Hash())) {
		t.Errorf("announced are %d keys, not the namespace and its paths", len(n))
	}
	alice.stop()
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.meet(seed)
	bob.uses(a)
	bob.gets(alice, lib)
	bob.gets(alice, app)
}

// TestSeedListsWhatItHolds: others hear of a publication when all of it is on the seed's disk, and not before.
func TestSeedListsWhatItHolds(t *testing.T) {
	w := newWorld(t)
	var gate gate
	alice := w.machine("alice", node.ShareAll, gate.wrap)
	seed := w.machine("seed", node.ShareAll, nil)
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 2_000_000)
	gate.close()
	seed.seeds(a, 0)
	seed.meet(alice)
	ids := alice.publishesFor("acme-1", app)
	seed.eventually("to know the publication", func() bool {
		known, err := seed.list.Knows(t.Context(), a, ids[0])
		return err == nil && known
	})
	bob := w.machine("bob", node.ShareLAN, nil)
	w.net.Cut(bob.link.Self().ID, alice.link.Self().ID) // else it may find her through the DHT
	bob.meet(seed)
	bob.uses(a)
	if s := bob.list.Stats(a); s.Serial != 1 || s.Publications != 0 {
		t.Errorf("bob heard of %d publications that the seed does not hold, serial %d", s.Publications, s.Serial)
	}
	gate.open()
	seed.holds(a)
	bob.waitsFor(app)
	alice.stop()
	bob.gets(alice, app)
}

// TestSeedGoesOnAfterRestart: what was fetched before is not fetched again, and what was not is.
func TestSeedGoesOnAfterRestart(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareAll, nil)
	seed := w.machine("seed", node.ShareAll, nil)
	a := alice.creates("acme-1")
	first := alice.nix.build("first", "1", 2_000_000)
	second := alice.nix.build("second", "1", 1_000_000)
	seed.seeds(a, 0)
	seed.meet(alice)
	ids := alice.publishesFor("acme-1", first)
	seed.holds(a)
	seed.stop()
	ids = append(ids, alice.publishesFor("acme-1", second)...)
	again := w.restart(seed)
	again.seeds(a, 0)
	before := again.link.Traffic().Fetch.Received
	again.meet(alice)
	c := alice.offers("acme-1", 1, ids...)
	if !c.Enough() {
		t.Fatalf("copies: %+v", c)
	}
	if got := again.link.Traffic().Fetch.Received - before; got > 1_300_000 {
		t.Errorf("%d bytes were fetched for one more path of 1 MB", got)
	}
}

// TestSeedQuota: what would go over the quota is refused with its numbers, what is larger than it as too large, and
// what was taken stays.
func TestSeedQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		seed := w.machine("seed", node.ShareAll, nil)
		a := alice.creates("acme-1")
		seed.seeds(a, 3_000_000)
		seed.meet(alice)
		fits := alice.publishesFor("acme-1", alice.nix.build("fits", "1", 2_000_000))
		if c := alice.offers("acme-1", 1, fits...); !c.Enough() {
			t.Fatalf("what fits: %+v", c)
		}
		over := alice.publishesFor("acme-1", alice.nix.build("over", "1", 1_500_000))
		if c := alice.offers("acme-1", 1, over...); len(c.Refused) != 1 || c.Refused[0].Why != "quota, 2.00 of 3.00 MB are live" {
			t.Errorf("over the quota: %+v", c)
		}
		large := alice.publishesFor("acme-1", alice.nix.build("large", "1", 4_000_000))
		if c := alice.offers("acme-1", 1, large...); len(c.Refused) != 1 || c.Refused[0].Why != "too large" {
			t.Errorf("larger than the quota: %+v", c)
		}
		if c := alice.offers("acme-1", 1, fits...); !c.Enough() {
			t.Errorf("what was taken is gone: %+v", c)
		}
		seed.seeds(a, 30_000_000)
		if c := alice.offers("acme-1", 1, large...); !c.Enough() {
			t.Errorf("with a larger quota: %+v", c)
		}
	})
}

// TestOnlyWhatIsOnTheList: a node that mirrors nothing refuses, and a seed refuses other namespaces; neither says more.
func TestOnlyWhatIsOnTheList(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareAll, nil)
	bob := w.machine("bob", node.ShareAll, nil)
	a := alice.creates("acme-1")
	ids := alice.publishesFor("acme-1", alice.nix.build("app", "1", 1000))
	bob.meet(alice)
	bob.uses(a)
	bob.seeds(bob.creates("other-1"), 0)
	var got []transfer.OfferUpdate
	for _, c := range alice.link.Connected() {
		if err := c.Offer(t.Context(), a, ids[0], func(u transfer.OfferUpdate) error { got = append(got, u); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 1 || got[0].Why != transfer.RefusedNotHosted {
		t.Errorf("told: %+v", got)
	}
	if c := alice.offers("acme-1", 1, ids...); c.Enough() || len(c.Refused) != 0 {
		t.Errorf("copies: %+v", c)
	}
}

// TestOfferedLater: copies that nobody could make are made when a seed comes, without being asked for again.
func TestOfferedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ids := alice.publishesFor("acme-1", alice.nix.build("app", "1", 100_000))
		if c := alice.offers("acme-1", 1, ids...); c.Enough() {
			t.Fatalf("copies of nobody: %+v", c)
		}
		seed := w.machine("seed", node.ShareAll, nil)
		seed.seeds(a, 0)
		alice.meet(seed)
		alice.eventually("to have a receipt", func() bool {
			all, err := alice.list.Receipts(t.Context(), a, ids[0])
			return err == nil && len(all) == 1 && all[0].Seed() == string(seed.link.Self().ID)
		})
	})
}

// gate lets no chunk pass while it is closed.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens; nil: it was never closed
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
}

func (g *gate) wrap(h transfer.Handler) transfer.Handler { return &gated{h, g} }

type gated struct {
	transfer.Handler
	gate *gate
}

func (g *gated) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, b content.BodyID, r []transfer.Range, send func(transfer.Run) error) error {
	g.gate.mu.Lock()
	shut := g.gate.shut
	g.gate.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.Handler.Chunks(ctx, from, a, b, r, send)
}

// TestLiesAboutOffers: a receipt counts by the peer that gave it, for what was offered, and not otherwise.
func TestLiesAboutOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ids := alice.publishesFor("acme-1", alice.nix.build("app", "1", 1000))
		honest := namespace.Receipt{Namespace: a, Publication: ids[0], Time: time.Now().Truncate(time.Second)}
		other, elsewhere := honest, honest
		other.Publication = namespace.ID{7}
		elsewhere.Namespace = alice.creates("other-1")
		for name, c := range map[string]struct {
			receipt namespace.Receipt
			key     string
		}{
			"anothers":              {honest, "somebody else"},
			"for another one":       {other, "for another one"},
			"for another namespace": {elsewhere, "for another namespace"},
		} {
			raw, err := trust.SignReceipt(&c.receipt, transfertest.KeyOf(c.key))
			if err != nil {
				t.Fatal(err)
			}
			liar := w.machine(name, node.ShareAll, func(h transfer.Handler) transfer.Handler { return &promiser{h, raw} })
			alice.meet(liar)
			if got := alice.offers("acme-1", 1, ids...); got.Enough() {
				t.Errorf("a receipt %s counts: %+v", name, got)
			}
			alice.eventually("to ban who lied", func() bool {
				return len(alice.link.Banned()) > 0 && !slices.ContainsFunc(alice.link.Connected(), func(c transfer.Conn) bool { return c.Peer() == liar.link.Self().ID })
			})
		}
		if all, err := alice.list.Receipts(t.Context(), a, ids[0]); err != nil || len(all) != 0 {
			t.Errorf("%d receipts are kept, %v", len(all), err)
		}
	})
}

// promiser says of every offer that it is stored, with one receipt for all.
type promiser struct {
	transfer.Handler
	receipt []byte
}

func (p *promiser) Offer(_ context.Context, _ transfer.Remote, _ namespace.Address, _ namespace.ID, send func(transfer.OfferUpdate) error) error {
	return send(transfer.OfferUpdate{State: transfer.OfferStored, Receipt: p.receipt})
}

// TestOfferOfWrongContent: a publication whose content is not what it says is refused, not listed, and refused again.
func TestOfferOfWrongContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		seed := w.machine("seed", node.ShareAll, nil)
		a := alice.creates("acme-1")
		app := alice.nix.build("app", "1", 300_000)
		ids := alice.publishesFor("acme-1", app)
		wrong := alice.republishesWrong("acme-1", app)
		seed.seeds(a, 0)
		seed.meet(alice)
		for range 2 {
			if c := alice.offers("acme-1", 1, wrong); len(c.Refused) != 1 || c.Refused[0].Why != "content did not verify" {
				t.Fatalf("wrong content: %+v", c)
			}
		}
		if c := alice.offers("acme-1", 1, ids...); !c.Enough() {
			t.Errorf("right content: %+v", c)
		}
		if info, err := seed.list.PublicationInfo(t.Context(), a, wrong); err == nil && info.Listed {
			t.Error("the seed lists what did not verify")
		}
	})
}

// republishesWrong publishes a path that has p's content under a NarHash that is not its own.
func (m *machine) republishesWrong(alias string, p nix.StorePath) namespace.ID {
	m.w.t.Helper()
	v, err := m.Info(m.w.t.Context(), "", p.Hash())
	if err != nil {
		entries, lookErr := m.list.Lookup(m.w.t.Context(), m.Spaces()[0].Address, p.Hash())
		if lookErr != nil || len(entries) == 0 {
			m.w.t.Fatal(err, lookErr)
		}
		v = entries[0]
	}
	other := m.nix.build("wrong", "1", 1000)
	e := *v.Entry()
	e.Path, e.NarHash, e.References, e.Sigs = other, nix.NarHash{1}, []nix.StorePath{other}, nil
	e.Slots = slices.Clone(e.Slots)
	for i := range e.Slots {
		e.Slots[i] = other.Hash()
	}
	key := m.keys.all[0]
	trust.SignEntry(&e, key)
	now := time.Now().UTC().Truncate(time.Second)
	raw, err := trust.SignPublication(&namespace.Publication{Namespace: v.Address(), Time: now, Expires: now.Add(time.Hour), Entries: []namespace.Entry{e}}, key)
	if err != nil {
		m.w.t.Fatal(err)
	}
	policy, _ := m.list.Policy(v.Address())
	pub, err := policy.VerifyPublication(raw)
	if err != nil {
		m.w.t.Fatal(err)
	}
	if _, err := m.list.Add(m.w.t.Context(), pub); err != nil {
		m.w.t.Fatal(err)
	}
	return pub.ID()
}

// TestWaitForCopies: a follower counts the copies of a path that others have, and not its own.
func TestWaitForCopies(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareAll, nil)
	bob := w.machine("bob", node.ShareAll, nil)
	seeds := []*machine{w.machine("seed1", node.ShareAll, nil), w.machine("seed2", node.ShareAll, nil)}
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 200_000)
	bob.meet(alice)
	bob.uses(a)
	waits := func(copies int, most time.Duration) report.Wait {
		ctx, cancel := context.WithTimeout(t.Context(), most)
		defer cancel()
		got, err := bob.WaitFor(ctx, node.WaitRequest{Paths: []nix.StorePath{app}, Copies: copies})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := waits(0, 100*time.Millisecond); got.Exit != report.ExitUnavailable || len(got.Missing) != 1 {
		t.Errorf("before it is published: %+v", got)
	}
	alice.publishes("acme-1", app)
	for _, s := range seeds {
		s.seeds(a, 0)
		s.meet(alice)
		bob.meet(s)
	}
	got := waits(2, 20*time.Second)
	if got.Exit != 0 || len(got.Paths) != 1 || len(got.Paths[0].Copies) != 2 || got.Paths[0].Writer != "acme-1" {
		t.Errorf("with two seeds: %+v", got)
	}
	if got := waits(3, 500*time.Millisecond); got.Exit != report.ExitUnavailable {
		t.Errorf("a third copy: %+v", got)
	}
}

// TestSeedTable: what a seed says of itself is what it holds, and who else does.
func TestSeedTable(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareAll, nil)
	one, two := w.machine("seed1", node.ShareAll, nil), w.machine("seed2", node.ShareAll, nil)
	a := alice.creates("acme-1")
	one.seeds(a, 50_000_000)
	one.meet(alice)
	app := alice.nix.build("app", "1", 1_000_000)
	ids := alice.publishesFor("acme-1", app)
	alice.offers("acme-1", 1, ids...)
	row := func() report.Seed {
		s, err := one.Seeds(t.Context())
		if err != nil || len(s.Seeds) != 1 {
			t.Fatalf("%+v, %v", s, err)
		}
		return s.Seeds[0]
	}
	r := row()
	if size := uint64(len(alice.nix.nar(app))); r.Live != size || r.Used != size || r.Pinned != 0 || r.Quota != 50_000_000 || r.Copies != 0 || r.OnlyCopy != size || r.Pending != 0 || r.Paths != 1 {
		t.Errorf("alone: %+v", r)
	}
	two.seeds(a, 0)
	two.meet(one)
	two.holds(a)
	one.eventually("to see the other's copy", func() bool { r := row(); return r.Copies == 1 && r.OnlyCopy == 0 })
}

// TestSharedOtherwise: what is given to all is announced, and what is not any more is taken back.
func TestSharedOtherwise(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 1000)
	alice.publishes("acme-1", app)
	sp := alice.Spaces()[0]
	announced := func() bool { return slices.Contains(alice.router.Provided(), dht.PathKey(a, app.Hash())) }
	if !announced() {
		t.Fatal("what is published for all is not announced")
	}
	for _, share := range []node.Share{node.ShareLAN, node.ShareAll} {
		sp.Share = share
		if err := alice.Put(sp); err != nil {
			t.Fatal(err)
		}
		if err := alice.Reshare(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if announced() != (share == node.ShareAll) {
			t.Errorf("shared with %s: announced is %v", share, announced())
		}
	}
}
