package catalogtest

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

func about(text string) func(*namespace.Document) {
	return func(d *namespace.Document) { d.About = text }
}

// follows fails unless d is in force, and after a restart too.
func (b *Bench) follows(d trust.Document) {
	b.T.Helper()
	for range 2 {
		policy, ok := b.Catalog.Policy(b.Address)
		if !ok {
			b.T.Fatal("no policy")
		}
		if got, _ := policy.Document(); got.ID() != d.ID() || !bytes.Equal(got.Raw(), d.Raw()) {
			b.T.Fatalf("document %d %s is in force, want %d %s", got.Value().Serial, got.ID().Short(), d.Value().Serial, d.ID().Short())
		}
		if st := b.Catalog.Stats(b.Address); st.Serial != d.Value().Serial || !st.Expires.Equal(d.Value().Expires) {
			b.T.Fatalf("Stats: %+v", st)
		}
		b.Reopen()
	}
}

// refuses fails unless Adopt refuses d with target.
func (b *Bench) refuses(d trust.Document, target error) {
	b.T.Helper()
	if err := b.Catalog.Adopt(b.T.Context(), d, nil); !errors.Is(err, target) {
		b.T.Fatalf("Adopt of serial %d: %v, want %v", d.Value().Serial, err, target)
	}
}

// testSerials: the highest serial wins, for ever.
func testSerials(t *testing.T, b *Bench) {
	docs := make([]trust.Document, 6)
	for i := range docs {
		docs[i] = b.Document(uint64(i+1), nil)
	}
	b.Adopt(docs[2])
	b.follows(docs[2])
	b.refuses(docs[1], catalog.ErrRollback)
	b.grows(func() { b.Adopt(docs[4]) })
	b.stays(func() { b.Adopt(docs[4]) })
	b.refuses(docs[3], catalog.ErrRollback)
	b.follows(docs[4])
	b.refuses(docs[3], catalog.ErrRollback) // after a restart
	b.Adopt(docs[5])
	b.follows(docs[5])
	if raw, err := b.Texts.Text(t.Context(), catalog.TextDocument, docs[5].ID()); err != nil || !bytes.Equal(raw, docs[5].Raw()) {
		t.Fatalf("the text is not kept: %v", err)
	}
}

// testTwoOfOneSerial: the larger id is followed, whichever came first, and
// there is an alarm until a higher serial.
func testTwoOfOneSerial(t *testing.T, b *Bench) {
	small, large := b.Document(2, about("one")), b.Document(2, about("two"))
	if small.ID().Compare(large.ID()) > 0 {
		small, large = large, small
	}
	rival := func(want namespace.ID) {
		t.Helper()
		for range 2 {
			if got := b.Catalog.Stats(b.Address).Rival; got != want {
				t.Fatalf("rival %s, want %s", got.Short(), want.Short())
			}
			b.Reopen()
		}
	}
	b.Adopt(small)
	rival(namespace.ID{})
	b.Adopt(large)
	b.follows(large)
	rival(small.ID())
	b.Adopt(b.Document(3, nil))
	rival(namespace.ID{})
	small, large = b.Document(4, about("one")), b.Document(4, about("two"))
	if small.ID().Compare(large.ID()) > 0 {
		small, large = large, small
	}
	b.Adopt(large)
	rival(namespace.ID{})
	b.refuses(small, catalog.ErrRollback)
	b.follows(large)
	rival(small.ID())
	b.Adopt(large) // again: the alarm stays
	rival(small.ID())
}

// testEarlyDocument: a document of the future does not move the time.
func testEarlyDocument(t *testing.T, b *Bench) {
	early := b.Document(1, func(d *namespace.Document) { d.Issued = b.Start.Add(trust.MaxAhead + time.Second) })
	b.refuses(early, trust.ErrUntrusted)
	var refusal *trust.Refusal
	if err := b.Catalog.Adopt(t.Context(), early, nil); !errors.As(err, &refusal) || refusal.Why != trust.FutureDated {
		t.Fatalf("Adopt: %v", err)
	}
	if _, ok := b.Catalog.Policy(b.Address); ok {
		t.Fatal("it was adopted all the same")
	}
	b.Clock.Add(time.Second)
	b.Adopt(early)
	b.follows(early)
	// It moved the namespace's time to its issue, on which lives depend.
	raw := b.Publication(b.Root, both(lists("hello"), dated(b.Start, trust.MaxAhead)))
	if added := b.Add(raw); added.Standing.State != trust.Expired {
		t.Fatalf("added: %+v", added)
	}
}

// testClosedWriter: closing a writer voids what its kept list does not name,
// however it is dated, whenever it comes.
func testClosedWriter(t *testing.T, b *Bench) {
	ci := b.Key("ci")
	b.Adopt(b.Document(1, Writers(ci)))
	kept := b.Publication(ci, lists("kept"))
	void := b.Publication(ci, lists("void"))
	backdated := b.Publication(ci, both(lists("late"), dated(b.Start.AddDate(0, -1, 0), b.Life)))
	b.Add(kept)
	b.Add(void)
	late := b.Verify(backdated)
	b.Lookup("void") // remembered
	list := &namespace.KeepList{Namespace: b.Address, Publications: []namespace.ID{b.ID(kept)}}
	closing := b.Document(2, func(d *namespace.Document) {
		d.Closed = []namespace.Closed{{Key: ci.Public(), Keep: list.ID()}}
	})
	if err := b.Catalog.Adopt(t.Context(), closing, nil); err == nil {
		t.Fatal("adopted without the kept list")
	}
	b.alive(kept, void)
	b.grows(func() { b.Adopt(closing, list) })
	b.alive(kept)
	if b.Lookup("void") != nil || len(b.Lookup("kept")) != 1 {
		t.Fatal("what is answered with does not follow the kept list")
	}
	entry := Entry("void", "")
	if has, err := b.Catalog.HasBody(t.Context(), b.Address, entry.Body); err != nil || has {
		t.Fatalf("HasBody: %v, %v", has, err)
	}
	// What was verified under the document before does not come in now.
	if _, err := b.Catalog.Add(t.Context(), late); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Add of a closed writer's: %v", err)
	}
	if known, err := b.Catalog.Knows(t.Context(), b.Address, b.ID(backdated)); err != nil || known {
		t.Fatalf("Knows: %v, %v", known, err)
	}
	b.alive(kept)
	if raw, err := b.Catalog.KeepList(t.Context(), b.Address, list.ID()); err != nil || !bytes.Equal(raw, list.Append(nil)) {
		t.Fatalf("KeepList: %q, %v", raw, err)
	}
	other := &namespace.KeepList{Namespace: b.Address}
	if err := b.Texts.PutText(t.Context(), catalog.TextKeepList, other.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Catalog.KeepList(t.Context(), b.Address, other.ID()); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("KeepList of another: %v", err)
	}
	// A later document may keep more, and less.
	b.Adopt(b.Document(3, Writers(ci)))
	b.alive(kept, void)
	b.Adopt(b.Document(4, func(d *namespace.Document) {
		d.Closed = []namespace.Closed{{Key: ci.Public(), None: true}}
	}))
	b.alive()
}

func testWithdraw(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	raw, other := b.Publication(b.Root, lists("hello")), b.Publication(b.Root, lists("other"))
	b.Add(raw)
	b.Add(other)
	b.Lookup("hello")
	late := b.Verify(raw)
	b.grows(func() {
		b.Adopt(b.Document(2, func(d *namespace.Document) {
			d.Withdrawn = []namespace.Withdrawal{{Publication: b.ID(raw), Reason: "bad build"}}
		}))
	})
	b.alive(other)
	if b.Lookup("hello") != nil {
		t.Fatal("answered with what was withdrawn")
	}
	info, err := b.Catalog.PublicationInfo(t.Context(), b.Address, b.ID(raw))
	var refusal *trust.Refusal
	if err != nil || info.Standing.State != trust.Refused || !errors.As(info.Standing.Err, &refusal) || refusal.Why != trust.Withdrawn {
		t.Fatalf("PublicationInfo: %+v, %v", info, err)
	}
	fresh := NewBench(t, new(MemKV))
	fresh.Adopt(b.Document(2, func(d *namespace.Document) {
		d.Withdrawn = []namespace.Withdrawal{{Publication: b.ID(raw), Reason: "bad build"}}
	}))
	if _, err := fresh.Catalog.Add(t.Context(), late); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Add of what is withdrawn: %v", err)
	}
	fresh.alive()
}

// testDeny: an entry goes, the rest of its publication stays.
func testDeny(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	raw := b.Publication(b.Root, func(p *namespace.Publication) {
		p.Entries = []namespace.Entry{Entry("libc", ""), Entry("hello", "", Path("libc"))}
	})
	b.Add(raw)
	hello := b.Lookup("hello")[0]
	if complete, _ := b.complete(hello); !complete {
		t.Fatal("incomplete from the start")
	}
	libc := b.Lookup("libc")[0]
	b.grows(func() {
		b.Adopt(b.Document(2, func(d *namespace.Document) {
			d.Denied = []namespace.Denial{{Path: libc.Path().Hash(), NarHash: libc.Entry().NarHash, Reason: "bad build"}}
		}))
	})
	for range 2 {
		b.alive(raw)
		if b.Lookup("libc") != nil || len(b.Lookup("hello")) != 1 {
			t.Fatal("what is answered with does not follow the denial")
		}
		if has, err := b.Catalog.HasBody(t.Context(), b.Address, libc.Entry().Body); err != nil || has {
			t.Fatalf("HasBody of what is denied: %v, %v", has, err)
		}
		if complete, missing := b.complete(b.Lookup("hello")[0]); complete || missing != Path("libc") {
			t.Fatalf("complete: %v, missing %v", complete, missing)
		}
	}
	another := b.Publication(b.Root, func(p *namespace.Publication) {
		p.Entries = []namespace.Entry{Entry("libc", "another build")}
	})
	b.Add(another)
	if found := b.Lookup("libc"); len(found) != 1 || found[0].Publication() != b.ID(another) {
		t.Fatalf("%d entries for another content of the path", len(found))
	}
}

// testPolicyChanged: what was remembered of answers is of the present policy.
func testPolicyChanged(t *testing.T, b *Bench) {
	first, second := b.Key("a"), b.Key("b")
	b.Adopt(b.Document(1, Writers(first, second)))
	one, two := b.Publication(first, lists("hello")), b.Publication(second, lists("hello"))
	b.Add(one)
	b.Add(two)
	order := func(want ...[]byte) {
		t.Helper()
		found := b.Lookup("hello")
		for i, raw := range want {
			if len(found) != len(want) || found[i].Publication() != b.ID(raw) || found[i].Seniority() != i+1 {
				t.Fatalf("%d entries, the first of %s", len(found), found[0].Signer().Name)
			}
		}
	}
	order(one, two)
	b.Adopt(b.Document(2, Writers(second, first)))
	order(two, one)
}

// testForget: everything goes but the memory of the serial.
func testForget(t *testing.T, b *Bench) {
	doc, rival := b.Document(5, about("one")), b.Document(5, about("two"))
	if doc.ID().Compare(rival.ID()) < 0 {
		doc, rival = rival, doc
	}
	b.Adopt(doc)
	raw := b.Publication(b.Root, lists("hello"))
	b.Add(raw)
	v := b.Lookup("hello")[0]
	if err := b.Catalog.MarkProven(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	b.grows(func() {
		if err := b.Catalog.Forget(t.Context(), b.Address); err != nil {
			t.Fatal(err)
		}
	})
	for range 2 {
		if _, err := b.Catalog.Lookup(t.Context(), b.Address, v.Path().Hash()); !errors.Is(err, catalog.ErrNotFound) {
			t.Fatalf("Lookup: %v", err)
		}
		if proven, err := b.Catalog.Proven(t.Context(), v); err != nil || proven {
			t.Fatalf("Proven: %v, %v", proven, err)
		}
		if n := b.Catalog.Namespaces(); len(n) != 0 {
			t.Fatalf("Namespaces: %v", n)
		}
		n := 0
		if err := b.KV.Scan(nil, nil, func(k, v []byte) (bool, error) { n++; return true, nil }); err != nil || n != 2 {
			t.Fatalf("%d keys are left, %v", n, err)
		}
		b.refuses(b.Document(4, nil), catalog.ErrRollback)
		b.refuses(rival, catalog.ErrRollback)
		b.Reopen()
	}
	if err := b.Catalog.Forget(t.Context(), b.Address); !errors.Is(err, catalog.ErrNotFound) {
		t.Fatalf("Forget again: %v", err)
	}
	b.Adopt(doc)
	b.alive()
	if st := b.Catalog.Stats(b.Address); st.Rival != rival.ID() {
		t.Fatalf("what came in between gave no alarm: %+v", st)
	}
	if proven, err := b.Catalog.Proven(t.Context(), v); err != nil || proven {
		t.Fatalf("Proven after it came back: %v, %v", proven, err)
	}
	if added := b.Add(raw); !added.New {
		t.Fatalf("added: %+v", added)
	}
	b.alive(raw)
}

// testDrop: what is dead can be taken out, and comes back if it is needed.
func testDrop(t *testing.T, b *Bench) {
	b.Adopt(b.Document(1, nil))
	short := b.Publication(b.Root, both(lists("hello", "common"), dated(b.Start, time.Hour)))
	long := b.Publication(b.Root, lists("common"))
	b.Add(short)
	b.Add(long)
	common := b.Lookup("common")[0]
	hello := b.Lookup("hello")[0]
	for _, v := range []trust.Verified{common, hello} {
		if err := b.Catalog.MarkProven(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Catalog.Drop(t.Context(), b.Address, b.ID(short)); err == nil {
		t.Fatal("dropped what is alive")
	}
	b.Clock.Add(time.Hour)
	for range 2 { // the second time there is nothing to do
		b.stays(func() {
			b.Catalog.Generation()
			if err := b.Catalog.Drop(t.Context(), b.Address, b.ID(short)); err != nil {
				t.Fatal(err)
			}
		})
	}
	for range 2 {
		if known, err := b.Catalog.Knows(t.Context(), b.Address, b.ID(short)); err != nil || known {
			t.Fatalf("Knows: %v, %v", known, err)
		}
		if b.Lookup("hello") != nil || len(b.Lookup("common")) != 1 {
			t.Fatal("Lookup does not follow")
		}
		if proven, err := b.Catalog.Proven(t.Context(), common); err != nil || !proven {
			t.Fatalf("the proof of what stays is gone: %v", err)
		}
		if proven, err := b.Catalog.Proven(t.Context(), hello); err != nil || proven {
			t.Fatalf("the proof of what went is here: %v", err)
		}
		b.Reopen()
	}
	only := NewBench(t, new(MemKV))
	only.Adopt(b.Document(1, nil))
	only.Add(long)
	if got, want := keys(t, b.KV, "e", ""), keys(t, only.KV, "e", ""); !slices.Equal(got, want) {
		t.Fatal("entries are left of what was dropped")
	}
	for _, kind := range []string{"p", "d", "i", "h", "b"} {
		if got, want := keys(t, b.KV, kind, ""), keys(t, only.KV, kind, ""); !slices.Equal(got, want) {
			t.Fatalf("keys %q are left of what was dropped", kind)
		}
	}
	// A user of what was dropped asks for it, and it comes back.
	user := b.Publication(b.Root, uses(b.ID(short)))
	if added := b.Add(user); !slices.Equal(added.Missing, []namespace.ID{b.ID(short)}) {
		t.Fatalf("missing: %v", added.Missing)
	}
	if added := b.Add(short); !added.New || added.Standing.State != trust.Live {
		t.Fatalf("added: %+v", added)
	}
	b.alive(short, long, user)
}

// testDocumentLost: without its text nothing counts, and everything does again
// when it comes back.
func testDocumentLost(t *testing.T, b *Bench) {
	doc := b.Document(2, nil)
	b.Adopt(doc)
	raw := b.Publication(b.Root, lists("hello"))
	b.Add(raw)
	verified := b.Verify(raw)
	b.Texts.Lose(catalog.TextDocument, doc.ID())
	b.Reopen()
	if _, ok := b.Catalog.Policy(b.Address); ok {
		t.Fatal("there is a policy without its document")
	}
	if b.Lookup("hello") != nil || len(b.Alive()) != 0 {
		t.Fatal("something counts without a document")
	}
	if _, err := b.Catalog.Add(t.Context(), b.other(verified)); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Add: %v", err)
	}
	b.refuses(b.Document(1, nil), catalog.ErrRollback)
	b.grows(func() { b.Adopt(doc) })
	b.alive(raw)
}

// other returns another publication that was verified once.
func (b *Bench) other(trust.Publication) trust.Publication {
	b.T.Helper()
	policy, err := trust.NewPolicy(b.Document(1, nil), nil)
	if err != nil {
		b.T.Fatal(err)
	}
	p, err := policy.VerifyPublication(b.Publication(b.Root, lists("other")))
	if err != nil {
		b.T.Fatal(err)
	}
	return p
}

// testRebuild: the index can be made from the texts alone, and damage to it is
// repaired.
func testRebuild(t *testing.T, b *Bench) {
	ci := b.Key("ci")
	b.Adopt(b.Document(1, Writers(ci)))
	kept, void := b.Publication(ci, lists("kept")), b.Publication(ci, lists("void"))
	raw := b.Publication(b.Root, func(p *namespace.Publication) {
		p.Entries = []namespace.Entry{Entry("hello", "", Path("kept"))}
		p.Uses = []namespace.ID{b.ID(kept)}
	})
	for _, raw := range [][]byte{kept, void, raw} {
		b.Add(raw)
	}
	list := &namespace.KeepList{Namespace: b.Address, Publications: []namespace.ID{b.ID(kept)}}
	b.Adopt(b.Document(2, func(d *namespace.Document) {
		d.Closed = []namespace.Closed{{Key: ci.Public(), Keep: list.ID()}}
	}), list)
	rubbish := namespace.SignNote([]byte("flurry publication 1\nrubbish\n"), b.Root).Append(nil)
	if err := b.Texts.PutText(t.Context(), catalog.TextPublication, rubbish); err != nil {
		t.Fatal(err)
	}
	rebuild := func(b *Bench) {
		t.Helper()
		err := b.Catalog.Rebuild(t.Context(), b.Texts.All(catalog.TextDocument), b.Texts.All(catalog.TextKeepList), b.Texts.All(catalog.TextPublication))
		if err != nil {
			t.Fatal(err)
		}
	}
	fresh := NewBench(t, new(MemKV))
	fresh.Texts = b.Texts
	fresh.Reopen()
	rebuild(fresh)
	rebuild(fresh)
	fresh.alive(kept, raw)
	if st := fresh.Catalog.Stats(b.Address); st.Serial != 2 || st.Paths != 2 || st.Publications != 2 {
		t.Fatalf("Stats: %+v", st)
	}
	want := fresh.Lookup("hello")[0]
	var damage []catalog.Op
	err := b.KV.Scan([]byte("e"), nil, func(k, _ []byte) (bool, error) {
		damage = append(damage, putOp(string(k), "\xff damaged"))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	apply(t, b.KV, damage...)
	b.Reopen()
	if _, err := b.Catalog.Lookup(t.Context(), b.Address, want.Path().Hash()); !errors.Is(err, catalog.ErrDamaged) {
		t.Fatalf("Lookup in a damaged index: %v", err)
	}
	rebuild(b)
	if found := b.Lookup("hello"); len(found) != 1 || found[0].Publication() != want.Publication() {
		t.Fatal("not repaired")
	}
	if err := b.Catalog.Forget(t.Context(), b.Address); err != nil {
		t.Fatal(err)
	}
	rebuild(b)
	if n := b.Catalog.Namespaces(); len(n) != 0 {
		t.Fatalf("what was forgotten came back: %v", n)
	}
}
