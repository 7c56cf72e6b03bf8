package catalogtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// builds asks who built a path.
func (b *Bench) builds(name string) []catalog.Build {
	b.T.Helper()
	all, err := b.Catalog.Builds(b.T.Context(), b.Address, Path(name).Hash())
	if err != nil {
		b.T.Fatal(err)
	}
	return all
}

// built is what builds says, in words: for each content the names of its builders.
func (b *Bench) built(name string) (words []string) {
	b.T.Helper()
	for _, one := range b.builds(name) {
		word := ""
		for _, k := range one.Builders {
			word += k.Name + " "
		}
		words = append(words, word)
	}
	return words
}

func roots(names ...string) func(*namespace.Publication) {
	return func(p *namespace.Publication) {
		for _, name := range names {
			p.Roots = append(p.Roots, Path(name))
		}
	}
}

// testBuilds: who counts as a builder of what, and who does not.
func testBuilds(t *testing.T, b *Bench) {
	ci, second := b.Key("ci"), b.Key("second")
	b.Adopt(b.Document(1, Writers(ci, second)))
	want := func(name string, words ...string) {
		t.Helper()
		if got := b.built(name); !slices.Equal(got, words) {
			t.Errorf("%s was built by %q, want %q", name, got, words)
		}
	}
	want("hello")
	one := b.Publication(ci, both(entries(Entry("hello", "1")), roots("hello")))
	b.Add(one)
	want("hello", "ci ")
	// The same key again is no other builder.
	b.Add(b.Publication(ci, both(entries(Entry("hello", "1")), roots("hello"), dated(b.Start.Add(time.Second), b.Life))))
	want("hello", "ci ")
	// The root vouches for what ci said.
	b.Add(b.Publication(b.Root, both(entries(Entry("hello", "1")), uses(b.ID(one)))))
	want("hello", "ci ")
	// So also when what it vouches for is not here yet.
	later := b.Publication(ci, both(entries(Entry("world", "1")), roots("world")))
	b.Add(b.Publication(b.Root, both(entries(Entry("world", "1")), uses(b.ID(later)))))
	want("world")
	b.Add(later)
	want("world", "ci ")
	// The root built it, and uses what ci has of it besides.
	b.Add(b.Publication(b.Root, both(entries(Entry("hello", "1")), roots("hello"), uses(b.ID(one)), dated(b.Start.Add(time.Second), b.Life))))
	want("hello", "acme-1 ci ")
	// Somebody else who uses it has built it.
	b.Add(b.Publication(second, both(entries(Entry("world", "1")), uses(b.ID(later)))))
	want("world", "ci second ")
	// Another content is another build, and so are other references.
	b.Add(b.Publication(second, both(entries(Entry("hello", "2")), roots("hello"))))
	want("hello", "acme-1 ci ", "second ")
	b.Add(b.Publication(second, both(entries(Entry("hello", "1", Path("world"))), dated(b.Start.Add(time.Second), b.Life))))
	if got := b.built("hello"); len(got) != 3 {
		t.Errorf("hello has the builds %q, want three", got)
	}
	agreed := 0
	for _, v := range b.Lookup("hello") {
		for _, build := range b.builds("hello") {
			if build.Of(v.Entry()) && build.Agreed(2) {
				agreed++
				if v.Entry().NarHash != Entry("hello", "1").NarHash || len(v.Entry().References) != 0 {
					t.Errorf("agreed on by two: %v with %d references", v.Entry().NarHash, len(v.Entry().References))
				}
			}
		}
	}
	if agreed != 2 {
		t.Errorf("%d entries are agreed on by two, want the root's and ci's", agreed)
	}
	disagreements := func(n int) {
		t.Helper()
		paths, one, err := b.Catalog.Disagreements(t.Context(), b.Address)
		if err != nil || paths != n || n == 1 && one != Path("hello") {
			t.Errorf("%d paths built differently, such as %s, %v; want %d", paths, one, err, n)
		}
	}
	disagreements(1) // nobody has built another world
	// A writer that is closed has built nothing.
	b.Reopen()
	b.Adopt(b.Document(2, func(d *namespace.Document) {
		Writers(second)(d)
		d.Closed = []namespace.Closed{{Key: ci.Public(), None: true}}
	}))
	want("world", "second ")
	disagreements(1) // the root's is another than second's
	b.Add(b.Publication(b.Root, both(entries(Entry("only", "1")), roots("only"), dated(b.Start.Add(2*time.Second), b.Life))))
	disagreements(1)
	if all, err := b.Catalog.Builds(t.Context(), namespace.AddressOf(ci.Public()), Path("hello").Hash()); err != nil || len(all) != 0 {
		t.Errorf("of another namespace: %v, %v", all, err)
	}
}

// testCompleteBuilders: what a closure needs is there when as many built it as are asked for.
func testCompleteBuilders(t *testing.T, b *Bench) {
	ci, second := b.Key("ci"), b.Key("second")
	b.Adopt(b.Document(1, Writers(ci, second)))
	complete := func(builders int) bool {
		t.Helper()
		yes, missing, err := b.Catalog.Complete(t.Context(), b.Lookup("hello")[0], builders, never[nix.PublicKey], never[nix.StorePath])
		if err != nil {
			t.Fatal(err)
		}
		if !yes && missing != Path("libc") {
			t.Fatalf("%s is missing", missing)
		}
		return yes
	}
	closure := entries(Entry("hello", "", Path("libc")), Entry("libc", ""))
	one := b.Publication(ci, both(closure, roots("hello")))
	b.Add(one)
	b.Add(b.Publication(b.Root, both(closure, uses(b.ID(one))))) // vouches for it
	for range 2 {                                                // what is remembered for one number is nothing for another
		if !complete(1) || !complete(0) || complete(2) {
			t.Fatal("with one builder it is complete for one, and for nobody else")
		}
	}
	b.Add(b.Publication(second, entries(Entry("libc", "other"))))
	if complete(2) {
		t.Fatal("complete with builders who do not agree")
	}
	b.Add(b.Publication(second, both(entries(Entry("libc", "")), dated(b.Start.Add(time.Second), b.Life))))
	if !complete(2) || complete(3) || !complete(1) {
		t.Fatal("with two builders it is complete for two")
	}
	b.Adopt(b.Document(2, func(d *namespace.Document) {
		Writers(ci)(d)
		d.Closed = []namespace.Closed{{Key: second.Public(), None: true}}
	}))
	if complete(2) || !complete(1) {
		t.Fatal("a builder that was closed still counts")
	}
}

// testBuildsModel compares Builds with a model, over random publications, countersignatures, withdrawals and restarts.
func testBuildsModel(t *testing.T, b *Bench) {
	type act struct {
		id          namespace.ID
		by          nix.SecretKey
		build       int
		countersign bool
		withdrawn   bool
	}
	const paths = 3
	keys := []nix.SecretKey{b.Root, b.Key("ci"), b.Key("second"), b.Key("third")}
	serial := uint64(1)
	b.Adopt(b.Document(serial, Writers(keys[1:]...)))
	rng := rand.New(rand.NewPCG(1, 2))
	var acts [paths][]*act
	for k := range 150 {
		b.Clock.Set(b.Start.Add(time.Duration(k) * time.Second))
		p := rng.IntN(paths)
		name := fmt.Sprint("path", p)
		add := func(a *act, more func(*namespace.Publication)) {
			raw := b.Publication(a.by, both(entries(Entry(name, fmt.Sprint(a.build))), more, dated(b.Clock.Now(), b.Life)))
			b.Add(raw)
			a.id = b.ID(raw)
			acts[p] = append(acts[p], a)
		}
		switch n := rng.IntN(10); {
		case n < 5:
			add(&act{by: keys[rng.IntN(len(keys))], build: rng.IntN(3)}, roots(name))
		case n < 7 && len(acts[p]) > 0:
			of := acts[p][rng.IntN(len(acts[p]))]
			if of.by.Public() != b.Root.Public() && !of.withdrawn {
				add(&act{by: b.Root, build: of.build, countersign: true}, uses(of.id))
			}
		case n < 9 && len(acts[p]) > 0:
			acts[p][rng.IntN(len(acts[p]))].withdrawn = true
			serial++
			b.Adopt(b.Document(serial, func(d *namespace.Document) {
				Writers(keys[1:]...)(d)
				for _, all := range acts {
					for _, a := range all {
						if a.withdrawn {
							d.Withdrawn = append(d.Withdrawn, namespace.Withdrawal{Publication: a.id, Reason: "a test"})
						}
					}
				}
				slices.SortFunc(d.Withdrawn, func(x, y namespace.Withdrawal) int { return x.Publication.Compare(y.Publication) })
			}))
		default:
			b.Reopen()
		}
		for p := range paths {
			name := fmt.Sprint("path", p)
			want := make(map[nix.NarHash]map[string]bool)
			for _, a := range acts[p] {
				if a.withdrawn || a.countersign {
					continue
				}
				h := Entry(name, fmt.Sprint(a.build)).NarHash
				if want[h] == nil {
					want[h] = make(map[string]bool)
				}
				want[h][a.by.Public().Name] = true
			}
			got := b.builds(name)
			if len(got) != len(want) {
				t.Fatalf("step %d: %d contents, want %d", k, len(got), len(want))
			}
			for _, build := range got {
				if len(build.Builders) != len(want[build.NarHash]) {
					t.Fatalf("step %d: built by %v, want %v", k, build.Builders, want[build.NarHash])
				}
				for _, by := range build.Builders {
					if !want[build.NarHash][by.Name] {
						t.Fatalf("step %d: built by %s, want %v", k, by.Name, want[build.NarHash])
					}
				}
			}
		}
	}
}
