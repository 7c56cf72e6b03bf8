package catalog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// world is everything that was ever signed in one namespace.
type world struct {
	*catalogtest.Publisher
	rng   *rand.Rand
	docs  []trust.Document
	lists []*namespace.KeepList // of all documents
	pubs  [][]byte
	names []string // of the paths
}

const (
	worldDocs = 6
	worldPubs = 40
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		Publisher: catalogtest.NewPublisher(t, "acme-1", seed),
		rng:       rand.New(rand.NewPCG(seed, 1)),
	}
	writers := []nix.SecretKey{w.Key("a"), w.Key("b"), w.Key("c")}
	for i := range 12 {
		w.names = append(w.names, fmt.Sprint("path", i))
	}
	for range worldPubs {
		w.publish(append(writers, w.Root, w.Root)[w.rng.IntN(5)])
	}
	for i := range worldDocs {
		serial := uint64(1 + i - i/4) // the last two share one
		w.docs = append(w.docs, w.Document(serial, func(d *namespace.Document) { w.change(d, i, writers) }))
	}
	return w
}

// publish makes a publication of some entries that uses earlier ones.
func (w *world) publish(k nix.SecretKey) {
	w.pubs = append(w.pubs, w.Publication(k, func(p *namespace.Publication) {
		p.Time = w.Start.Add(time.Duration(w.rng.IntN(200)-100) * time.Minute)
		p.Expires = p.Time.Add(time.Duration(1+w.rng.IntN(300)) * time.Minute)
		for _, raw := range w.pubs {
			if w.rng.IntN(len(w.pubs)) < 2 {
				p.Uses = append(p.Uses, w.ID(raw))
			}
		}
		for _, i := range w.rng.Perm(len(w.names))[:w.rng.IntN(4)] {
			p.Entries = append(p.Entries, catalogtest.Entry(w.names[i], fmt.Sprint("build", w.rng.IntN(2))))
		}
	}))
}

// change makes document i differ from the others: who is a writer, who is
// closed, what is withdrawn and denied.
func (w *world) change(d *namespace.Document, i int, writers []nix.SecretKey) {
	d.Issued = w.Start.Add(time.Duration(i-worldDocs) * time.Minute)
	d.About = fmt.Sprint("document ", i)
	if w.rng.IntN(2) == 0 {
		d.Expires = w.Start.Add(time.Duration(w.rng.IntN(200)) * time.Minute)
	}
	for _, j := range w.rng.Perm(len(writers)) {
		key := writers[j].Public()
		switch {
		case w.rng.IntN(3) > 0:
			d.Writers = append(d.Writers, namespace.Writer{Key: key})
		case w.rng.IntN(3) == 0:
			d.Closed = append(d.Closed, namespace.Closed{Key: key, None: true})
		default:
			list := &namespace.KeepList{Namespace: w.Address}
			for _, raw := range w.pubs {
				if w.rng.IntN(2) == 0 {
					list.Publications = append(list.Publications, w.ID(raw))
				}
			}
			slices.SortFunc(list.Publications, namespace.ID.Compare)
			w.lists = append(w.lists, list)
			d.Closed = append(d.Closed, namespace.Closed{Key: key, Keep: list.ID()})
		}
	}
	for _, raw := range w.pubs {
		if w.rng.IntN(15) == 0 {
			d.Withdrawn = append(d.Withdrawn, namespace.Withdrawal{Publication: w.ID(raw), Reason: "test"})
		}
	}
	for _, name := range w.names {
		if w.rng.IntN(10) == 0 {
			e := catalogtest.Entry(name, "build0")
			d.Denied = append(d.Denied, namespace.Denial{Path: e.Path.Hash(), NarHash: e.NarHash, Reason: "test"})
		}
	}
}

// bench returns an empty catalog for this world.
func (w *world) bench() *catalogtest.Bench {
	b := catalogtest.NewBench(w.T, new(catalogtest.MemKV))
	b.Publisher = w.Publisher
	return b
}

// deliver hands a catalog one text, as a peer would; that it is refused is an
// answer too.
func (w *world) deliver(b *catalogtest.Bench, i int) {
	w.T.Helper()
	if i < len(w.docs) {
		err := b.Catalog.Adopt(w.T.Context(), w.docs[i], w.lists)
		if err != nil && !errors.Is(err, catalog.ErrRollback) {
			w.T.Fatal(err)
		}
		return
	}
	w.take(b, w.pubs[i-len(w.docs)])
}

func (w *world) take(b *catalogtest.Bench, raw []byte) catalog.Added {
	w.T.Helper()
	policy, ok := b.Catalog.Policy(w.Address)
	if !ok {
		return catalog.Added{}
	}
	p, err := policy.VerifyPublication(raw)
	if errors.Is(err, trust.ErrUntrusted) {
		return catalog.Added{}
	}
	if err != nil {
		w.T.Fatal(err)
	}
	added, err := b.Catalog.Add(w.T.Context(), p)
	if err != nil {
		w.T.Fatal(err)
	}
	return added
}

// pull lets to learn from from what sync would tell it; it reports whether that
// was anything. cursor is where it was last time, for those who follow changes.
func (w *world) pull(to, from *catalogtest.Bench, cursor *catalog.Cursor) bool {
	w.T.Helper()
	ctx, learnt := w.T.Context(), false
	policy, ok := from.Catalog.Policy(w.Address)
	if !ok {
		return false
	}
	theirs, _ := policy.Document()
	if err := to.Catalog.Adopt(ctx, theirs, w.fetchLists(from, theirs)); err != nil && !errors.Is(err, catalog.ErrRollback) {
		w.T.Fatal(err)
	}
	for {
		mine, err := to.Catalog.Digest(ctx, w.Address)
		if err != nil {
			w.T.Fatal(err)
		}
		if d, err := from.Catalog.Digest(ctx, w.Address); err != nil || d == mine {
			return learnt
		}
		ids, next, known, err := from.Catalog.Changes(ctx, w.Address, *cursor, 3)
		if err != nil {
			w.T.Fatal(err)
		}
		*cursor = next
		if !known || len(ids) == 0 {
			return w.compareBuckets(to, from) || learnt
		}
		learnt = w.fetch(to, from, ids) || learnt
	}
}

func (w *world) fetchLists(from *catalogtest.Bench, d trust.Document) (lists []*namespace.KeepList) {
	w.T.Helper()
	for _, c := range d.Value().Closed {
		if c.None {
			continue
		}
		raw, err := from.Catalog.KeepList(w.T.Context(), w.Address, c.Keep)
		if err != nil {
			w.T.Fatal(err)
		}
		list, err := namespace.ParseKeepList(raw)
		if err != nil {
			w.T.Fatal(err)
		}
		lists = append(lists, list)
	}
	return lists
}

func (w *world) compareBuckets(to, from *catalogtest.Bench) bool {
	w.T.Helper()
	mine, err := to.Catalog.Buckets(w.T.Context(), w.Address)
	if err != nil {
		w.T.Fatal(err)
	}
	theirs, err := from.Catalog.Buckets(w.T.Context(), w.Address)
	if err != nil {
		w.T.Fatal(err)
	}
	learnt := false
	for i := range theirs {
		if theirs[i] == mine[i] {
			continue
		}
		ids, err := from.Catalog.IDs(w.T.Context(), w.Address, byte(i))
		if err != nil {
			w.T.Fatal(err)
		}
		learnt = w.fetch(to, from, ids) || learnt
	}
	return learnt
}

func (w *world) fetch(to, from *catalogtest.Bench, ids []namespace.ID) bool {
	w.T.Helper()
	learnt := false
	for queue := slices.Clone(ids); len(queue) > 0; queue = queue[1:] {
		if known, err := to.Catalog.Knows(w.T.Context(), w.Address, queue[0]); err != nil || known {
			continue
		}
		raw, err := from.Catalog.Publication(w.T.Context(), w.Address, queue[0])
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			w.T.Fatal(err)
		}
		if added := w.take(to, raw); added.New {
			learnt = true
			queue = append(queue, added.Missing...)
		}
	}
	return learnt
}

// answers is what a catalog says of everything.
func (w *world) answers(b *catalogtest.Bench) []string {
	w.T.Helper()
	var all []string
	for _, id := range b.Alive() {
		all = append(all, "alive "+id.Short())
	}
	for _, name := range w.names {
		for _, v := range b.Lookup(name) {
			all = append(all, fmt.Sprint(name, " in ", v.Publication().Short(), " by ", v.Seniority(), " ", v.Entry().NarHash.Nix32()[:8]))
		}
	}
	st := b.Catalog.Stats(w.Address)
	return append(all, fmt.Sprint(st.Paths, st.Publications, st.NarBytes, st.Serial, st.Expires))
}

// TestConvergence: whatever reached whom, in whatever order, how often, and
// whoever was restarted meanwhile: once all have talked, all say the same, and
// that is what one would say who was given everything at once.
func TestConvergence(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			nodes := make([]*catalogtest.Bench, 3)
			cursors := make(map[[2]int]*catalog.Cursor)
			for i := range nodes {
				nodes[i] = w.bench()
				for j := range nodes {
					cursors[[2]int{i, j}] = new(catalog.Cursor)
				}
			}
			for step := range 4 {
				for _, b := range nodes {
					b.Clock.Set(w.Start.Add(time.Duration(step) * 75 * time.Minute))
				}
				for range w.rng.IntN(150) {
					b := nodes[w.rng.IntN(len(nodes))]
					w.deliver(b, w.rng.IntN(len(w.docs)+len(w.pubs)))
					if w.rng.IntN(20) == 0 {
						b.Reopen()
					}
				}
				w.settle(nodes, cursors)
				want := w.answers(w.oracle(nodes))
				for i, b := range nodes {
					if got := w.answers(b); !slices.Equal(got, want) {
						t.Fatalf("step %d, node %d says\n%q\nand should\n%q", step, i, got, want)
					}
				}
			}
		})
	}
}

// settle lets all pull from all until nobody learns anything.
func (w *world) settle(nodes []*catalogtest.Bench, cursors map[[2]int]*catalog.Cursor) {
	for rounds, learnt := 0, true; learnt; rounds++ {
		if rounds > worldPubs {
			w.T.Fatal("they never have enough")
		}
		learnt = false
		for i, to := range nodes {
			for j, from := range nodes {
				if i != j && w.pull(to, from, cursors[[2]int{i, j}]) {
					learnt = true
				}
			}
		}
	}
}

// oracle returns a catalog that was given, in one go, the document that wins and
// all publications that anybody has.
func (w *world) oracle(nodes []*catalogtest.Bench) *catalogtest.Bench {
	w.T.Helper()
	b := w.bench()
	b.Clock.Set(nodes[0].Clock.Now())
	for _, i := range w.rng.Perm(len(w.docs)) {
		for _, node := range nodes {
			if policy, ok := node.Catalog.Policy(w.Address); ok {
				if d, _ := policy.Document(); d.ID() == w.docs[i].ID() {
					w.deliver(b, i)
				}
			}
		}
	}
	if _, ok := b.Catalog.Policy(w.Address); !ok {
		w.deliver(b, 0) // nobody has one
		for _, node := range nodes {
			w.deliver(node, 0)
		}
	}
	for _, i := range w.rng.Perm(len(w.pubs)) {
		for _, node := range nodes {
			if known, err := node.Catalog.Knows(w.T.Context(), w.Address, w.ID(w.pubs[i])); err == nil && known {
				w.deliver(b, len(w.docs)+i)
			}
		}
	}
	return b
}
