package catalog_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// small is a bench whose catalog keeps little.
func small(t *testing.T, n uint64) *catalogtest.Bench {
	b := catalogtest.NewBench(t, new(catalogtest.MemKV))
	c, err := catalog.OpenSmall(t.Context(), b.KV, b.Texts, b.Clock.Now, discard(), n)
	if err != nil {
		t.Fatal(err)
	}
	b.Catalog = c
	return b
}

func numbered(i int, life time.Duration) func(*namespace.Publication) {
	return func(p *namespace.Publication) {
		p.Entries = []namespace.Entry{catalogtest.Entry(fmt.Sprint("path", i), "")}
		p.Expires = p.Time.Add(life)
	}
}

// TestLimits: a signer over its share is refused, the others are not; the dead
// go first, from the index too; and what is refused leaves nothing behind.
func TestLimits(t *testing.T) {
	b := small(t, 3)
	ci := b.Key("ci")
	b.Adopt(b.Document(1, catalogtest.Writers(ci)))
	brief := b.Publication(ci, numbered(0, time.Minute))
	b.Add(brief)
	for i := range 2 {
		b.Add(b.Publication(ci, numbered(1+i, time.Hour)))
	}
	over := b.Verify(b.Publication(ci, numbered(3, time.Hour)))
	before := dump(t, b.KV)
	if _, err := b.Catalog.Add(t.Context(), over); !errors.Is(err, catalog.ErrLimit) {
		t.Fatalf("Add over the limit: %v", err)
	}
	if !slices.Equal(dump(t, b.KV), before) {
		t.Fatal("what was refused changed the index")
	}
	b.Add(b.Publication(b.Root, numbered(0, time.Hour))) // the same path, by another
	b.Clock.Add(time.Minute)
	if added, err := b.Catalog.Add(t.Context(), over); err != nil || !added.New {
		t.Fatalf("Add in the place of the dead: %+v, %v", added, err)
	}
	if known, err := b.Catalog.Knows(t.Context(), b.Address, b.ID(brief)); err != nil || known {
		t.Fatalf("the dead one is still here: %v, %v", known, err)
	}
	if found := b.Lookup("path0"); len(found) != 1 || found[0].Seniority() != 0 {
		t.Fatalf("%d entries for a path that another lists", len(found))
	}
	if len(b.Alive()) != 4 {
		t.Fatalf("%d are alive", len(b.Alive()))
	}
	// In the index it is as if the dead one had never been.
	other := small(t, 3)
	other.Adopt(b.Document(1, catalogtest.Writers(ci)))
	for _, id := range b.Alive() {
		raw, err := b.Catalog.Publication(t.Context(), b.Address, id)
		if err != nil {
			t.Fatal(err)
		}
		other.Add(raw)
	}
	untimed := func(kv catalog.KV) []string { // when each came differs
		return slices.DeleteFunc(dump(t, kv), func(line string) bool { return strings.HasPrefix(line, `"a`) })
	}
	if !slices.Equal(untimed(b.KV), untimed(other.KV)) {
		t.Fatal("the dead one left something behind")
	}
}

// TestHandOver: a path whose last lister makes room for its next one keeps what
// was proven of it.
func TestHandOver(t *testing.T) {
	b := small(t, 2)
	b.Adopt(b.Document(1, nil))
	b.Add(b.Publication(b.Root, numbered(0, time.Minute)))
	b.Add(b.Publication(b.Root, numbered(1, time.Hour)))
	v := b.Lookup("path0")[0]
	if err := b.Catalog.MarkProven(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	b.Clock.Add(time.Minute)
	next := b.Publication(b.Root, numbered(0, time.Hour))
	b.Add(next)
	found := b.Lookup("path0")
	if len(found) != 1 || found[0].Publication() != b.ID(next) {
		t.Fatalf("%d entries", len(found))
	}
	if proven, err := b.Catalog.Proven(t.Context(), found[0]); err != nil || !proven {
		t.Fatalf("the proof is gone: %v", err)
	}
	if known, err := b.Catalog.Knows(t.Context(), b.Address, v.Publication()); err != nil || known {
		t.Fatalf("nothing made room: %v", err)
	}
}

// TestMissingLimit: nobody can make others wait for more than so much.
func TestMissingLimit(t *testing.T) {
	b := small(t, 3)
	b.Adopt(b.Document(1, nil))
	uses := func(n ...byte) []byte {
		return b.Publication(b.Root, func(p *namespace.Publication) {
			for _, n := range n {
				p.Uses = append(p.Uses, namespace.ID{n})
			}
		})
	}
	b.Add(uses(1, 2, 3))
	if _, err := b.Catalog.Add(t.Context(), b.Verify(uses(4))); !errors.Is(err, catalog.ErrLimit) {
		t.Fatalf("Add of what is missing too much: %v", err)
	}
	if st := b.Catalog.Stats(b.Address); st.Missing != 3 {
		t.Fatalf("Stats: %+v", st)
	}
}

// TestKeptLimit: an upstream's entries stay within their bound, and the index
// with them.
func TestKeptLimit(t *testing.T) {
	const n = 20
	b := small(t, n)
	up := catalogtest.NewPublisher(t, "cache.example-1", 5)
	policy := trust.NewUpstreamPolicy(up.Address)
	for i := range 3 * n {
		e := catalogtest.Entry(fmt.Sprint("path", i), "")
		trust.SignEntry(&e, up.Root)
		v, err := policy.Recall(&e, namespace.ID{}, up.Root.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Catalog.Keep(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		if found, err := b.Catalog.Lookup(t.Context(), up.Address, e.Path.Hash()); err != nil || len(found) != 1 {
			t.Fatalf("Lookup of what was just kept: %v", err)
		}
	}
	kept := b.Catalog.Stats(up.Address).Paths
	if kept > n || kept < n/2 {
		t.Fatalf("%d entries are kept, of at most %d", kept, n)
	}
	if keys := len(dump(t, b.KV)); keys != 2+4*kept {
		t.Fatalf("%d keys for %d entries", keys, kept)
	}
	found := 0
	for i := range 3 * n {
		v, err := b.Catalog.Lookup(t.Context(), up.Address, catalogtest.Path(fmt.Sprint("path", i)).Hash())
		if err == nil {
			found += len(v)
		} else if !errors.Is(err, catalog.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if found != kept {
		t.Fatalf("%d of %d entries are found", found, kept)
	}
}

// TestClosureLimit: a closure has its bound, and so has what is remembered of
// closures; without memory the answers are the same.
func TestClosureLimit(t *testing.T) {
	const n = 10
	b := small(t, n)
	b.Adopt(b.Document(1, nil))
	fan := func(name string, refs int) namespace.Entry {
		var all []nix.StorePath
		for i := range refs {
			all = append(all, catalogtest.Path(fmt.Sprint(name, "-hole", i)))
		}
		return catalogtest.Entry(name, "", all...)
	}
	b.Add(b.Publication(b.Root, func(p *namespace.Publication) {
		p.Entries = []namespace.Entry{fan("fits", n), fan("over", n+1), fan("holes", n-2)}
		p.Holes = p.Entries[2].References
	}))
	filled := true
	ask := func(name string) (bool, error) {
		t.Helper()
		complete, _, err := b.Catalog.Complete(t.Context(), b.Lookup(name)[0], 1,
			func(nix.PublicKey) bool { return false }, func(nix.StorePath) bool { return filled })
		return complete, err
	}
	for range 3 {
		if complete, err := ask("fits"); err != nil || complete {
			t.Fatalf("a closure of %d paths: %v, %v", n, complete, err)
		}
		if _, err := ask("over"); !errors.Is(err, catalog.ErrLimit) {
			t.Fatalf("a closure of %d paths: %v", n+1, err)
		}
		for _, filled = range []bool{true, false, true} {
			if complete, err := ask("holes"); err != nil || complete != filled {
				t.Fatalf("%d holes that are filled: %v, found complete: %v, %v", n-2, filled, complete, err)
			}
		}
	}
}

// TestManyListers: a body or path that hundreds list, nearly all of them dead.
func TestManyListers(t *testing.T) {
	b := catalogtest.NewBench(t, new(catalogtest.MemKV))
	b.Adopt(b.Document(1, nil))
	const n = 600
	for i := range n {
		b.Add(b.Publication(b.Root, func(p *namespace.Publication) {
			numbered(0, time.Duration(1+i)*time.Second)(p)
		}))
	}
	entry := catalogtest.Entry("path0", "")
	for _, now := range []int{0, 1, n / 2, n - 1} {
		b.Clock.Set(b.Start.Add(time.Duration(now) * time.Second))
		if has, err := b.Catalog.HasBody(t.Context(), b.Address, entry.Body); err != nil || !has {
			t.Fatalf("HasBody after %d s: %v, %v", now, has, err)
		}
		if found := b.Lookup("path0"); len(found) != 1 {
			t.Fatalf("%d entries after %d s", len(found), now)
		}
		if st := b.Catalog.Stats(b.Address); st.Paths != 1 || st.Publications != n-now {
			t.Fatalf("Stats after %d s: %+v", now, st)
		}
	}
	b.Clock.Set(b.Start.Add(n * time.Second))
	if has, err := b.Catalog.HasBody(t.Context(), b.Address, entry.Body); err != nil || has {
		t.Fatalf("HasBody when all are dead: %v, %v", has, err)
	}
}
