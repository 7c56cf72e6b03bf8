package node_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
)

// TestCollectModel: whatever is published, renewed, retracted and revoked, and whenever time passes, somebody collects or the
// machine crashes, in the middle of a collection as well: what lives stays, and what is to go goes. What lives is worked out
// from the signed texts alone.
func TestCollectModel(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 4540484428402335376, 15884737614960012281, rand.Uint64()}
	if os.Getenv("FLURRY_LONG") == "1" {
		for range 50 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			for step := range 60 {
				m.step(step)
				if t.Failed() {
					t.Fatalf("seed %d, step %d: %s", seed, step, m.last)
				}
			}
			m.end()
		})
	}
}

// model is a machine with one namespace, and what it should have.
type model struct {
	t    *testing.T
	r    *rand.Rand
	m    *machine
	a    namespace.Address
	ci   nix.SecretKey
	last string // what was done last

	pool     []nix.StorePath
	needs    map[nix.StorePath][]nix.StorePath
	pubs     map[namespace.ID]*published
	contents map[content.BodyID][]store.Key
	kept     map[namespace.ID]bool // of ci's, once it is revoked
	mayGo    map[namespace.ID]bool // had expired two days before some collection
	revoked  bool
	did      map[string]int
}

// published is a publication as its text has it.
type published struct {
	signer string
	text   *namespace.Publication
}

func newModel(t *testing.T, seed uint64) *model {
	w := newWorld(t)
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 0)), m: w.keeper("alice"), ci: newKey(t, "ci-main"), needs: make(map[nix.StorePath][]nix.StorePath),
		pubs: make(map[namespace.ID]*published), contents: make(map[content.BodyID][]store.Key), mayGo: make(map[namespace.ID]bool), did: make(map[string]int)}
	m.a = m.m.creates("acme-1")
	m.m.addsWriter("acme-1", m.ci)
	for i := range 14 {
		var refs []nix.StorePath
		for range m.r.IntN(3) {
			if len(m.pool) > 0 {
				if ref := m.pool[m.r.IntN(len(m.pool))]; !slices.Contains(refs, ref) {
					refs = append(refs, ref)
				}
			}
		}
		// Two of one name have the same content, but for hashes.
		p := m.m.nix.build(fmt.Sprintf("p%d", i/2), fmt.Sprint(i), 120_000, refs...)
		m.pool = append(m.pool, p)
		m.needs[p] = refs
	}
	return m
}

func (m *model) hours(most int) time.Duration { return time.Duration(1+m.r.IntN(most)) * time.Hour }

// step does something and looks whether all is as it should be.
func (m *model) step(n int) {
	m.t.Helper()
	m.learn()
	switch k := m.r.IntN(20); {
	case k < 6 || n == 0:
		m.publish()
	case k < 10:
		m.do("time passes", func() error { m.m.w.passes(m.hours(60)); return nil })
	case k < 11:
		m.retract()
	case k < 12 && n > 25:
		m.revoke()
	case k < 14:
		m.restart()
	case k < 15:
		m.interrupted()
	default:
		m.collect()
	}
	m.learn()
	m.keepsWhatLives()
}

func (m *model) do(what string, f func() error) {
	m.t.Helper()
	m.last = what
	m.did[what]++
	if err := f(); err != nil {
		m.t.Errorf("%s: %v", what, err)
	}
}

func (m *model) publish() {
	m.t.Helper()
	if len(m.pool) == 0 {
		return
	}
	r := node.PublishRequest{Alias: "acme-1", Keep: m.hours(150)}
	for range 1 + m.r.IntN(2) {
		r.Roots = append(r.Roots, m.pool[m.r.IntN(len(m.pool))])
	}
	if !m.revoked && m.r.IntN(2) == 0 {
		r.Key = &m.ci
	}
	m.do("publish", func() error { _, err := m.m.Publish(m.t.Context(), m.m.nix, r); return err })
}

// retract withdraws a publication or denies a path; what needs that path is not published again.
func (m *model) retract() {
	m.t.Helper()
	ids := make([]namespace.ID, 0, len(m.pubs))
	for id := range m.pubs {
		if m.alive(id, m.m.w.now()) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	slices.SortFunc(ids, namespace.ID.Compare)
	id := ids[m.r.IntN(len(ids))]
	what, entries := id.String(), m.pubs[id].text.Entries
	if len(entries) > 0 && m.r.IntN(2) == 0 {
		p := entries[m.r.IntN(len(entries))].Path
		what = p.String()
		bad := map[nix.StorePath]bool{p: true}
		m.pool = slices.DeleteFunc(m.pool, func(q nix.StorePath) bool { // in the order in which they were built
			bad[q] = bad[q] || slices.ContainsFunc(m.needs[q], func(ref nix.StorePath) bool { return bad[ref] })
			return bad[q]
		})
	}
	m.do("retract", func() error {
		_, err := m.m.Retract(m.t.Context(), "acme-1", nil, what, "wrong")
		if errors.Is(err, node.ErrNotHere) { // denied before
			return nil
		}
		return err
	})
}

func (m *model) revoke() {
	m.t.Helper()
	if m.revoked {
		return
	}
	m.do("revoke", func() error {
		plan, err := m.m.PlanRevocation(m.t.Context(), node.RevokeRequest{Alias: "acme-1", Name: "ci-main", After: m.m.w.now().Add(-m.hours(200))})
		if err != nil {
			return err
		}
		m.kept, m.revoked = make(map[namespace.ID]bool), true
		for _, id := range plan.Keep {
			m.kept[id] = true
		}
		_, err = m.m.Revoke(m.t.Context(), "acme-1", nil, plan)
		return err
	})
}

// restart is a crash of the machine: what was not committed is gone.
func (m *model) restart() {
	m.t.Helper()
	m.do("crash", func() error {
		m.m.stop()
		m.m.store.Crash()
		m.m = m.m.w.restart(m.m)
		return m.m.Put(node.Space{Alias: "acme-1", Address: m.a, Publish: true})
	})
}

// interrupted is a collection that a crash ends somewhere.
func (m *model) interrupted() {
	m.t.Helper()
	m.expired()
	m.do("crash while collecting", func() error {
		ctx, cancel := context.WithCancel(m.t.Context())
		defer cancel()
		left := m.r.IntN(40)
		_, err := m.m.Collect(ctx, node.CollectRequest{Dead: m.r.IntN(2) == 0, Need: int64(m.r.IntN(2)) * everything, Progress: func(report.CollectProgress) {
			if left--; left < 0 {
				cancel()
			}
		}})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	})
	m.restart()
}

// expired notes which publications a collection may give up now.
func (m *model) expired() {
	m.t.Helper()
	for id := range m.pubs {
		if m.valid(id) && !m.life(id).Add(48*time.Hour).After(m.m.w.now().Add(2*time.Second)) {
			m.mayGo[id] = true
		}
	}
}

func (m *model) collect() {
	m.t.Helper()
	r := node.CollectRequest{DryRun: m.r.IntN(6) == 0, Dead: m.r.IntN(2) == 0}
	m.expired()
	if m.r.IntN(3) == 0 {
		r.Need = 1 + m.r.Int64N(500_000)
	}
	before, serial := m.present(), m.document().Serial
	now := m.m.w.now()
	m.do(fmt.Sprintf("collect, dry run %v, dead %v", r.DryRun, r.Dead), func() error { _, err := m.m.Collect(m.t.Context(), r); return err })
	if r.DryRun {
		if m.present() != before {
			m.t.Error("a dry run collected")
		}
		return
	}
	if m.document().Serial != serial {
		return // the machine has taken something back meanwhile, perhaps too late for this collection
	}
	m.learn()
	m.givesUp(func(id namespace.ID) bool {
		return !m.valid(id) || r.Dead && !m.life(id).Add(48*time.Hour).After(now.Add(-2*time.Second))
	})
}

// learn reads the texts of publications that are new: the machine itself countersigns as well.
func (m *model) learn() {
	m.t.Helper()
	for info, err := range m.m.list.Publications(m.t.Context(), m.a) {
		if err != nil {
			m.t.Fatal(err)
		}
		if m.pubs[info.ID] != nil {
			continue
		}
		raw, err := m.m.list.RawPublication(m.t.Context(), m.a, info.ID)
		if err != nil {
			m.t.Fatalf("after %s: the text of a publication is gone: %v", m.last, err)
		}
		note, err := namespace.ParseNote(raw)
		if err != nil {
			m.t.Fatal(err)
		}
		text, err := namespace.ParsePublication(note.Text)
		if err != nil {
			m.t.Fatal(err)
		}
		m.pubs[info.ID] = &published{info.Signer.Name, text}
		for i := range text.Entries {
			if body := text.Entries[i].Body; m.contents[body] == nil {
				m.contents[body] = m.m.keysOf(body)
			}
		}
	}
}

func (m *model) document() *namespace.Document {
	m.t.Helper()
	policy, ok := m.m.list.Policy(m.a)
	if !ok {
		m.t.Fatalf("after %s: there is no document", m.last)
	}
	d, _ := policy.Document()
	return d.Value()
}

func (m *model) valid(id namespace.ID) bool {
	m.t.Helper()
	if slices.ContainsFunc(m.document().Withdrawn, func(w namespace.Withdrawal) bool { return w.Publication == id }) {
		return false
	}
	return m.pubs[id].signer != "ci-main" || !m.revoked || m.kept[id]
}

// undecided is a publication by which the machine countersigned what was refused just then: it takes that back itself, some time.
func (m *model) undecided(id namespace.ID) bool {
	m.t.Helper()
	p := m.pubs[id]
	return p.signer == "acme-1" && len(p.text.Uses) == 1 && len(p.text.Roots) == 0 && len(p.text.Entries) > 0 && !m.valid(p.text.Uses[0])
}

// life is the latest expiry of a publication and of the valid ones that use it, directly or not; zero unless it is valid.
func (m *model) life(id namespace.ID) (last time.Time) {
	m.t.Helper()
	seen := map[namespace.ID]bool{}
	for todo := []namespace.ID{id}; len(todo) > 0; {
		x := todo[0]
		todo = todo[1:]
		if seen[x] || !m.valid(x) {
			continue
		}
		seen[x] = true
		if e := m.pubs[x].text.Expires; e.After(last) {
			last = e
		}
		for user, p := range m.pubs {
			if slices.Contains(p.text.Uses, x) {
				todo = append(todo, user)
			}
		}
	}
	return last
}

func (m *model) alive(id namespace.ID, now time.Time) bool { return m.life(id).After(now) }

// named is the contents of publications for which f is true, but for what is denied.
func (m *model) named(f func(namespace.ID) bool) map[store.Key]bool {
	m.t.Helper()
	denied := m.document().Denied
	keys := make(map[store.Key]bool)
	for id, p := range m.pubs {
		if !f(id) {
			continue
		}
		for i := range p.text.Entries {
			e := &p.text.Entries[i]
			if slices.ContainsFunc(denied, func(d namespace.Denial) bool { return d.Path == e.Path.Hash() && d.NarHash == e.NarHash }) {
				continue
			}
			for _, k := range m.contents[e.Body] {
				keys[k] = true
			}
		}
	}
	return keys
}

// present is how many contents of publications are here.
func (m *model) present() (n int) {
	m.t.Helper()
	for _, keys := range m.contents {
		for _, k := range keys {
			if m.has(k) {
				n++
			}
		}
	}
	return n
}

func (m *model) has(k store.Key) bool {
	m.t.Helper()
	has, err := m.m.store.Has(m.t.Context(), k)
	if err != nil {
		m.t.Fatal(err)
	}
	return has
}

// keepsWhatLives checks that what lives, or did two days ago, is here, and that the catalog says the same.
func (m *model) keepsWhatLives() {
	m.t.Helper()
	now := m.m.w.now().Add(2 * time.Second)
	// A publication that had expired was perhaps given up when somebody used it again: what it names is asked for anew.
	here := func(id namespace.ID) bool { return !m.mayGo[id] || m.m.knows(m.a, id) }
	for k := range m.named(func(id namespace.ID) bool {
		return here(id) && m.valid(id) && !m.undecided(id) && m.life(id).Add(48*time.Hour).After(now)
	}) {
		if !m.has(k) {
			m.t.Errorf("after %s: %s lives and is gone:%s", m.last, k, m.namers(k))
			return
		}
	}
	for id := range m.pubs {
		_, err := m.m.list.Publication(m.t.Context(), m.a, id)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			m.t.Fatal(err)
		}
		if alive := m.alive(id, now); alive && err != nil && m.pubs[id].text.Expires.After(now) {
			m.t.Errorf("after %s: publication %s lives and is gone", m.last, id.Short())
		}
	}
}

// givesUp checks that nothing is here that publications alone name for which dead is true, or that was denied. A chunk whose
// body is gone already is named by nothing, and has its time.
func (m *model) givesUp(dead func(namespace.ID) bool) {
	m.t.Helper()
	stays := m.named(func(id namespace.ID) bool { return m.undecided(id) || !dead(id) })
	for id, p := range m.pubs {
		if !m.m.knows(m.a, id) {
			continue
		}
		for i := range p.text.Entries {
			if k := store.BodyKey(p.text.Entries[i].Body); !stays[k] && m.has(k) {
				m.t.Errorf("after %s: %s was to go and is here:%s", m.last, k, m.namers(k))
				return
			}
		}
	}
}

// namers is what is known of the publications that name k.
func (m *model) namers(k store.Key) (s string) {
	m.t.Helper()
	for id, p := range m.pubs {
		for i := range p.text.Entries {
			if slices.Contains(m.contents[p.text.Entries[i].Body], k) {
				info, err := m.m.list.PublicationInfo(m.t.Context(), m.a, id)
				s += fmt.Sprintf("\n  %s of %s, valid %v, lives until %v, known %v: %v until %v, %v", p.text.Entries[i].Path.Base(), p.signer, m.valid(id), m.life(id), err == nil,
					info.Standing.State, info.Lives, info.Standing.Err)
			}
		}
	}
	return s
}

// end lets everything go that can, and expects what lives and nothing else.
func (m *model) end() {
	m.t.Helper()
	m.learn()
	m.do("the last collections", func() error {
		for range 2 {
			if _, err := m.m.Collect(m.t.Context(), node.CollectRequest{Dead: true}); err != nil {
				return err
			}
			m.m.w.passes(25 * time.Hour)
		}
		return nil
	})
	m.learn()
	m.keepsWhatLives()
	now := m.m.w.now()
	may := m.named(func(id namespace.ID) bool {
		return m.undecided(id) || m.valid(id) && m.life(id).Add(75*time.Hour).After(now)
	})
	all := make(map[store.Key]bool)
	for _, keys := range m.contents {
		for _, k := range keys {
			all[k] = true
		}
	}
	n := 0
	for k := range all {
		if m.has(k) {
			n++
			if !may[k] {
				m.t.Errorf("in the end %s is here and named by nothing that lives:%s", k, m.namers(k))
			}
		}
	}
	m.t.Logf("%d of %d contents stay; %v", n, len(all), m.did)
}
