package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// What a writer whose key is stolen, a peer that withholds, or a large namespace may do to others, in simulated time.

// adds puts a publication of key's into m's catalog, as change makes it.
func (m *machine) adds(a namespace.Address, key nix.SecretKey, change func(*namespace.Publication)) namespace.ID {
	m.w.t.Helper()
	at := m.w.now().UTC().Truncate(time.Second)
	p := &namespace.Publication{Namespace: a, Time: at, Expires: at.Add(300 * 24 * time.Hour)}
	change(p)
	raw, err := trust.SignPublication(p, key)
	if err != nil {
		m.w.t.Fatal(err)
	}
	policy, _ := m.list.Policy(a)
	pub, err := policy.VerifyPublication(raw)
	if err != nil {
		m.w.t.Fatal(err)
	}
	if _, err := m.list.Add(m.w.t.Context(), pub); err != nil {
		m.w.t.Fatal(err)
	}
	return pub.ID()
}

// entryLike is an entry of another path with the content of one that is published, or of nothing that anybody has, and as many signatures
// as that.
func (m *machine) entryLike(a namespace.Address, like nix.StorePath, name string, key nix.SecretKey, sigs int, body byte) namespace.Entry {
	entries, err := m.list.Lookup(m.w.t.Context(), a, like.Hash())
	if err != nil || len(entries) == 0 {
		m.w.t.Fatal(err)
	}
	p := m.nix.build(name, "forged", 1000)
	e := *entries[0].Entry()
	e.Path, e.References, e.Sigs, e.Slots = p, []nix.StorePath{p}, nil, nil
	if body != 0 {
		e.Body = content.BodyID{body}
	}
	for i := 1; i < sigs; i++ {
		trust.SignEntry(&e, newKey(m.w.t, fmt.Sprintf("junk-%d", i)))
	}
	trust.SignEntry(&e, key)
	return e
}

// TestCountersigningGoesOn: a publication that cannot be countersigned as it is holds up no other.
func TestCountersigningGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		spam := newKey(t, "spam")
		alice.addsWriter("acme-1", ci)
		alice.addsWriter("acme-1", spam)
		app := alice.nix.build("app", "1", 1000)
		alice.publishes("acme-1", app)
		alice.adds(a, spam, func(p *namespace.Publication) {
			p.Entries = []namespace.Entry{alice.entryLike(a, app, "evil", spam, nix.MaxSigs, 0)}
		})
		w.passes(time.Minute)
		good := alice.nix.build("good", "1", 1000)
		alice.publishesAs("acme-1", ci, good)
		time.Sleep(5 * time.Hour)
		found, _ := alice.list.Lookup(t.Context(), a, good.Hash())
		for _, v := range found {
			if v.Signer() == a.Key() {
				return
			}
		}
		t.Errorf("honest publication was not countersigned in 5 h")
	})
}

// TestRevocationWaitsForNoFetch: a seed is asked what it had, and not waited for while it looks for what nobody has.
func TestRevocationWaitsForNoFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice, seed := w.machine("alice", node.ShareAll, nil), w.machine("seed", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		alice.addsWriter("acme-1", ci)
		app := alice.nix.build("app", "1", 1000)
		alice.publishesAs("acme-1", ci, app)
		seed.seeds(a, 0)
		seed.meet(alice)
		seed.holds(a)
		caught := w.now()
		w.passes(time.Hour)
		for i := range 8 {
			alice.adds(a, ci, func(p *namespace.Publication) {
				p.Entries = []namespace.Entry{alice.entryLike(a, app, fmt.Sprintf("evil-%d", i), ci, 1, byte(i+1))}
			})
		}
		time.Sleep(time.Minute)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Hour)
		defer cancel()
		plan, err := alice.PlanRevocation(ctx, node.RevokeRequest{Alias: "acme-1", Name: "ci-main", After: caught, Ask: map[peer.ID]string{seed.link.Self().ID: "the seed"}})
		if took := time.Since(begun); err != nil || took > 2*time.Minute || plan.Kept != 1 || plan.Dropped != 8 || len(plan.Silent) > 0 {
			t.Errorf("after %v: %+v, %v", took, plan, err)
		}
	})
}

// withholding never gives the first chunk.
type withholding struct{ transfer.Handler }

func (h *withholding) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, b content.BodyID, r []transfer.Range, send func(transfer.Run) error) error {
	var rest []transfer.Range
	lacks := false
	for _, x := range r {
		if x.First == 0 {
			lacks = true
			x.First, x.Count = 1, x.Count-1
		}
		if x.Count > 0 {
			rest = append(rest, x)
		}
	}
	if len(rest) > 0 {
		if err := h.Handler.Chunks(ctx, from, a, b, rest, send); err != nil {
			return err
		}
	}
	if lacks {
		return transfer.ErrAbsent
	}
	return nil
}

// TestFailedAttemptsCount: what came of publications that nobody gives whole is within the quota, too.
func TestFailedAttemptsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, func(h transfer.Handler) transfer.Handler { return &withholding{h} })
		seed := w.machine("seed", node.ShareAll, nil)
		a := alice.creates("acme-1")
		seed.seeds(a, 3_000_000)
		seed.meet(alice)
		for i := range 10 {
			alice.publishesFor("acme-1", alice.nix.build(fmt.Sprintf("p%d", i), "1", 2_000_000))
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Hour)
		s, err := seed.Seeds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s.Seeds[0].Live > s.Seeds[0].Quota {
			t.Errorf("%d bytes are live, quota %d", s.Seeds[0].Live, s.Seeds[0].Quota)
		}
	})
}

// alwaysQueued says that it will have it, for ever.
type alwaysQueued struct{ transfer.Handler }

func (h *alwaysQueued) Offer(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ namespace.ID, send func(transfer.OfferUpdate) error) error {
	for {
		if err := send(transfer.OfferUpdate{State: transfer.OfferQueued}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Second):
		}
	}
}

// TestOffersAreNotHeldUp: a peer that promises and does nothing holds up itself alone.
func TestOffersAreNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		mallory := w.machine("mallory", node.ShareAll, func(h transfer.Handler) transfer.Handler { return &alwaysQueued{h} })
		a := alice.creates("acme-1")
		alice.meet(mallory)
		one := alice.publishesFor("acme-1", alice.nix.build("one", "1", 1000))
		if err := alice.WantCopies(t.Context(), "acme-1", 1, one); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		seed := w.machine("seed", node.ShareAll, nil)
		if err := seed.Put(node.Space{Alias: "acme-1", Address: a, Seed: true}); err != nil {
			t.Fatal(err)
		}
		seed.meet(alice)
		seed.holds(a)
		begun := time.Now()
		for range 20 * 60 {
			time.Sleep(time.Minute)
			r, _ := alice.list.Receipts(t.Context(), a, one[0])
			if len(r) > 0 {
				break
			}
		}
		if d := time.Since(begun); d > 10*time.Minute {
			t.Errorf("the seed has it and was offered it after %v", d)
		}
		begun = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		p, _ := alice.list.PublicationEntries(t.Context(), a, one[0])
		if _, err := alice.WaitFor(ctx, node.WaitRequest{Paths: []nix.StorePath{p[0].Path()}, Alias: "acme-1", Copies: 1}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d > time.Minute {
			t.Errorf("wait --copies 1 took %v though a seed has it", d)
		}
	})
}

// TestOwnSeedGivesReceipts: who publishes a namespace and mirrors it counts as a copy for others.
func TestOwnSeedGivesReceipts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice, bob := w.machine("alice", node.ShareAll, nil), w.machine("bob", node.ShareAll, nil)
		a := alice.creates("acme-1")
		if err := alice.Put(node.Space{Alias: "acme-1", Address: a, Publish: true, Seed: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		p := alice.nix.build("one", "1", 1000)
		alice.publishes("acme-1", p)
		bob.meet(alice)
		bob.uses(a)
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got, err := bob.WaitFor(ctx, node.WaitRequest{Paths: []nix.StorePath{p}, Alias: "acme-1", Copies: 1})
		if err != nil || len(got.Missing) > 0 {
			t.Errorf("%+v %v", got, err)
		}
	})
}

// TestRootsOwnStays: what the root published itself is not withdrawn with a writer whose publication it uses.
func TestRootsOwnStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		ci := newKey(t, "ci-main")
		alice.addsWriter("acme-1", ci)
		app := alice.nix.build("app", "1", 1000)
		one := alice.publishesAs("acme-1", ci, app)
		root := alice.keys.all[0]
		// as plan.publish makes of a group of a large closure that is not the last: no roots, one use
		own := alice.adds(a, root, func(p *namespace.Publication) {
			p.Entries = []namespace.Entry{alice.entryLike(a, app, "own", root, 1, 0)}
			p.Uses = []namespace.ID{one}
		})
		plan, err := alice.PlanRevocation(t.Context(), node.RevokeRequest{Alias: "acme-1", Name: "ci-main", All: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := alice.Revoke(t.Context(), "acme-1", nil, plan); err != nil {
			t.Fatal(err)
		}
		if !alice.counts(a, own) {
			t.Errorf("the root's own publication was withdrawn")
		}
	})
}

// sieve hangs for the chunks of some bodies.
type sieve struct {
	transfer.Handler
	bad map[content.BodyID]bool
}

func (h *sieve) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, b content.BodyID, r []transfer.Range, send func(transfer.Run) error) error {
	if h.bad[b] {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.Handler.Chunks(ctx, from, a, b, r, send)
}

// TestNewIsMirroredFirst: what nobody has any more, however much, does not keep a seed from what is new.
func TestNewIsMirroredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		bad := make(map[content.BodyID]bool)
		alice := w.machine("alice", node.ShareAll, func(h transfer.Handler) transfer.Handler { return &sieve{h, bad} })
		a := alice.creates("acme-1")
		for i := range 250 {
			p := alice.nix.build(fmt.Sprintf("p%d", i), "1", 1000)
			alice.publishes("acme-1", p)
			es, err := alice.list.Lookup(t.Context(), a, p.Hash())
			if err != nil {
				t.Fatal(err)
			}
			bad[es[0].Entry().Body] = true
		}
		seed := w.machine("seed", node.ShareAll, nil)
		seed.seeds(a, 0)
		seed.meet(alice)
		time.Sleep(2 * time.Hour)
		alice.publishes("acme-1", alice.nix.build("honest", "1", 1000))
		begun := time.Now()
		for range 6 * 60 {
			time.Sleep(time.Minute)
			if s := seed.list.Stats(a); s.Publications-s.Unlisted > 0 {
				break
			}
		}
		if s := seed.list.Stats(a); s.Publications == s.Unlisted || time.Since(begun) > time.Hour {
			t.Errorf("after %v %d of %d are unlisted", time.Since(begun), s.Unlisted, s.Publications)
		}
	})
}
