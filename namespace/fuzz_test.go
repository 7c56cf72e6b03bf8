package namespace_test

import (
	"testing"

	"github.com/flurry-nix/flurry/namespace"
)

// identity fails the test unless what parse accepts prints as it was.
func identity[T printer](t *testing.T, text []byte, parse func([]byte) (T, error)) {
	t.Helper()
	v, err := parse(text)
	if err != nil {
		return
	}
	if again := v.Append(nil); string(again) != string(text) {
		t.Fatalf("read\n%q\nprinted\n%q", text, again)
	}
}

func entryPointer(text []byte) (*namespace.Entry, error) {
	e, err := namespace.ParseEntry(text)
	return &e, err
}

func noteText(t testing.TB, file string) []byte {
	t.Helper()
	n, err := namespace.ParseNote(readFile(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return n.Text
}

func FuzzPublication(f *testing.F) {
	f.Add(noteText(f, "testdata/publication.txt"))
	p := publication(f)
	p.Pins, p.Roots, p.Uses, p.Externs, p.Holes, p.Unknown, p.Entries = nil, nil, nil, nil, nil, nil, nil
	f.Add(p.Append(nil))
	f.Fuzz(func(t *testing.T, text []byte) { identity(t, text, namespace.ParsePublication) })
}

func FuzzEntry(f *testing.F) {
	f.Add(readFile(f, "testdata/entry.txt"))
	for _, e := range publication(f).Entries {
		f.Add(e.Append(nil))
		e.Body, e.Slots, e.Unknown = [32]byte{}, nil, nil
		f.Add(e.Append(nil))
	}
	f.Fuzz(func(t *testing.T, text []byte) { identity(t, text, entryPointer) })
}

func FuzzDocument(f *testing.F) {
	f.Add(noteText(f, "testdata/document.txt"))
	d := document(f)
	d.Serial, d.Previous, d.Access = 1, namespace.ID{}, "invited"
	d.Writers, d.Closed, d.Withdrawn, d.Denied, d.Seeds, d.About, d.Unknown = nil, nil, nil, nil, nil, "", nil
	f.Add(d.Append(nil))
	f.Fuzz(func(t *testing.T, text []byte) { identity(t, text, namespace.ParseDocument) })
}

func FuzzKeepList(f *testing.F) {
	f.Add(readFile(f, "testdata/keep.txt"))
	f.Fuzz(func(t *testing.T, text []byte) { identity(t, text, namespace.ParseKeepList) })
}

// TestEveryByte alters every byte of the vectors: each text has one spelling, so
// that what is still accepted has to print as it was read.
func TestEveryByte(t *testing.T) {
	for _, c := range []struct {
		text  []byte
		check func(t *testing.T, text []byte)
	}{
		{noteText(t, "testdata/publication.txt"), func(t *testing.T, b []byte) { identity(t, b, namespace.ParsePublication) }},
		{noteText(t, "testdata/document.txt"), func(t *testing.T, b []byte) { identity(t, b, namespace.ParseDocument) }},
		{readFile(t, "testdata/keep.txt"), func(t *testing.T, b []byte) { identity(t, b, namespace.ParseKeepList) }},
		{readFile(t, "testdata/entry.txt"), func(t *testing.T, b []byte) { identity(t, b, entryPointer) }},
	} {
		for i := range c.text {
			// A neighbour, the other case, and what is not ASCII.
			for _, bit := range []byte{0x01, 0x20, 0x80} {
				c.text[i] ^= bit
				c.check(t, c.text)
				c.text[i] ^= bit
			}
		}
	}
}
