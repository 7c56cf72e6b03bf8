package namespace_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// verifier returns sumdb's view of a key.
func verifier(t testing.TB, k nix.PublicKey) note.Verifier {
	t.Helper()
	text, err := note.NewEd25519VerifierKey(k.Name, k.Key[:])
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNoteOpensInSumdb(t *testing.T) {
	k := secret(t, "acme-1")
	for _, text := range []string{"flurry\n", "a\n\nb\n", "\n", "\n\n", "für\n"} {
		raw := namespace.SignNote([]byte(text), k).Append(nil)
		opened, err := note.Open(raw, note.VerifierList(verifier(t, k.Public())))
		if err != nil || opened.Text != text || len(opened.Sigs) != 1 {
			t.Errorf("%q: opened as %+v, %v", text, opened, err)
		}
		n, err := namespace.ParseNote(raw)
		if err != nil || string(n.Text) != text || !n.SignedBy(k.Public()) {
			t.Errorf("%q: parsed as %+v, %v", text, n, err)
		}
	}
}

// TestNoteFromSumdb reads what sumdb signed, so that two mistakes here cannot
// cancel out.
func TestNoteFromSumdb(t *testing.T) {
	skey, vkey, err := note.GenerateKey(strings.NewReader(strings.Repeat("seed", 8)), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := note.Sign(&note.Note{Text: "words\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	n, err := namespace.ParseNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.SplitN(vkey, "+", 3)[2])
	if err != nil {
		t.Fatal(err)
	}
	public := nix.PublicKey{Name: "example.org", Key: [32]byte(key[1:])}
	if !n.SignedBy(public) {
		t.Error("a note signed by sumdb is not signed by its key")
	}
	if string(n.Append(nil)) != string(raw) {
		t.Error("a note signed by sumdb prints otherwise")
	}
}

func TestNoteSignedBy(t *testing.T) {
	k := secret(t, "acme-1")
	good := namespace.SignNote([]byte("words\n"), k)
	if !good.SignedBy(k.Public()) {
		t.Fatal("the good note is not signed")
	}
	otherKey := secret(t, "other").Public()
	otherKey.Name = "acme-1"
	otherName := k.Public()
	otherName.Name = "other"
	for name, public := range map[string]nix.PublicKey{"another key of the name": otherKey, "another name of the key": otherName, "no key": {}} {
		if good.SignedBy(public) {
			t.Errorf("signed by %s", name)
		}
	}
	for name, change := range map[string]func(*namespace.Note){
		"text":      func(n *namespace.Note) { n.Text = []byte("Words\n") },
		"signer":    func(n *namespace.Note) { n.Signer = "acme-2" },
		"key hash":  func(n *namespace.Note) { n.KeyHash[3] ^= 1 },
		"signature": func(n *namespace.Note) { n.Sig[63] ^= 1 },
	} {
		bad := good
		change(&bad)
		if bad.SignedBy(k.Public()) {
			t.Errorf("another %s counts as signed", name)
		}
	}
}

// TestNoteRejected gives notes that note.Open accepts, or might, and that would
// give one text several forms.
func TestNoteRejected(t *testing.T) {
	k, foreign := secret(t, "acme-1"), secret(t, "foreign")
	const text = "words\n"
	raw := string(namespace.SignNote([]byte(text), k).Append(nil))
	line := strings.TrimPrefix(raw, text+"\n")
	foreignLine := strings.TrimPrefix(string(namespace.SignNote([]byte(text), foreign).Append(nil)), text+"\n")
	name, encoded, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "— "), "\n"), " ")
	if name != "acme-1" || len(encoded) != 92 || !strings.HasSuffix(encoded, "=") {
		t.Fatalf("signature line %q", line)
	}
	sig := func(s string) string { return text + "\n— acme-1 " + s + "\n" }
	known := note.VerifierList(verifier(t, k.Public()))
	sumdbAccepts := 0
	for what, bad := range map[string]string{
		"empty":                        "",
		"no signature":                 text,
		"no blank line":                text + line,
		"a blank line alone":           text + "\n",
		"no newline at the end":        raw[:len(raw)-1],
		"a blank line after":           raw + "\n",
		"a text without end":           "words\n" + line,
		"a foreign line after":         raw + foreignLine,
		"a foreign line before":        text + "\n" + foreignLine + line,
		"the line twice":               raw + line,
		"a second line, other bytes":   raw + strings.Replace(line, encoded[80:], "AAAAAAAAAAA=", 1),
		"words after":                  raw + "words\n",
		"a hyphen":                     strings.Replace(raw, "—", "-", 1),
		"an en dash":                   strings.Replace(raw, "—", "–", 1),
		"two spaces before the name":   strings.Replace(raw, "— ", "—  ", 1),
		"two spaces before the base64": strings.Replace(raw, "acme-1 ", "acme-1  ", 1),
		"a tab":                        strings.Replace(raw, "acme-1 ", "acme-1\t", 1),
		"a name with a plus":           strings.Replace(raw, "acme-1 ", "acme+1 ", 1),
		"a name with an umlaut":        strings.Replace(raw, "acme-1 ", "äcme-1 ", 1),
		"a name with an at sign":       strings.Replace(raw, "acme-1 ", "acme@1 ", 1),
		"no name":                      strings.Replace(raw, "acme-1 ", " ", 1),
		"a long name":                  strings.Replace(raw, "acme-1 ", strings.Repeat("a", 65)+" ", 1),
		"no padding":                   sig(encoded[:91]),
		"padding twice":                sig(encoded + "="),
		"padding bits":                 sig(encoded[:90] + paddingBits(encoded[90]) + "="),
		"a carriage return":            sig(encoded[:91] + "\r="),
		"a space at the end":           sig(encoded + " "),
		"url base64":                   sig(strings.Repeat("_", 91) + "="),
		"a byte more":                  sig(strings.Repeat("A", 92)),
		"a byte less":                  sig(strings.Repeat("A", 90) + "=="),
		"four bytes less":              sig(encoded[:88]),
		"a comment":                    sig(encoded + " comment"),
		"a control character":          string(namespace.SignNote([]byte("wor\x1bds\n"), k).Append(nil)),
		"a C1 control character":       string(namespace.SignNote([]byte("wor\u009bds\n"), k).Append(nil)),
		"a DEL":                        string(namespace.SignNote([]byte("wor\x7fds\n"), k).Append(nil)),
		"no UTF-8":                     string(namespace.SignNote([]byte("wor\xc0ds\n"), k).Append(nil)),
		"half a character":             string(namespace.SignNote([]byte("words\xe2\x80\n"), k).Append(nil)),
	} {
		if n, err := namespace.ParseNote([]byte(bad)); err == nil {
			t.Errorf("%s: parsed as %+v", what, n)
		}
		if _, err := namespace.TextID([]byte(bad)); err == nil {
			t.Errorf("%s: has an id", what)
		}
		if _, err := note.Open([]byte(bad), known); err == nil {
			sumdbAccepts++
		}
	}
	if sumdbAccepts < 5 {
		t.Errorf("note.Open accepts %d of these; the test has lost its teeth", sumdbAccepts)
	}
}

// paddingBits returns the base64 character after c, which decodes to the same
// bytes where c is followed by padding: its last two bits count for nothing.
func paddingBits(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

func TestNoteLimit(t *testing.T) {
	k := secret(t, "acme-1")
	overhead := len(namespace.SignNote(nil, k).Append(nil))
	text := []byte(strings.Repeat("x", namespace.MaxNote-overhead-1) + "\n")
	if raw := namespace.SignNote(text, k).Append(nil); len(raw) != namespace.MaxNote {
		t.Fatalf("%d bytes", len(raw))
	} else if _, err := namespace.ParseNote(raw); err != nil {
		t.Errorf("the largest note: %v", err)
	}
	if _, err := namespace.ParseNote(namespace.SignNote(append([]byte("x"), text...), k).Append(nil)); err == nil {
		t.Error("a larger note is accepted")
	}
	name := strings.Repeat("n", namespace.MaxNameLength)
	if _, err := namespace.ParseNote(namespace.SignNote([]byte("x\n"), secret(t, name)).Append(nil)); err != nil {
		t.Errorf("the longest name: %v", err)
	}
}

// FuzzNote compares with sumdb: what is accepted here is accepted there, with
// the same meaning, and prints as it was.
func FuzzNote(f *testing.F) {
	k := secret(f, "acme-1")
	v := verifier(f, k.Public())
	f.Add([]byte("words\n\n— acme-1 AAAA\n"))
	f.Add(namespace.SignNote([]byte("a\n\nb\n"), k).Append(nil))
	f.Add(namespace.SignNote([]byte("für\n"), secret(f, "other")).Append(nil))
	f.Add(readFile(f, "testdata/publication.txt"))
	f.Add(readFile(f, "testdata/document.txt"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := namespace.ParseNote(raw)
		if err != nil {
			return
		}
		if again := n.Append(nil); string(again) != string(raw) {
			t.Fatalf("printed %q, read %q", again, raw)
		}
		checkAgainstSumdb(t, n, raw, k.Public(), v)

		// Whatever text was read can be signed, here and there.
		signed := namespace.SignNote(n.Text, k)
		checkAgainstSumdb(t, signed, signed.Append(nil), k.Public(), v)
		if !signed.SignedBy(k.Public()) || signed.ID() != n.ID() {
			t.Fatalf("signed again: %+v", signed)
		}
	})
}

func checkAgainstSumdb(t *testing.T, n namespace.Note, raw []byte, k nix.PublicKey, v note.Verifier) {
	t.Helper()
	opened, err := note.Open(raw, note.VerifierList(v))
	if n.SignedBy(k) {
		if err != nil || opened.Text != string(n.Text) || len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 0 {
			t.Fatalf("signed here, there %+v, %v", opened, err)
		}
		return
	}
	if n.Signer == k.Name && n.KeyHash == [4]byte{byte(v.KeyHash() >> 24), byte(v.KeyHash() >> 16), byte(v.KeyHash() >> 8), byte(v.KeyHash())} {
		var invalid *note.InvalidSignatureError
		if !errors.As(err, &invalid) {
			t.Fatalf("badly signed here, there %+v, %v", opened, err)
		}
		return
	}
	var unverified *note.UnverifiedNoteError
	if !errors.As(err, &unverified) {
		t.Fatalf("signed by somebody else here, there %+v, %v", opened, err)
	}
	sigs := unverified.Note.UnverifiedSigs
	if unverified.Note.Text != string(n.Text) || len(sigs) != 1 || sigs[0].Name != n.Signer || fmt.Sprintf("%08x", sigs[0].Hash) != fmt.Sprintf("%x", n.KeyHash) {
		t.Fatalf("here %+v, there %+v", n, unverified.Note)
	}
}
