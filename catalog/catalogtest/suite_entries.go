package catalogtest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func never[T any](T) bool { return false }

// complete asks whether an entry is complete, with no extern and no hole.
func (b *Bench) complete(v trust.Verified) (bool, nix.StorePath) {
	b.T.Helper()
	return b.completeWith(v, never[nix.PublicKey], never[nix.StorePath])
}

func (b *Bench) completeWith(v trust.Verified, extern func(nix.PublicKey) bool, hole func(nix.StorePath) bool) (bool, nix.StorePath) {
	b.T.Helper()
	complete, missing, err := b.Catalog.Complete(b.T.Context(), v, 1, extern, hole)
	if err != nil {
		b.T.Fatal(err)
	}
	return complete, missing
}

func entries(all ...namespace.Entry) func(*namespace.Publication) {
	return func(p *namespace.Publication) { p.Entries = append(p.Entries, all...) }
}

// testProven: the first that was proven here stays first.
func testProven(t *testing.T, b *Bench) {
	ci := b.Key("ci")
	b.Adopt(b.Document(1, Writers(ci)))
	b.Add(b.Publication(b.Root, entries(Entry("hello", "1"))))
	b.Add(b.Publication(b.Root, entries(Entry("hello", "2"))))
	b.Add(b.Publication(ci, entries(Entry("hello", "3"))))
	b.Add(b.Publication(b.Root, lists("alone")))
	builds := func() []trust.Verified {
		found := b.Lookup("hello")
		if len(found) != 3 {
			t.Fatalf("%d entries, want 3", len(found))
		}
		return found
	}
	junior := builds()[2]
	second := builds()[1]
	prove := func(v trust.Verified) {
		t.Helper()
		b.Clock.Add(time.Second)
		if err := b.Catalog.MarkProven(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	b.grows(func() { prove(junior) })
	b.grows(func() { prove(second) })
	b.stays(func() { prove(junior) })
	b.stays(func() { prove(b.Lookup("alone")[0]) })
	for range 2 {
		found := builds()
		if found[0].Signer() != ci.Public() || found[1].Publication() != second.Publication() {
			t.Fatalf("the first is by %s", found[0].Signer().Name)
		}
		for i, want := range []bool{true, true, false} {
			if proven, err := b.Catalog.Proven(t.Context(), found[i]); err != nil || proven != want {
				t.Fatalf("entry %d is proven: %v, %v", i, proven, err)
			}
		}
		b.Reopen()
	}
	if _, err := b.Catalog.Proven(t.Context(), trust.Verified{}); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Proven of nothing: %v", err)
	}
	if err := b.Catalog.MarkProven(t.Context(), trust.Verified{}); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("MarkProven of nothing: %v", err)
	}
}

// testDistrust: what did not give its NarHash is not answered with again, and
// nothing that needs it is complete.
func testDistrust(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	bad := b.Publication(b.Root, entries(Entry("libc", "")))
	b.Add(bad)
	b.Add(b.Publication(b.Root, entries(Entry("hello", "", Path("libc")))))
	hello, libc := b.Lookup("hello")[0], b.Lookup("libc")[0]
	if complete, missing := b.complete(hello); !complete {
		t.Fatalf("incomplete: %v", missing)
	}
	b.grows(func() {
		if err := b.Catalog.Distrust(t.Context(), libc, "gave another NarHash"); err != nil {
			t.Fatal(err)
		}
	})
	for range 2 {
		if b.Lookup("libc") != nil {
			t.Fatal("answered with what was distrusted")
		}
		if has, err := b.Catalog.HasBody(t.Context(), b.Address, libc.Entry().Body); err != nil || has {
			t.Fatalf("HasBody: %v, %v", has, err)
		}
		if complete, missing := b.complete(hello); complete || missing != Path("libc") {
			t.Fatalf("complete: %v, missing %v", complete, missing)
		}
		b.alive(bad, b.text(hello)) // the publication itself stays
		b.Reopen()
	}
	b.Add(b.Publication(b.Root, both(entries(Entry("libc", "")), dated(b.Start.Add(time.Second), b.Life))))
	if found := b.Lookup("libc"); len(found) != 1 {
		t.Fatal("the same entry of another publication is not answered with")
	}
	if complete, missing := b.complete(hello); !complete {
		t.Fatalf("incomplete: %v", missing)
	}
	if err := b.Catalog.Distrust(t.Context(), trust.Verified{}, ""); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Distrust of nothing: %v", err)
	}
}

// text returns the text of the publication that an entry stands in.
func (b *Bench) text(v trust.Verified) []byte {
	b.T.Helper()
	raw, err := b.Catalog.Publication(b.T.Context(), b.Address, v.Publication())
	if err != nil {
		b.T.Fatal(err)
	}
	return raw
}

// testComplete: a closure is complete when every reference leads somewhere.
func testComplete(t *testing.T, b *Bench) {
	upstream := b.Key("cache.example-1").Public()
	b.Adopt(b.Document(1, nil))
	self := Entry("self", "")
	self.References = []nix.StorePath{Path("self")}
	self.Slots = []nix.PathHash{Path("self").Hash()}
	base := b.Publication(b.Root, func(p *namespace.Publication) {
		entries(self, Entry("leaf", "", Path("glibc"), Path("self")), Entry("blob-user", "", Path("blob"), Path("leaf")))(p)
		p.Externs = []namespace.Extern{{Key: upstream, Path: Path("glibc")}, {Key: b.Key("b").Public(), Path: Path("glibc")}}
		p.Holes = []nix.StorePath{Path("blob")}
	})
	top := b.Publication(b.Root, func(p *namespace.Publication) {
		entries(Entry("top", "", Path("leaf"), Path("late")), Entry("bad", "", Path("glibc")))(p)
		p.Uses = []namespace.ID{b.ID(base)}
	})
	b.Add(base)
	b.Add(top)
	type answers struct{ extern, hole bool }
	check := func(name string, a answers, want nix.StorePath) {
		t.Helper()
		extern := func(k nix.PublicKey) bool { return a.extern && k == upstream }
		hole := func(p nix.StorePath) bool { return a.hole && p == Path("blob") }
		for range 2 {
			complete, missing := b.completeWith(b.Lookup(name)[0], extern, hole)
			if complete != want.IsZero() || missing != want {
				t.Fatalf("%s with %+v: %v, missing %v, want %v", name, a, complete, missing, want)
			}
		}
	}
	for range 2 {
		check("self", answers{}, nix.StorePath{})
		check("leaf", answers{}, Path("glibc"))
		check("leaf", answers{extern: true}, nix.StorePath{})
		check("leaf", answers{}, Path("glibc"))
		check("blob-user", answers{extern: true}, Path("blob"))
		check("blob-user", answers{extern: true, hole: true}, nix.StorePath{})
		check("blob-user", answers{hole: true}, Path("glibc"))
		check("top", answers{extern: true}, Path("late"))
		// An extern is declared by whose entry refers to it, not by others.
		check("bad", answers{extern: true}, Path("glibc"))
		b.Reopen()
	}
	b.Add(b.Publication(b.Root, lists("late")))
	check("top", answers{extern: true}, nix.StorePath{})
	b.Add(b.Publication(b.Root, lists("glibc"))) // here now, for everybody
	check("bad", answers{}, nix.StorePath{})
	check("top", answers{}, nix.StorePath{})
	if _, _, err := b.Catalog.Complete(t.Context(), trust.Verified{}, 1, never[nix.PublicKey], never[nix.StorePath]); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Complete of nothing: %v", err)
	}
}

// testCompleteMemo: what is remembered is forgotten when it may no longer hold,
// and asking for a whole closure does not walk it again each time.
func testCompleteMemo(t *testing.T, b *Bench) {
	counting := &countingKV{KV: b.KV}
	b.KV = counting
	b.Reopen()
	b.Adopt(b.Document(1, nil))
	const depth = 60
	chain := b.Publication(b.Root, func(p *namespace.Publication) {
		for i := range depth {
			p.Entries = append(p.Entries, Entry(fmt.Sprint("link", i), "", Path(fmt.Sprint("link", i+1))))
		}
	})
	end := b.Publication(b.Root, both(lists(fmt.Sprint("link", depth)), dated(b.Start, time.Hour)))
	b.Add(chain)
	ask := func(i int, want bool) {
		t.Helper()
		complete, missing := b.complete(b.Lookup(fmt.Sprint("link", i))[0])
		if complete != want || complete == (missing == Path(fmt.Sprint("link", depth))) {
			t.Fatalf("link%d: %v, missing %v", i, complete, missing)
		}
	}
	all := func(want bool) {
		t.Helper()
		for i := range depth {
			b.Lookup(fmt.Sprint("link", i)) // so that only Complete reads
		}
		counting.reads = 0
		for i := range depth {
			ask(i, want)
		}
		if counting.reads > 8*depth {
			t.Fatalf("%d reads for %d paths", counting.reads, depth)
		}
	}
	all(false)
	b.Add(end)
	all(true)
	b.Add(b.Publication(b.Root, lists("unrelated")))
	counting.reads = 0
	for i := range depth { // what was complete stays so when something comes
		ask(i, true)
	}
	if counting.reads != 0 {
		t.Fatalf("%d reads after an unrelated publication", counting.reads)
	}
	b.Clock.Add(time.Hour) // end expires
	all(false)
}

// countingKV counts how often it is read.
type countingKV struct {
	catalog.KV
	reads int
}

func (c *countingKV) Get(key []byte) ([]byte, error) {
	c.reads++
	return c.KV.Get(key)
}

func (c *countingKV) Scan(prefix, from []byte, fn func(k, v []byte) (bool, error)) error {
	c.reads++
	return c.KV.Scan(prefix, from, fn)
}

// testCompleteCircle: references in a circle, which no honest build has, end,
// and fail together.
func testCompleteCircle(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	b.Add(b.Publication(b.Root, entries(
		Entry("a", "", Path("b")), Entry("b", "", Path("c")), Entry("c", "", Path("a"), Path("d")),
		Entry("into", "", Path("b")), Entry("x", "", Path("y")), Entry("y", "", Path("x")),
	)))
	for _, name := range []string{"x", "y"} {
		if complete, missing := b.complete(b.Lookup(name)[0]); !complete {
			t.Fatalf("%s: missing %v", name, missing)
		}
	}
	for _, name := range []string{"a", "b", "c", "into", "b", "a"} {
		if complete, missing := b.complete(b.Lookup(name)[0]); complete || missing != Path("d") {
			t.Fatalf("%s: %v, missing %v", name, complete, missing)
		}
	}
	// Another entry for c that does without d completes them all.
	b.Add(b.Publication(b.Root, entries(Entry("c", "2", Path("a")))))
	for _, name := range []string{"into", "a", "b"} {
		if complete, missing := b.complete(b.Lookup(name)[0]); !complete {
			t.Fatalf("%s: missing %v", name, missing)
		}
	}
	for _, v := range b.Lookup("c") {
		complete, missing := b.complete(v)
		if needsD := slices.Contains(v.Entry().References, Path("d")); complete == needsD {
			t.Fatalf("c with %d references: %v, missing %v", len(v.Entry().References), complete, missing)
		}
	}
}

// testCompleteOneOf: of several entries for a path one that is complete is
// enough, and it has to be for that very path.
func testCompleteOneOf(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	renamed, err := nix.ParseBaseName(Path("lib").Hash().String() + "-renamed")
	if err != nil {
		t.Fatal(err)
	}
	b.Add(b.Publication(b.Root, entries(Entry("lib", "1", Path("x"), Path("y"), Path("z")), Entry("user", "", Path("lib")), Entry("wrong", "", renamed))))
	if complete, missing := b.complete(b.Lookup("user")[0]); complete || missing.IsZero() {
		t.Fatalf("complete without x, y and z: %v, missing %v", complete, missing)
	}
	b.Add(b.Publication(b.Root, entries(Entry("lib", "2"))))
	if complete, missing := b.complete(b.Lookup("user")[0]); !complete {
		t.Fatalf("missing %v", missing)
	}
	if complete, missing := b.complete(b.Lookup("wrong")[0]); complete || missing != renamed {
		t.Fatalf("another name with the same hash: %v, missing %v", complete, missing)
	}
}

// testChanges: followers see each publication that becomes alive, once, in the
// order in which it does.
func testChanges(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	var raws [][]byte
	for i := range 5 {
		raws = append(raws, b.Publication(b.Root, lists(fmt.Sprint("p", i))))
		b.Add(raws[i])
	}
	ahead := b.Publication(b.Root, both(lists("ahead"), dated(b.Start.Add(time.Hour), b.Life)))
	b.Add(ahead)
	start, err := b.Catalog.End(t.Context(), b.Address)
	if err != nil {
		t.Fatal(err)
	}
	follow := func(since catalog.Cursor, limit int, want ...[]byte) catalog.Cursor {
		t.Helper()
		ids, next, known, err := b.Catalog.Changes(t.Context(), b.Address, since, limit)
		if err != nil || !known {
			t.Fatalf("Changes: known %v, %v", known, err)
		}
		var wanted []namespace.ID
		for _, raw := range want {
			wanted = append(wanted, b.ID(raw))
		}
		if !slices.Equal(ids, wanted) {
			t.Fatalf("changes since %d: %v, want %v", since.Seq, short(ids), short(wanted))
		}
		return next
	}
	zero := catalog.Cursor{Epoch: start.Epoch}
	at := follow(zero, 2, raws[0], raws[1])
	at = follow(at, 100, raws[2:]...)
	if at != start {
		t.Fatalf("cursor %v, want the end %v", at, start)
	}
	follow(at, 100)
	b.Clock.Set(b.Start.Add(time.Hour))
	at = follow(at, 100, ahead)
	// One that goes and comes back is told again.
	b.Adopt(b.Document(2, func(d *namespace.Document) {
		d.Withdrawn = []namespace.Withdrawal{{Publication: b.ID(raws[1]), Reason: "test"}}
	}))
	at = follow(at, 100)
	follow(zero, 100, raws[0], raws[2], raws[3], raws[4], ahead)
	b.Adopt(b.Document(3, nil))
	follow(at, 100, raws[1])
	for _, unknown := range []catalog.Cursor{{}, {Epoch: [16]byte{1}, Seq: 1}, {Epoch: start.Epoch, Seq: 1000}} {
		ids, next, known, err := b.Catalog.Changes(t.Context(), b.Address, unknown, 100)
		if end, _ := b.Catalog.End(t.Context(), b.Address); err != nil || known || ids != nil || next != end {
			t.Fatalf("Changes since %v: %v, %v, %v, %v", unknown, ids, next, known, err)
		}
	}
	b.Reopen()
	if _, _, known, err := b.Catalog.Changes(t.Context(), b.Address, at, 100); err != nil || known {
		t.Fatalf("an epoch outlives a restart: %v, %v", known, err)
	}
	if _, _, _, err := b.Catalog.Changes(t.Context(), b.Address, at, 0); err == nil {
		t.Fatal("a limit of nothing")
	}
}

// testChanged: whoever waits wakes at the next change, and only then.
func testChanged(t *testing.T, b *Bench) {
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	born := b.Catalog.Changed(b.Address)
	b.Adopt(b.Document(1, nil))
	if !closed(born) {
		t.Fatal("not woken by the first document")
	}
	forget := func() {
		if err := b.Catalog.Forget(t.Context(), b.Address); err != nil {
			t.Fatal(err)
		}
		b.Adopt(b.Document(2, nil))
	}
	for i, change := range []func(){
		func() { b.Add(b.Publication(b.Root, lists("hello"))) },
		func() { b.Adopt(b.Document(2, nil)) },
		forget,
	} {
		first, second := b.Catalog.Changed(b.Address), b.Catalog.Changed(b.Address)
		if closed(first) {
			t.Fatal("woken by nothing")
		}
		change()
		if !closed(first) || !closed(second) || closed(b.Catalog.Changed(b.Address)) {
			t.Fatalf("not woken by change %d, or not just once", i)
		}
	}
}

// testKeep: entries of an upstream namespace, which has no publications.
func testKeep(t *testing.T, b *Bench) {
	up := NewPublisher(t, "cache.example-1", 3)
	policy := trust.NewUpstreamPolicy(up.Address)
	entry := func(build string) trust.Verified {
		e := Entry("glibc", build, Path("libgcc"))
		e.NarHash = sha256.Sum256([]byte("the same nar"))
		trust.SignEntry(&e, up.Root)
		v, err := policy.Recall(&e, namespace.ID{}, up.Root.Public())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	has := func(v trust.Verified, want bool) {
		t.Helper()
		if got, err := b.Catalog.HasBody(t.Context(), up.Address, v.Entry().Body); err != nil || got != want {
			t.Fatalf("HasBody: %v, %v", got, err)
		}
	}
	keep := func(v trust.Verified) {
		t.Helper()
		if err := b.Catalog.Keep(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	first, second, third := entry("1"), entry("2"), entry("3")
	b.grows(func() { keep(first) })
	has(first, true)
	b.grows(func() { keep(second) })
	has(first, false)
	if err := b.Catalog.MarkProven(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	keep(third) // but second was proven
	for range 2 {
		found, err := b.Catalog.Lookup(t.Context(), up.Address, Path("glibc").Hash())
		if err != nil || len(found) != 1 || found[0].Entry().Body != second.Entry().Body || !found[0].Publication().IsZero() {
			t.Fatalf("Lookup: %d entries, %v", len(found), err)
		}
		has(second, true)
		has(third, false)
		if complete, missing := b.complete(found[0]); !complete {
			t.Fatalf("missing %v", missing)
		}
		if st := b.Catalog.Stats(up.Address); st.Paths != 1 || st.Publications != 0 {
			t.Fatalf("Stats: %+v", st)
		}
		if n := Alive(t, b.Catalog, up.Address); len(n) != 0 {
			t.Fatalf("alive: %v", n)
		}
		b.Reopen()
	}
	b.Adopt(b.Document(1, nil))
	b.Add(b.Publication(b.Root, lists("hello")))
	if err := b.Catalog.Keep(t.Context(), b.Lookup("hello")[0]); err == nil {
		t.Fatal("kept what stands in a publication")
	}
	if err := b.Catalog.Keep(t.Context(), trust.Verified{}); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Keep of nothing: %v", err)
	}
	// The upstream begins to publish: what was kept goes.
	if err := b.Catalog.Adopt(t.Context(), up.Document(1, nil), nil); err != nil {
		t.Fatal(err)
	}
	has(second, false)
	if err := b.Catalog.Keep(t.Context(), first); err == nil {
		t.Fatal("kept in a namespace with a document")
	}
	if proven, err := b.Catalog.Proven(t.Context(), second); err != nil || proven {
		t.Fatalf("Proven: %v, %v", proven, err)
	}
}
