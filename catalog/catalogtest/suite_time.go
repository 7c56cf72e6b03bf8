package catalogtest

import (
	"bytes"
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

// lists returns a change that makes a publication list entries of these names.
func lists(names ...string) func(*namespace.Publication) {
	return func(p *namespace.Publication) {
		for _, name := range names {
			p.Entries = append(p.Entries, Entry(name, ""))
		}
	}
}

// both joins changes.
func both(changes ...func(*namespace.Publication)) func(*namespace.Publication) {
	return func(p *namespace.Publication) {
		for _, change := range changes {
			change(p)
		}
	}
}

func dated(t time.Time, life time.Duration) func(*namespace.Publication) {
	return func(p *namespace.Publication) { p.Time, p.Expires = t, t.Add(life) }
}

func uses(ids ...namespace.ID) func(*namespace.Publication) {
	return func(p *namespace.Publication) { p.Uses = append(p.Uses, ids...) }
}

// renews returns a change that makes a publication a renewal: no entries, one
// root.
func renews(root string, ids ...namespace.ID) func(*namespace.Publication) {
	return func(p *namespace.Publication) {
		p.Roots = append(p.Roots, Path(root))
		p.Uses = append(p.Uses, ids...)
	}
}

// alive fails unless exactly these publications are alive, in memory and, after
// a restart, from the index.
func (b *Bench) alive(want ...[]byte) {
	b.T.Helper()
	var ids []namespace.ID
	for _, raw := range want {
		ids = append(ids, b.ID(raw))
	}
	slices.SortFunc(ids, namespace.ID.Compare)
	if got := b.Alive(); !slices.Equal(got, ids) {
		b.T.Fatalf("alive: %v, want %v", short(got), short(ids))
	}
	b.Reopen()
	if got := b.Alive(); !slices.Equal(got, ids) {
		b.T.Fatalf("alive after a restart: %v, want %v", short(got), short(ids))
	}
}

func short(ids []namespace.ID) []string {
	var s []string
	for _, id := range ids {
		s = append(s, id.Short())
	}
	return s
}

// grows runs fn and fails unless the generation grew by it.
func (b *Bench) grows(fn func()) {
	b.T.Helper()
	before := b.Catalog.Generation()
	fn()
	if after := b.Catalog.Generation(); after <= before {
		b.T.Fatalf("generation %d, was %d: it should have grown", after, before)
	}
}

// stays runs fn and fails if the generation grew by it.
func (b *Bench) stays(fn func()) {
	b.T.Helper()
	before := b.Catalog.Generation()
	fn()
	if after := b.Catalog.Generation(); after != before {
		b.T.Fatalf("generation %d, was %d: it should not have grown", after, before)
	}
}

// testHeld: what is dated ahead appears when it is due, to the second.
func testHeld(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	due := b.Start.Add(time.Hour)
	raw := b.Publication(b.Root, both(lists("hello"), dated(due.Add(trust.MaxAhead), b.Life)))
	var added catalog.Added
	b.stays(func() { added = b.Add(raw) })
	if added.Standing.State != trust.Held || !added.Standing.Until.Equal(due) {
		t.Fatalf("standing: %+v", added.Standing)
	}
	b.alive()
	if b.Lookup("hello") != nil {
		t.Fatal("a held publication is answered with")
	}
	if _, err := b.Catalog.Publication(t.Context(), b.Address, b.ID(raw)); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("a held publication is given away: %v", err)
	}
	if st := b.Catalog.Stats(b.Address); st.Waiting != 1 || st.Publications != 0 {
		t.Fatalf("Stats: %+v", st)
	}
	if err := b.Catalog.Drop(t.Context(), b.Address, b.ID(raw)); err == nil {
		t.Fatal("dropped what is held")
	}
	b.stays(func() { b.Clock.Set(due.Add(-time.Nanosecond)) })
	changed := b.Catalog.Changed(b.Address)
	b.grows(func() { b.Clock.Set(due) })
	select {
	case <-changed:
	default:
		t.Fatal("Changed was not closed")
	}
	if len(b.Lookup("hello")) != 1 {
		t.Fatal("not answered with when due")
	}
	b.alive(raw)
}

// testExpiry: what has expired is gone at once, to the second, and what is kept
// of answers with it.
func testExpiry(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	raw := b.Publication(b.Root, both(lists("hello"), dated(b.Start, time.Hour)))
	longer := b.Publication(b.Root, both(lists("other"), dated(b.Start, 2*time.Hour)))
	b.Add(raw)
	b.Add(longer)
	if len(b.Lookup("hello")) != 1 {
		t.Fatal("not found")
	}
	v := b.Lookup("hello")[0]
	if until, err := b.Catalog.LivesUntil(v); err != nil || !until.Equal(b.Start.Add(time.Hour)) {
		t.Fatalf("LivesUntil: %v, %v", until, err)
	}
	b.stays(func() { b.Clock.Set(b.Start.Add(time.Hour - time.Nanosecond)) })
	b.alive(raw, longer)
	b.Lookup("hello") // remembered
	b.grows(func() { b.Clock.Set(b.Start.Add(time.Hour)) })
	if b.Lookup("hello") != nil {
		t.Fatal("an expired publication is answered with")
	}
	if has, err := b.Catalog.HasBody(t.Context(), b.Address, v.Entry().Body); err != nil || has {
		t.Fatalf("HasBody of an expired publication: %v, %v", has, err)
	}
	if _, err := b.Catalog.LivesUntil(v); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("LivesUntil of an expired publication: %v", err)
	}
	b.alive(longer)
	if added := b.Add(raw); added.New || added.Standing.State != trust.Expired {
		t.Fatalf("added again: %+v", added)
	}
}

// testClockGoesBack: what a wrong clock made of publications does not last.
func testClockGoesBack(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, func(d *namespace.Document) { d.Issued = b.Start.Add(-time.Minute) }))
	now := b.Publication(b.Root, both(lists("a"), dated(b.Start, time.Hour)))
	ahead := b.Publication(b.Root, both(lists("b"), dated(b.Start.AddDate(0, 1, 0), 30*24*time.Hour)))
	b.Add(now)
	b.Add(ahead)
	b.alive(now)
	b.Clock.Set(b.Start.AddDate(0, 1, 1))
	b.alive(ahead)
	b.grows(func() { b.Clock.Set(b.Start) })
	if got := b.Alive(); len(got) != 1 || got[0] != b.ID(now) {
		t.Fatalf("after the clock was set right: %v", short(got))
	}
	b.alive(now)
	// The namespace's time does not go back behind the document's issue.
	b.Clock.Set(b.Start.AddDate(-1, 0, 0))
	b.alive(now)
}

// testUses: a publication lives as long as those that use it, transitively, in
// whatever order they come, and dies with the last.
func testUses(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	hour := func(n int) time.Time { return b.Start.Add(time.Duration(n) * time.Hour) }
	first := b.Publication(b.Root, both(lists("first"), dated(b.Start, time.Hour)))
	second := b.Publication(b.Root, both(lists("second"), dated(b.Start, 2*time.Hour), uses(b.ID(first))))
	third := b.Publication(b.Root, both(renews("second", b.ID(second)), dated(b.Start, 4*time.Hour)))
	fourth := b.Publication(b.Root, both(renews("second", b.ID(third)), dated(b.Start, 3*time.Hour)))
	all := [][]byte{first, second, third, fourth}
	for i := range all {
		if i%2 == 1 { // also when they come after the used have expired
			b.Clock.Set(hour(1))
		}
		b.Add(all[i])
	}
	b.alive(all...)
	b.Clock.Set(hour(3))
	b.alive(first, second, third)
	for info, err := range b.Catalog.Publications(t.Context(), b.Address) {
		if err != nil {
			t.Fatal(err)
		}
		want := hour(4)
		if info.ID == b.ID(fourth) {
			want = hour(3)
		}
		if !info.Lives.Equal(want) {
			t.Fatalf("%s lives until %v, want %v", info.ID.Short(), info.Lives, want)
		}
	}
	if len(b.Lookup("first")) != 1 {
		t.Fatal("what is kept alive is not answered with")
	}
	b.grows(func() { b.Clock.Set(hour(4)) })
	b.alive()
	if b.Lookup("first") != nil {
		t.Fatal("answered with after the last user's end")
	}
	// One that comes later still brings it all back.
	again := b.Publication(b.Root, both(renews("second", b.ID(second)), dated(hour(4), time.Hour)))
	b.grows(func() { b.Add(again) })
	b.alive(first, second, again)

	// The other way round: users first.
	other := NewBench(t, new(MemKV))
	other.Adopt(b.Document(1, nil))
	other.Clock.Set(hour(4))
	if added := other.Add(again); !slices.Equal(added.Missing, []namespace.ID{b.ID(second)}) {
		t.Fatalf("missing: %v", short(added.Missing))
	}
	if added := other.Add(second); added.Standing.State != trust.Live || !added.Standing.Until.Equal(hour(5)) || !slices.Equal(added.Missing, []namespace.ID{b.ID(first)}) {
		t.Fatalf("added: %+v", added)
	}
	other.Add(first)
	other.alive(first, second, again)
}

// testUsesThroughVoid: what does not count keeps nothing alive, and what is
// withdrawn is not asked for.
func testUsesThroughVoid(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	short := b.Publication(b.Root, both(lists("short"), dated(b.Start, time.Hour)))
	middle := b.Publication(b.Root, both(lists("middle"), uses(b.ID(short))))
	top := b.Publication(b.Root, both(lists("top"), uses(b.ID(middle))))
	ahead := b.Publication(b.Root, both(lists("ahead"), uses(b.ID(short)), dated(b.Start.Add(2*time.Hour), 2*time.Hour)))
	for _, raw := range [][]byte{short, middle, top, ahead} {
		b.Add(raw)
	}
	b.alive(short, middle, top)
	b.Adopt(b.Document(2, func(d *namespace.Document) {
		d.Withdrawn = []namespace.Withdrawal{{Publication: b.ID(middle), Reason: "test"}}
	}))
	b.alive(short, top)
	b.Clock.Set(b.Start.Add(time.Hour))
	b.alive(top) // and not short, through middle or ahead
	b.Clock.Set(b.Start.Add(2*time.Hour - trust.MaxAhead))
	b.alive(short, top, ahead)
	fresh := NewBench(t, new(MemKV))
	fresh.Adopt(b.Document(2, func(d *namespace.Document) {
		d.Withdrawn = []namespace.Withdrawal{{Publication: b.ID(middle), Reason: "test"}}
	}))
	if added := fresh.Add(top); added.Missing != nil || added.Standing.State != trust.Live {
		t.Fatalf("added: %+v", added)
	}
}

// testFrozen: after the document's expiry what writers date later waits for the
// next document; the root's does not.
func testFrozen(t *testing.T, b *Bench) {
	ci := b.Key("ci")
	expires := b.Start.Add(time.Hour)
	short := func(d *namespace.Document) {
		Writers(ci)(d)
		d.Expires = expires
	}
	b.Adopt(b.Document(1, short))
	before := b.Publication(ci, both(lists("before"), dated(expires, b.Life)))
	after := b.Publication(ci, both(lists("after"), dated(expires.Add(time.Second), b.Life)))
	root := b.Publication(b.Root, both(lists("root"), dated(expires.Add(time.Second), b.Life)))
	b.Clock.Set(expires.Add(time.Minute))
	b.Add(before)
	if added := b.Add(after); added.Standing.State != trust.Frozen {
		t.Fatalf("added: %+v", added)
	}
	b.Add(root)
	b.alive(before, root)
	if st := b.Catalog.Stats(b.Address); st.Waiting != 1 {
		t.Fatalf("Stats: %+v", st)
	}
	if err := b.Catalog.Drop(t.Context(), b.Address, b.ID(after)); err == nil {
		t.Fatal("dropped what is frozen")
	}
	b.Adopt(b.Document(2, func(d *namespace.Document) {
		Writers(ci)(d)
		d.Issued = expires.Add(time.Minute)
	}))
	b.alive(before, after, root)
}

// testOrder: which entries answer for a path, and in which order.
func testOrder(t *testing.T, b *Bench) {
	ci, dev := b.Key("ci"), b.Key("dev")
	b.Adopt(b.Document(1, Writers(ci, dev)))
	build := func(k nix.SecretKey, build string, at time.Duration) []byte {
		return b.Publication(k, func(p *namespace.Publication) {
			dated(b.Start.Add(at), b.Life)(p)
			p.Entries = []namespace.Entry{Entry("hello", build)}
		})
	}
	byDev, byCI := build(dev, "1", 0), build(ci, "1", 0)
	old, newer := build(b.Root, "2", 0), build(b.Root, "2", time.Second)
	other := build(b.Root, "3", -time.Second)
	for _, raw := range [][]byte{byDev, old, byCI, newer, other} {
		b.Add(raw)
	}
	want := [][]byte{newer, other, byCI, byDev} // newer says the same as old
	for range 2 {
		found := b.Lookup("hello")
		if len(found) != len(want) {
			t.Fatalf("%d entries, want %d", len(found), len(want))
		}
		for i, v := range found {
			if v.Publication() != b.ID(want[i]) {
				t.Fatalf("entry %d is of %s by %s", i, v.Publication().Short(), v.Signer().Name)
			}
		}
		b.Reopen()
	}
	// When the one that stands for others goes, another one does.
	b.Adopt(b.Document(2, func(d *namespace.Document) {
		Writers(ci, dev)(d)
		d.Withdrawn = []namespace.Withdrawal{{Publication: b.ID(newer), Reason: "test"}}
	}))
	if found := b.Lookup("hello"); len(found) != 4 || !slices.ContainsFunc(found, func(v trust.Verified) bool { return v.Publication() == b.ID(old) }) {
		t.Fatalf("%d entries after a withdrawal", len(found))
	}
	// More than anybody may say about a path.
	for i := range 5 * catalog.MaxAnswers {
		b.Add(build(b.Root, fmt.Sprint("many", i), 0))
	}
	counting := &countingKV{KV: b.KV}
	b.KV = counting
	b.Reopen()
	counting.reads = 0
	if found := b.Lookup("hello"); len(found) != catalog.MaxAnswers {
		t.Fatalf("%d entries, want %d", len(found), catalog.MaxAnswers)
	}
	// One read for each listing would be two dozen more.
	if signers := 3; counting.reads > 3+2*signers+2*catalog.MaxAnswers {
		t.Fatalf("%d reads for %d answers", counting.reads, catalog.MaxAnswers)
	}
}

// testList: what can be listed, and how.
func testList(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	const n = 700 // several pages
	for i := range 7 {
		b.Add(b.Publication(b.Root, func(p *namespace.Publication) {
			p.Time = p.Time.Add(time.Duration(i) * time.Second)
			for j := range n / 7 {
				p.Entries = append(p.Entries, Entry("p"+string(rune('a'+i))+"-"+string(rune('0'+j/10))+string(rune('0'+j%10)), ""))
			}
			p.Entries = append(p.Entries, Entry("common", ""))
		}))
	}
	dead := b.Publication(b.Root, both(lists("dead"), dated(b.Start, time.Second)))
	b.Add(dead)
	b.Clock.Add(time.Second)
	seen := make(map[nix.PathHash]bool)
	for h, err := range b.Catalog.Paths(t.Context(), b.Address) {
		if err != nil || seen[h] {
			t.Fatalf("Paths: %s twice, or %v", h, err)
		}
		seen[h] = true
	}
	if len(seen) != n+1 || !seen[Path("common").Hash()] || seen[Path("dead").Hash()] {
		t.Fatalf("%d paths, want %d", len(seen), n+1)
	}
	for glob, want := range map[string]int{"": n + 1, "pa-*": n / 7, "*-00": 7, "common": 1, "dead": 0} {
		got := 0
		for v, err := range b.Catalog.Entries(t.Context(), b.Address, glob) {
			if err != nil || v.IsZero() {
				t.Fatal(err)
			}
			got++
		}
		if got != want {
			t.Fatalf("%d entries like %q, want %d", got, glob, want)
		}
	}
	for _, err := range b.Catalog.Entries(t.Context(), b.Address, "[") {
		if err == nil {
			t.Fatal("a bad pattern matches")
		}
	}
	if st := b.Catalog.Stats(b.Address); st.Paths != n+1 || st.Publications != 7 {
		t.Fatalf("Stats: %+v", st)
	}
	bodies, common := 0, 0
	for use, err := range b.Catalog.Bodies(t.Context(), b.Address) {
		if err != nil {
			t.Fatal(err)
		}
		bodies++
		if use.Path == Path("common").Hash() {
			common++
		}
		isDead := use.Path == Path("dead").Hash()
		if use.Alive == isDead || isDead != use.Lives.Equal(b.Start.Add(time.Second)) {
			t.Fatalf("Bodies: %+v", use)
		}
	}
	if bodies != n+7+1 || common != 7 {
		t.Fatalf("%d uses of bodies, %d of one", bodies, common)
	}
	var last time.Time
	for info, err := range b.Catalog.Publications(t.Context(), b.Address) {
		if err != nil || !last.IsZero() && info.Time.After(last) {
			t.Fatalf("Publications: %+v, %v", info, err)
		}
		last = info.Time
		if state := info.Standing.State; (state == trust.Expired) != (info.ID == b.ID(dead)) {
			t.Fatalf("%s is in state %v", info.ID.Short(), state)
		}
	}
	if info, err := b.Catalog.PublicationInfo(t.Context(), b.Address, b.ID(dead)); err != nil || info.Entries != 1 {
		t.Fatalf("PublicationInfo: %+v, %v", info, err)
	}
}

// testNamespacesApart: one namespace's publications are nothing to another's.
func testNamespacesApart(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	raw := b.Publication(b.Root, lists("hello"))
	b.Add(raw)
	other := NewPublisher(t, "zeta-2", 2)
	if err := b.Catalog.Adopt(t.Context(), other.Document(1, nil), nil); err != nil {
		t.Fatal(err)
	}
	if got := b.Catalog.Namespaces(); !slices.Equal(got, []namespace.Address{b.Address, other.Address}) {
		t.Fatalf("Namespaces: %v", got)
	}
	if _, err := b.Catalog.Lookup(t.Context(), other.Address, Path("hello").Hash()); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("Lookup in the other: %v", err)
	}
	entry := Entry("hello", "")
	if has, err := b.Catalog.HasBody(t.Context(), other.Address, entry.Body); err != nil || has {
		t.Fatalf("HasBody in the other: %v, %v", has, err)
	}
	if got := Alive(t, b.Catalog, other.Address); len(got) != 0 {
		t.Fatalf("alive in the other: %v", got)
	}
	if _, err := b.Catalog.Publication(t.Context(), other.Address, b.ID(raw)); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("Publication in the other: %v", err)
	}
	if err := b.Catalog.Forget(t.Context(), other.Address); err != nil {
		t.Fatal(err)
	}
	b.alive(raw)
	if text, err := b.Catalog.Publication(t.Context(), b.Address, b.ID(raw)); err != nil || !bytes.Equal(text, raw) {
		t.Fatalf("Publication: %v", err)
	}
}
