package namespace_test

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

var update = flag.Bool("update", false, "write the vectors in testdata instead of comparing with them")

// golden compares have with a file of testdata. These files belong to
// docs/PROTOCOL.md: they change with the version of a format, and at no other
// time.
func golden(t *testing.T, name string, have []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Errorf("%s: have\n%s\nwant\n%s", file, have, want)
	}
}

// goldenSecret returns a key of testdata/keys.txt.
func goldenSecret(t *testing.T, name string) nix.SecretKey {
	t.Helper()
	text, err := os.ReadFile("testdata/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if k, err := nix.ParseSecretKey(strings.TrimSuffix(line, "\n")); err == nil && k.Name() == name {
			return k
		}
	}
	t.Fatalf("testdata/keys.txt has no key %s", name)
	return nix.SecretKey{}
}

func TestGoldenTexts(t *testing.T) {
	root, writer := goldenSecret(t, "acme-1"), goldenSecret(t, "acme-ci-1")
	pub := namespace.SignNote(publication(t).Append(nil), writer)
	doc := namespace.SignNote(document(t).Append(nil), root)
	keep := keepList(t)
	e := publication(t).Entries[0]

	golden(t, "publication.txt", pub.Append(nil))
	golden(t, "document.txt", doc.Append(nil))
	golden(t, "keep.txt", keep.Append(nil))
	seed := namespace.SeedName(seedSecret("seed").Public().(ed25519.PublicKey))
	signer, err := nix.NewSecretKey(seed, bytes.NewReader(seedSecret("seed").Seed()))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "receipt.txt", namespace.SignNote(receipt(t).Append(nil), signer).Append(nil))
	golden(t, "entry.txt", e.Append(nil))
	golden(t, "fingerprint.txt", e.Fingerprint())
	golden(t, "ids.txt", fmt.Appendf(nil, "namespace %x\npublication %s\ndocument %s\nkeep %s\n",
		address(t, "acme-1").Hash(), pub.ID(), doc.ID(), keep.ID()))
}

// TestGoldenRead takes the way of a reader who has nothing but the files.
func TestGoldenRead(t *testing.T) {
	ids := string(readFile(t, "testdata/ids.txt"))
	for _, c := range []struct {
		file, signer string
		parse        func(text []byte) (printed []byte, err error)
	}{
		{"publication", "acme-ci-1", func(text []byte) ([]byte, error) {
			p, err := namespace.ParsePublication(text)
			if err != nil {
				return nil, err
			}
			return p.Append(nil), nil
		}},
		{"document", "acme-1", func(text []byte) ([]byte, error) {
			d, err := namespace.ParseDocument(text)
			if err != nil {
				return nil, err
			}
			return d.Append(nil), nil
		}},
	} {
		raw := readFile(t, "testdata/"+c.file+".txt")
		n, err := namespace.ParseNote(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !n.SignedBy(goldenSecret(t, c.signer).Public()) {
			t.Errorf("%s is not signed by %s", c.file, c.signer)
		}
		if string(n.Append(nil)) != string(raw) {
			t.Errorf("%s: the note prints otherwise", c.file)
		}
		printed, err := c.parse(n.Text)
		if err != nil || string(printed) != string(n.Text) {
			t.Errorf("%s: %v; printed\n%s", c.file, err, printed)
		}
		id, err := namespace.TextID(raw)
		if err != nil || id != n.ID() || !strings.Contains(ids, c.file+" "+id.String()+"\n") {
			t.Errorf("%s: id %s, %v; ids.txt has\n%s", c.file, id, err, ids)
		}
	}
	raw := readFile(t, "testdata/keep.txt")
	k, err := namespace.ParseKeepList(raw)
	if err != nil {
		t.Fatal(err)
	}
	id, err := namespace.TextID(raw)
	if err != nil || id != k.ID() || !strings.Contains(ids, "keep "+id.String()+"\n") {
		t.Errorf("kept list: id %s, %v; ids.txt has\n%s", id, err, ids)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
