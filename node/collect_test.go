package node_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// memTexts keeps a catalog's texts in the store, where they are collected as anything.
type memTexts struct {
	store *storetest.Mem
	codec *store.Codec
}

func (t memTexts) key(kind catalog.TextKind, id namespace.ID) store.Key {
	switch kind {
	case catalog.TextDocument:
		return store.DocumentKey(id)
	case catalog.TextKeepList:
		return store.KeepListKey(id)
	}
	return store.PublicationKey(id)
}

func (t memTexts) PutText(ctx context.Context, kind catalog.TextKind, raw []byte) error {
	id, err := namespace.TextID(raw)
	if err != nil {
		return err
	}
	b, err := t.store.Begin(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := store.Receive(ctx, b, t.codec, t.key(kind, id), raw); err != nil {
		return err
	}
	return b.Commit(ctx)
}

func (t memTexts) Text(ctx context.Context, kind catalog.TextKind, id namespace.ID) ([]byte, error) {
	raw, err := store.Get(ctx, t.store, t.codec, t.key(kind, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, errors.Join(catalog.ErrNotFound, err)
	}
	return raw, err
}

// keeper is a machine that has everything in its store, the texts too, and shares with all.
func (w *world) keeper(name string) *machine {
	w.t.Helper()
	s := storetest.NewMem(w.t)
	return w.boot(&machine{w: w, name: name, store: s, keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: memTexts{s, store.NewCodec()}, share: node.ShareAll})
}

// collector is a keeper that collects by itself.
func (w *world) collector(name string) *machine {
	w.t.Helper()
	m := w.keeper(name)
	m.collect = true
	again := w.restart(m)
	again.collect = true
	return again
}

func (m *machine) collects(r node.CollectRequest) report.Collected {
	m.w.t.Helper()
	done, err := m.Collect(m.w.t.Context(), r)
	if err != nil {
		m.w.t.Fatalf("%s collects: %v", m.name, err)
	}
	return done
}

// contentOf is the keys of body and chunks of a path.
func (m *machine) contentOf(a namespace.Address, p nix.StorePath) []store.Key {
	m.w.t.Helper()
	entries, err := m.list.Lookup(m.w.t.Context(), a, p.Hash())
	if err != nil || len(entries) == 0 {
		m.w.t.Fatalf("%s does not list %s: %v", m.name, p.Base(), err)
	}
	return m.keysOf(entries[0].Entry().Body)
}

func (m *machine) keysOf(id content.BodyID) []store.Key {
	m.w.t.Helper()
	raw, err := store.Get(m.w.t.Context(), m.store, store.NewCodec(), store.BodyKey(id))
	if err != nil {
		m.w.t.Fatal(err)
	}
	body, err := content.ParseBody(raw)
	if err != nil {
		m.w.t.Fatal(err)
	}
	keys := []store.Key{store.BodyKey(id)}
	for _, c := range body.Chunks {
		keys = append(keys, store.ChunkKey(c.ID))
	}
	return keys
}

// stored is how much of some content is in m's store.
func (m *machine) stored(keys []store.Key) (n int) {
	m.w.t.Helper()
	for _, k := range keys {
		if has, err := m.store.Has(m.w.t.Context(), k); err != nil {
			m.w.t.Fatal(err)
		} else if has {
			n++
		}
	}
	return n
}

// keeps checks that all of some content is in m's store, or none of it.
func (m *machine) keeps(all bool, what string, keys []store.Key) {
	m.w.t.Helper()
	n := m.stored(keys)
	if all && n != len(keys) || !all && n != 0 {
		m.w.t.Errorf("%s: %d of %d contents are on %s", what, n, len(keys), m.name)
	}
}

// knows reports whether a publication is in m's catalog, whatever it counts for.
func (m *machine) knows(a namespace.Address, id namespace.ID) bool {
	m.w.t.Helper()
	known, err := m.list.Knows(m.w.t.Context(), a, id)
	if err != nil {
		m.w.t.Fatal(err)
	}
	return known
}

// publishesShortly publishes roots for an hour.
func (m *machine) publishesShortly(alias string, roots ...nix.StorePath) namespace.ID {
	m.w.t.Helper()
	done, err := m.Publish(m.w.t.Context(), m.nix, node.PublishRequest{Alias: alias, Roots: roots, Keep: time.Hour})
	if err != nil || len(done.Publications) != 1 {
		m.w.t.Fatalf("publish: %v, %v", done.Publications, err)
	}
	return done.Publications[0]
}

const everything = math.MaxInt64 / 4

// TestCollectKeepsWhatLives: however much room is wanted, what is published or mirrored here and lives stays, on a seed that
// has just got it as well, and so do the texts.
func TestCollectKeepsWhatLives(t *testing.T) {
	w := newWorld(t)
	alice, seed := w.keeper("alice"), w.keeper("seed")
	a := alice.creates("acme-1")
	lib := alice.nix.build("lib", "1", 200_000)
	app := alice.nix.build("app", "1", 700_000, lib)
	seed.seeds(a, 0)
	seed.meet(alice)
	alice.publishes("acme-1", app)
	seed.holds(a)
	for _, m := range []*machine{alice, seed} {
		before := m.store.Len()
		done := m.collects(node.CollectRequest{Dead: true, Need: everything})
		if done.Contents != 0 || done.Publications != 0 || len(done.Why) != 0 || m.store.Len() != before {
			t.Errorf("%s collected %+v", m.name, done)
		}
		again := w.restart(m)
		if s := again.list.Stats(a); s.Publications != 1 || s.Serial != 1 {
			t.Errorf("%s after a restart: %+v", m.name, s)
		}
		again.keeps(true, "app", again.contentOf(a, app))
		again.stop()
	}
}

// TestCollectRefused: what is withdrawn or denied goes at once, wherever it is, but for what something else names too. That it
// was published stays known.
func TestCollectRefused(t *testing.T) {
	w := newWorld(t)
	alice, seed := w.keeper("alice"), w.keeper("seed")
	a := alice.creates("acme-1")
	seed.seeds(a, 0)
	seed.meet(alice)
	shared := alice.nix.build("shared", "1", 100_000)
	bad, denied, good := alice.nix.build("bad", "1", 400_000, shared), alice.nix.build("denied", "1", 300_000), alice.nix.build("good", "1", 400_000, shared)
	badID := alice.publishesFor("acme-1", bad)[0]
	both := alice.publishesFor("acme-1", good, denied)[0]
	sharedAgain := alice.publishesFor("acme-1", alice.nix.build("shared", "2", 100_000))[0] // the same content but for its hash
	seed.eventually("to hold them", func() bool {
		return seed.counts(a, badID) && seed.counts(a, both) && seed.counts(a, sharedAgain) && seed.list.Stats(a).Unlisted == 0
	})
	contents := map[nix.StorePath][]store.Key{}
	for _, p := range []nix.StorePath{shared, bad, denied, good} {
		contents[p] = alice.contentOf(a, p)
	}
	for _, what := range []string{badID.String(), denied.String()} {
		if _, err := alice.Retract(t.Context(), "acme-1", nil, what, "wrong"); err != nil {
			t.Fatal(err)
		}
	}
	seed.eventually("to have the document", func() bool { return seed.list.Stats(a).Serial == 3 })
	for _, m := range []*machine{alice, seed} {
		m.collects(node.CollectRequest{})
		m.keeps(false, "what was withdrawn", contents[bad])
		m.keeps(false, "what was denied", contents[denied])
		m.keeps(true, "what is shared", contents[shared])
		m.keeps(true, "what is good", contents[good])
		if !m.knows(a, badID) {
			t.Errorf("%s does not know any more what was withdrawn", m.name)
		}
		if info, err := m.list.PublicationInfo(t.Context(), a, badID); err != nil || info.Listed {
			t.Errorf("%s would list what was withdrawn if it ever lived again: %v", m.name, err)
		}
	}
}

// TestCollectRevoked: what a stolen key published goes from the disks.
func TestCollectRevoked(t *testing.T) {
	w := newWorld(t)
	alice := w.keeper("alice")
	a := alice.creates("acme-1")
	ci := newKey(t, "ci-main")
	alice.addsWriter("acme-1", ci)
	app := alice.nix.build("app", "1", 300_000)
	alice.publishesAs("acme-1", ci, app)
	content := alice.contentOf(a, app)
	plan, err := alice.PlanRevocation(t.Context(), node.RevokeRequest{Alias: "acme-1", Name: "ci-main", All: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.Revoke(t.Context(), "acme-1", nil, plan); err != nil {
		t.Fatal(err)
	}
	done := alice.collects(node.CollectRequest{})
	alice.keeps(false, "what the writer published", content)
	if len(done.Why) != 1 || done.Why[0].Reason != "refused" || done.Why[0].Bytes == 0 || done.Publications != 0 {
		t.Errorf("collected %+v", done)
	}
}

// TestCollectExpired: what expired stays while there is room, goes two days later when somebody collects, and only then; what
// a publication that lives uses does not expire.
func TestCollectExpired(t *testing.T) {
	w := newWorld(t)
	alice := w.keeper("alice")
	a := alice.creates("acme-1")
	lib := alice.nix.build("lib", "1", 200_000)
	old := alice.nix.build("old", "1", 300_000)
	libID, oldID := alice.publishesShortly("acme-1", lib), alice.publishesShortly("acme-1", old)
	alice.publishes("acme-1", alice.nix.build("app", "1", 100_000, lib)) // uses lib's
	libKeys, oldKeys := alice.contentOf(a, lib), alice.contentOf(a, old)
	w.passes(time.Hour + 47*time.Hour)
	alice.collects(node.CollectRequest{Dead: true, Need: everything})
	alice.keeps(true, "what expired 47 hours ago", oldKeys)
	w.passes(2 * time.Hour)
	alice.collects(node.CollectRequest{})
	alice.keeps(true, "what expired, with room", oldKeys)
	dry := alice.collects(node.CollectRequest{Dead: true, DryRun: true})
	alice.keeps(true, "what expired, after a dry run", oldKeys)
	if !alice.knows(a, oldID) {
		t.Error("a dry run took a publication out of the catalog")
	}
	done := alice.collects(node.CollectRequest{Dead: true})
	alice.keeps(false, "what expired", oldKeys)
	alice.keeps(true, "what is used by what lives", libKeys)
	if alice.knows(a, oldID) || !alice.knows(a, libID) {
		t.Error("the catalog does not follow")
	}
	if dry.Bytes != done.Bytes || dry.Publications != 1 || done.Publications != 1 || len(done.Why) != 1 || done.Why[0] != (report.CollectedWhy{Reason: "expired", Bytes: done.Bytes}) {
		t.Errorf("a dry run said %+v, then %+v", dry, done)
	}
}

// TestCollectOldestFirst: of what expired goes no more than is needed, what was asked for longest ago first.
func TestCollectOldestFirst(t *testing.T) {
	w := newWorld(t)
	alice := w.keeper("alice")
	a := alice.creates("acme-1")
	var keys [][]store.Key
	for _, name := range []string{"one", "two", "three"} {
		p := alice.nix.build(name, "1", 300_000)
		alice.publishesShortly("acme-1", p)
		keys = append(keys, alice.contentOf(a, p))
	}
	w.passes(60 * time.Hour)
	if err := alice.list.Touch(t.Context(), a, keys[0][0].ID); err != nil {
		t.Fatal(err)
	}
	w.passes(60 * time.Hour)
	done := alice.collects(node.CollectRequest{Need: 310_000})
	alice.keeps(true, "what was asked for last", keys[0])
	alice.keeps(false, "what was never asked for", append(keys[1], keys[2]...))
	if done.Publications != 2 {
		t.Errorf("collected %+v", done)
	}
	alice.collects(node.CollectRequest{Need: 1})
	alice.keeps(false, "the last", keys[0])
}

// TestCollectCache: what is merely used is a cache. Of it goes what was asked for longest ago, when room is needed, and it can be
// had again.
func TestCollectCache(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.keeper("alice"), w.keeper("bob")
	a := alice.creates("acme-1")
	first, second := alice.nix.build("first", "1", 300_000), alice.nix.build("second", "1", 300_000)
	id := alice.publishesFor("acme-1", first, second)[0]
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, first)
	bob.waitsSettled(first)
	w.passes(5 * time.Hour)
	bob.gets(alice, second)
	bob.waitsSettled(second)
	firstKeys, secondKeys := bob.contentOf(a, first), bob.contentOf(a, second)
	w.passes(time.Hour)
	bob.collects(node.CollectRequest{Dead: true})
	bob.keeps(true, "what is used, with room", firstKeys)
	done := bob.collects(node.CollectRequest{Need: everything})
	bob.keeps(false, "what was asked for six hours ago", firstKeys)
	bob.keeps(true, "what was asked for just now", secondKeys)
	if len(done.Why) != 1 || done.Why[0].Reason != "cache" || done.Publications != 0 {
		t.Errorf("collected %+v", done)
	}
	if !bob.counts(a, id) {
		t.Error("the catalog forgot a publication whose content was cached")
	}
	bob.gets(alice, first)
	bob.gets(alice, second)
	bob.waitsSettled(first)
	bob.keeps(true, "what was fetched again", firstKeys)
}

// TestUsedThenMirrored: what was given up while it was cached is fetched when the namespace is mirrored, though it was mirrored
// once before.
func TestUsedThenMirrored(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.keeper("alice"), w.keeper("bob")
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 300_000)
	id := alice.publishesFor("acme-1", app)[0]
	bob.seeds(a, 0)
	bob.meet(alice)
	bob.holds(a)
	keys := bob.contentOf(a, app)
	bob = w.restart(bob)
	bob.meet(alice)
	bob.uses(a)
	w.passes(10 * time.Hour)
	bob.collects(node.CollectRequest{Need: everything})
	bob.keeps(false, "what is merely used", keys)
	bob = w.restart(bob)
	bob.seeds(a, 0)
	bob.meet(alice)
	bob.eventually("to hold it again", func() bool {
		for _, k := range keys {
			if has, err := bob.store.Has(t.Context(), k); err != nil || !has {
				return false
			}
		}
		return bob.counts(a, id)
	})
}

// TestCollectLeft: the content of a namespace that was left goes before anything that is used, and what a dead namespace
// lists does not count as held when it is taken up again.
func TestCollectLeft(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.keeper("alice"), w.keeper("bob")
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 300_000)
	id := alice.publishesFor("acme-1", app)[0]
	bob.seeds(a, 0)
	bob.meet(alice)
	bob.holds(a)
	keys := bob.contentOf(a, app)
	bob.Drop(a)
	bob.collects(node.CollectRequest{})
	bob.keeps(true, "what was left, with room", keys)
	done := bob.collects(node.CollectRequest{Dead: true})
	bob.keeps(false, "what was left", keys)
	if len(done.Why) != 1 || done.Why[0].Reason != "left" {
		t.Errorf("collected %+v", done)
	}
	if info, err := bob.list.PublicationInfo(t.Context(), a, id); err != nil || info.Listed {
		t.Errorf("it is still listed: %v", err)
	}
	bob.seeds(a, 0)
	bob.meet(alice)
	bob.holds(a)
	bob.keeps(true, "what was taken up again", keys)
}

// TestCollectOrphans: what nothing names goes a day after that was seen, at once when room is needed, and texts never at once.
func TestCollectOrphans(t *testing.T) {
	w := newWorld(t)
	alice := w.keeper("alice")
	put := func(keys ...store.Key) {
		t.Helper()
		b, err := alice.store.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for seed := range keys {
			k, raw := storetest.Noise(uint64(seed), 1000)
			keys[seed] = k
			if err := store.Receive(t.Context(), b, store.NewCodec(), k, raw); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	keys := make([]store.Key, 3)
	put(keys...)
	put(keys...)
	for _, pass := range []time.Duration{0, 23 * time.Hour} {
		w.passes(pass)
		if done := alice.collects(node.CollectRequest{Dead: true}); done.Contents != 0 || done.Waiting == 0 {
			t.Errorf("after %v: %+v", pass, done)
		}
	}
	w.passes(time.Hour)
	if done := alice.collects(node.CollectRequest{}); done.Contents != 3 || len(done.Why) != 1 || done.Why[0].Reason != "orphan" {
		t.Errorf("after a day: %+v", done)
	}
	put(keys...)
	a := alice.creates("acme-1")
	if err := alice.list.Forget(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if done := alice.collects(node.CollectRequest{Need: 1}); done.Contents != 3 {
		t.Errorf("with need: %+v", done)
	}
	if alice.store.Len() != 1 {
		t.Errorf("%d contents are left; the document that nothing names should be", alice.store.Len())
	}
	w.passes(25 * time.Hour)
	alice.collects(node.CollectRequest{})
	if alice.store.Len() != 0 {
		t.Errorf("%d contents are left", alice.store.Len())
	}
}

// collectingNix collects while a path is read.
type collectingNix struct {
	*fakeNix
	collect func()
}

func (c *collectingNix) Nar(ctx context.Context, p nix.StorePath, w io.Writer) error {
	err := c.fakeNix.Nar(ctx, p, w)
	c.collect()
	return err
}

// TestCollectWhilePublishing: what is on its way into a publication stays, put or found, though nothing names it yet.
func TestCollectWhilePublishing(t *testing.T) {
	w := newWorld(t)
	alice := w.keeper("alice")
	a := alice.creates("acme-1")
	old, app := alice.nix.build("old", "1", 400_000), alice.nix.build("app", "1", 500_000)
	alice.publishesShortly("acme-1", old)
	w.passes(100 * time.Hour)
	source := &collectingNix{alice.nix, func() { alice.collects(node.CollectRequest{Dead: true, Need: everything}) }}
	if _, err := alice.Publish(t.Context(), source, node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{old, app}}); err != nil {
		t.Fatal(err)
	}
	alice.collects(node.CollectRequest{Dead: true, Need: everything})
	for _, p := range []nix.StorePath{old, app} {
		alice.keeps(true, p.Name(), alice.contentOf(a, p))
	}
	bob := w.keeper("bob")
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, old)
	bob.gets(alice, app)
}

// TestCollectBlind: when a document cannot be read nothing is known of what its namespace keeps, and all of it stays.
func TestCollectBlind(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareAll, nil)
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 300_000)
	alice.publishesShortly("acme-1", app)
	keys := alice.contentOf(a, app)
	w.passes(100 * time.Hour)
	policy, _ := alice.list.Policy(a)
	d, _ := policy.Document()
	alice.texts.(*catalogtest.Texts).Lose(catalog.TextDocument, d.ID())
	again := w.restart(alice)
	again.collects(node.CollectRequest{Dead: true, Need: everything})
	again.keeps(true, "what a lost document keeps", keys)
}

// TestSeedQuotaMakesWay: what has expired makes way for what a seed is offered, and what lives does not.
func TestSeedQuotaMakesWay(t *testing.T) {
	w := newWorld(t)
	alice, seed := w.keeper("alice"), w.keeper("seed")
	a := alice.creates("acme-1")
	seed.seeds(a, 3_000_000)
	seed.meet(alice)
	live := alice.nix.build("live", "1", 1_000_000)
	old := alice.nix.build("old", "1", 1_500_000)
	liveID := alice.publishesFor("acme-1", live)
	oldID := alice.publishesShortly("acme-1", old)
	if c := alice.offers("acme-1", 1, append(liveID, oldID)...); !c.Enough() {
		t.Fatalf("what fits: %+v", c)
	}
	seed.eventually("to hold both", func() bool { return seed.counts(a, oldID) && seed.list.Stats(a).Unlisted == 0 })
	oldKeys, liveKeys := seed.contentOf(a, old), seed.contentOf(a, live)
	w.passes(100 * time.Hour)
	fresh := alice.publishesFor("acme-1", alice.nix.build("fresh", "1", 1_500_000))
	if c := alice.offers("acme-1", 1, fresh...); !c.Enough() {
		t.Fatalf("what fits when the expired goes: %+v", c)
	}
	if seed.knows(a, oldID) {
		t.Error("what expired is still in the catalog")
	}
	seed.collects(node.CollectRequest{})
	seed.keeps(false, "what made way", oldKeys)
	seed.keeps(true, "what lives", liveKeys)
	w.passes(2 * time.Minute)
	over := alice.publishesFor("acme-1", alice.nix.build("over", "1", 1_000_000))
	if c := alice.offers("acme-1", 1, over...); len(c.Refused) != 1 || c.Refused[0].Why != "quota, 2.50 of 3.00 MB are live" {
		t.Errorf("over the quota: %+v", c)
	}
}

// TestCollectsByItself: a node collects soon after a document refuses something, what nothing names a day after that was seen,
// and what has expired when the store is nearly full.
func TestCollectsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.collector("alice")
		a := alice.creates("acme-1")
		bad, old, live := alice.nix.build("bad", "1", 400_000), alice.nix.build("old", "1", 600_000), alice.nix.build("live", "1", 300_000)
		badID := alice.publishesFor("acme-1", bad)[0]
		alice.publishesShortly("acme-1", old)
		alice.publishes("acme-1", live)
		badKeys, oldKeys, liveKeys := alice.contentOf(a, bad), alice.contentOf(a, old), alice.contentOf(a, live)
		time.Sleep(2 * time.Hour)
		alice.keeps(true, "what is published", badKeys)
		if _, err := alice.Retract(t.Context(), "acme-1", nil, badID.String(), "wrong"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		alice.keeps(false, "what was retracted", badKeys)
		b, err := alice.store.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		k, raw := storetest.Noise(1, 1000)
		if err := store.Receive(t.Context(), b, store.NewCodec(), k, raw); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.Commit(t.Context()), b.Close()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		alice.keeps(true, "what nothing names, a day later", []store.Key{k})
		time.Sleep(2 * time.Hour)
		alice.keeps(false, "what nothing names", []store.Key{k})
		time.Sleep(48 * time.Hour)
		alice.keeps(true, "what expired, with room", oldKeys)
		alice.store.Limit(1_010_000)
		time.Sleep(15 * time.Second)
		alice.keeps(true, "what expired, with the store 89 % full", oldKeys)
		alice.store.Limit(980_000)
		time.Sleep(15 * time.Second)
		alice.keeps(false, "what expired, with the store more than 90 % full", oldKeys)
		alice.store.Limit(300_000)
		time.Sleep(time.Hour)
		alice.keeps(true, "what lives", liveKeys)
		alice.stop()
	})
}

// TestCollectPromised: what a seed has promised to keep stays as long as it said, though it has expired.
func TestCollectPromised(t *testing.T) {
	w := newWorld(t)
	alice, seed := w.keeper("alice"), w.keeper("seed")
	a := alice.creates("acme-1")
	if err := seed.Put(node.Space{Alias: "acme-1", Address: a, Seed: true, Promise: 30 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	seed.meet(alice)
	app := alice.nix.build("app", "1", 300_000)
	id := alice.publishesShortly("acme-1", app)
	seed.holds(a)
	keys := seed.contentOf(a, app)
	w.passes(20 * 24 * time.Hour)
	seed.collects(node.CollectRequest{Dead: true, Need: everything})
	seed.keeps(true, "what was promised", keys)
	w.passes(11 * 24 * time.Hour)
	seed.eventually("to collect what was promised until yesterday", func() bool { // what somebody works with just then stays until the next time
		seed.collects(node.CollectRequest{Dead: true})
		return seed.stored(keys) == 0
	})
	if seed.knows(a, id) {
		t.Error("it is still in the catalog")
	}
}
