package catalog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// each calls fn for the keys that begin with prefix, and writes the values that
// it returns.
func each(t *testing.T, kv catalog.KV, prefix string, fn func(k, v []byte) []byte) {
	t.Helper()
	var ops []catalog.Op
	err := kv.Scan([]byte(prefix), nil, func(k, v []byte) (bool, error) {
		if changed := fn(append([]byte(nil), k...), append([]byte(nil), v...)); changed != nil {
			ops = append(ops, catalog.Op{Kind: catalog.OpPut, Key: append([]byte(nil), k...), Value: changed})
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(ops) == 0 {
		t.Fatalf("no key %q was changed", prefix)
	}
	if err := kv.Apply(ops, false); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBits: no bit of an entry can be turned in the index so that
// something is answered with that nobody signed.
func TestFlippedBits(t *testing.T) {
	b := catalogtest.NewBench(t, new(catalogtest.MemKV))
	b.Adopt(b.Document(1, nil))
	b.Add(b.Publication(b.Root, func(p *namespace.Publication) {
		p.Entries = []namespace.Entry{catalogtest.Entry("hello", "", catalogtest.Path("libc"))}
	}))
	good := b.Lookup("hello")[0]
	var size int
	each(t, b.KV, "e", func(_, v []byte) []byte { size = len(v); return v })
	for i := range size {
		var original []byte
		each(t, b.KV, "e", func(_, v []byte) []byte {
			original = append([]byte(nil), v...)
			v[i] ^= 1
			return v
		})
		b.Reopen()
		found, err := b.Catalog.Lookup(t.Context(), b.Address, good.Path().Hash())
		if err == nil {
			// Deriver and what follows the signatures is covered by none; but of
			// the body and the slots the listing has a digest.
			same := found[0].Entry().Body == good.Entry().Body && string(found[0].Entry().Fingerprint()) == string(good.Entry().Fingerprint())
			if !same {
				t.Fatalf("byte %d: answered with %+v", i, found[0].Entry())
			}
		} else if !errors.Is(err, catalog.ErrDamaged) {
			t.Fatalf("byte %d: %v", i, err)
		}
		each(t, b.KV, "e", func(_, _ []byte) []byte { return original })
	}
	b.Reopen()
	if len(b.Lookup("hello")) != 1 {
		t.Fatal("the entry is good again, and not answered with")
	}
}

// TestDamagedTwin: when one of two entries cannot be read, the other answers.
func TestDamagedTwin(t *testing.T) {
	b := catalogtest.NewBench(t, new(catalogtest.MemKV))
	b.Adopt(b.Document(1, nil))
	at := func(d time.Duration) []byte {
		return b.Publication(b.Root, func(p *namespace.Publication) {
			p.Time = p.Time.Add(d)
			p.Entries = []namespace.Entry{catalogtest.Entry("hello", "")}
		})
	}
	older, newer := at(0), at(time.Second)
	b.Add(older)
	b.Add(newer)
	if found := b.Lookup("hello"); len(found) != 1 || found[0].Publication() != b.ID(newer) {
		t.Fatal("the newer one does not stand for both")
	}
	id := b.ID(newer)
	each(t, b.KV, "e", func(k, v []byte) []byte {
		if string(k[17:49]) != string(id[:]) {
			return nil
		}
		return v[:len(v)/2]
	})
	b.Reopen()
	if found := b.Lookup("hello"); len(found) != 1 || found[0].Publication() != b.ID(older) {
		t.Fatal("the older one does not answer for the damaged one")
	}
}

// TestDamagedIndex: what cannot be read at all keeps a catalog from opening, and
// says what to do.
func TestDamagedIndex(t *testing.T) {
	for _, kind := range []string{"c", "n", "p"} {
		b := catalogtest.NewBench(t, new(catalogtest.MemKV))
		b.Adopt(b.Document(1, nil))
		b.Add(b.Publication(b.Root, nil))
		each(t, b.KV, kind, func(_, v []byte) []byte { return append(v[:len(v)-1:len(v)-1], 0xff, 0xff) })
		if _, err := catalog.Open(t.Context(), b.KV, b.Texts, b.Clock.Now, discard()); !errors.Is(err, catalog.ErrDamaged) && !errors.Is(err, catalog.ErrNewer) {
			t.Errorf("Open with damage to %q: %v", kind, err)
		}
	}
}

// TestDocumentSwapped: a document kept under another's id is not followed.
func TestDocumentSwapped(t *testing.T) {
	b := catalogtest.NewBench(t, new(catalogtest.MemKV))
	doc, other := b.Document(1, nil), b.Document(2, nil)
	b.Adopt(doc)
	swap := swapped{Texts: b.Texts, raw: other.Raw()}
	c, err := catalog.Open(t.Context(), b.KV, swap, b.Clock.Now, discard())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Policy(b.Address); ok {
		t.Fatal("it is followed")
	}
	if _, err := c.Add(t.Context(), b.Verify(b.Publication(b.Root, nil))); !errors.Is(err, trust.ErrUntrusted) {
		t.Fatalf("Add: %v", err)
	}
}

// swapped answers every question for a text with the same one.
type swapped struct {
	*catalogtest.Texts
	raw []byte
}

func (s swapped) Text(context.Context, catalog.TextKind, namespace.ID) ([]byte, error) {
	return s.raw, nil
}
