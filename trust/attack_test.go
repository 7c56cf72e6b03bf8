package trust_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// everyBit calls check with each bit of raw flipped in turn.
func everyBit(raw []byte, check func(changed []byte, at int)) {
	changed := bytes.Clone(raw)
	for i := range changed {
		for bit := range 8 {
			changed[i] ^= 1 << bit
			check(changed, i)
			changed[i] ^= 1 << bit
		}
	}
}

func TestFlipEveryBitOfPublication(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	raw := h.publication(h.ci, day(1))
	must(p.VerifyPublication(raw))(t)
	everyBit(raw, func(changed []byte, at int) {
		if _, err := p.VerifyPublication(changed); !errors.Is(err, trust.ErrUntrusted) {
			t.Errorf("byte %d of %d (%q for %q): error %v", at, len(raw), changed[at], raw[at], err)
		}
	})
}

func TestFlipEveryBitOfDocument(t *testing.T) {
	h := newHouse(t)
	h.policy()
	raw := must(trust.SignDocument(&h.document, h.root))(t)
	must(trust.VerifyDocument(h.address(), raw))(t)
	everyBit(raw, func(changed []byte, at int) {
		if _, err := trust.VerifyDocument(h.address(), changed); !errors.Is(err, trust.ErrUntrusted) {
			t.Errorf("byte %d of %d (%q for %q): error %v", at, len(raw), changed[at], raw[at], err)
		}
	})
}

// TestCutAnywhere cuts the texts short, and puts more after them.
func TestCutAnywhere(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	pub := h.publication(h.ci, day(1))
	doc := h.sign().Raw()
	for i := range pub {
		if _, err := p.VerifyPublication(pub[:i]); !errors.Is(err, trust.ErrUntrusted) {
			t.Errorf("publication cut after %d: error %v", i, err)
		}
	}
	for i := range doc {
		if _, err := trust.VerifyDocument(h.address(), doc[:i]); !errors.Is(err, trust.ErrUntrusted) {
			t.Errorf("document cut after %d: error %v", i, err)
		}
	}
	for _, more := range []string{"\n", " ", "x", "\x00"} {
		_, err := p.VerifyPublication(append(bytes.Clone(pub), more...))
		refused(t, err, trust.Malformed)
		_, err = trust.VerifyDocument(h.address(), append(bytes.Clone(doc), more...))
		refused(t, err, trust.Malformed)
	}
	_, err := p.VerifyPublication(append(bytes.Clone(pub), pub...))
	refused(t, err, trust.BadSignature)
	_, err = trust.VerifyDocument(h.address(), append(bytes.Clone(doc), doc...))
	refused(t, err, trust.BadSignature)
}

// signatureLine parts a signed form into the text and blank line, and the line.
func signatureLine(raw []byte) (text, line string) {
	i := strings.LastIndex(string(raw), "\n\n") + 2
	return string(raw[:i]), string(raw[i:])
}

func TestSignatureLines(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	raw := h.publication(h.ci, day(1))
	text, line := signatureLine(raw)
	_, byZoe := signatureLine(namespace.SignNote([]byte(text[:len(text)-1]), h.zoe).Append(nil))
	_, byStranger := signatureLine(namespace.SignNote([]byte(text[:len(text)-1]), secret(t, "stranger")).Append(nil))
	name, encoded, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, "— "), "\n"), " ")
	sig := must(base64.StdEncoding.DecodeString(encoded))(t)
	sig[67] ^= 1
	wrong := "— " + name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"

	for what, c := range map[string]struct {
		raw string
		why trust.Reason
	}{
		"none":                       {text, trust.Malformed},
		"twice":                      {text + line + line, trust.Malformed},
		"same key, wrong one second": {text + line + wrong, trust.Malformed},
		"same key, wrong one first":  {text + wrong + line, trust.Malformed},
		"another writer's second":    {text + line + byZoe, trust.Malformed},
		"a stranger's second":        {text + line + byStranger, trust.Malformed},
		"a stranger's first":         {text + byStranger + line, trust.Malformed},
		"wrong":                      {text + wrong, trust.BadSignature},
		"a stranger's":               {text + byStranger, trust.NotAWriter},
		"another writer's name":      {text + strings.Replace(line, "— ci ", "— zoe ", 1), trust.BadSignature},
		"padding bits":               {text + strings.Replace(line, encoded, otherSpelling(t, encoded), 1), trust.Malformed},
		"no padding":                 {text + strings.Replace(line, "=\n", "\n", 1), trust.Malformed},
		"a line break in it":         {text + strings.Replace(line, encoded, encoded[:40]+"\n"+encoded[40:], 1), trust.Malformed},
		"a carriage return":          {text + strings.Replace(line, "\n", "\r\n", 1), trust.Malformed},
	} {
		if _, err := p.VerifyPublication([]byte(c.raw)); err == nil {
			t.Errorf("%s: accepted", what)
		} else {
			t.Run(what, func(t *testing.T) { refused(t, err, c.why) })
		}
	}
	// The text is ci's, its entries too, and zoe may publish: still refused,
	// since who publishes signs the entries.
	_, err := p.VerifyPublication([]byte(text + byZoe))
	refused(t, err, trust.NoSignature)
}

// otherSpelling returns base64 that lenient decoders take for the same bytes.
func otherSpelling(t *testing.T, encoded string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	digits := strings.TrimRight(encoded, "=")
	last := len(digits) - 1
	other := digits[:last] + alphabet[strings.IndexByte(alphabet, digits[last])+1:][:1] + encoded[len(digits):]
	a, b := must(base64.StdEncoding.DecodeString(encoded))(t), must(base64.StdEncoding.DecodeString(other))(t)
	if !bytes.Equal(a, b) || other == encoded {
		t.Fatalf("%q is not another spelling of %q", other, encoded)
	}
	return other
}

// TestSpellingsOfKeys writes keys and signatures inside a signed text in a
// second spelling: the signer himself cannot.
func TestSpellingsOfKeys(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	text := string(h.draft(day(1), h.entry("hello", h.ci)).Append(nil))
	forgeText := func(text string) []byte { return namespace.SignNote([]byte(text), h.ci).Append(nil) }
	must(p.VerifyPublication(forgeText(text)))(t)

	_, key, _ := strings.Cut(h.address().String(), ":")
	e := h.entry("hello", h.ci)
	sig := strings.TrimPrefix(e.Sigs[0].String(), "ci:")
	for what, changed := range map[string]string{
		"namespace": strings.Replace(text, key, otherSpelling(t, key), 1),
		"Sig":       strings.Replace(text, sig, otherSpelling(t, sig), 1),
	} {
		if changed == text {
			t.Fatalf("%s: nothing changed", what)
		}
		_, err := p.VerifyPublication(forgeText(changed))
		refused(t, err, trust.Malformed)
	}
}

func TestReplayIntoAnotherNamespace(t *testing.T) {
	h := newHouse(t)
	raw := h.publication(h.ci, day(1))
	h.policy()

	// A careless neighbour lets the same key publish.
	other := newHouse(t)
	other.root = secret(t, "other-1")
	other.kept.Namespace, other.document.Namespace = other.address(), other.address()
	_, err := other.policy().VerifyPublication(raw)
	refused(t, err, trust.WrongNamespace)

	// A namespace of the same name, with another key.
	seed := bytes.NewReader(bytes.Repeat([]byte{7}, 32))
	twin := must(nix.NewSecretKey(h.root.Name(), seed))(t)
	_, err = trust.VerifyDocument(namespace.AddressOf(twin.Public()), h.sign().Raw())
	refused(t, err, trust.BadSignature)

	// A document that names another namespace than the one whose root signed it.
	d := h.document
	d.Namespace = namespace.AddressOf(twin.Public())
	_, err = trust.VerifyDocument(h.address(), namespace.SignNote(d.Append(nil), h.root).Append(nil))
	refused(t, err, trust.WrongNamespace)

	// A document, taken for a publication, and the other way round.
	p := h.policy()
	_, err = p.VerifyPublication(h.sign().Raw())
	refused(t, err, trust.Malformed)
	_, err = trust.VerifyDocument(h.address(), h.publication(h.root, day(1)))
	refused(t, err, trust.Malformed)
	_, err = trust.VerifyDocument(h.address(), h.publication(h.ci, day(1)))
	refused(t, err, trust.BadSignature)
}

// TestDocumentByWriter: nobody but the root makes documents.
func TestDocumentByWriter(t *testing.T) {
	h := newHouse(t)
	raw := namespace.SignNote(h.document.Append(nil), h.ci).Append(nil)
	_, err := trust.VerifyDocument(h.address(), raw)
	refused(t, err, trust.BadSignature)
	named := namespace.SignNote(h.document.Append(nil), h.ci)
	named.Signer = h.root.Name()
	_, err = trust.VerifyDocument(h.address(), named.Append(nil))
	refused(t, err, trust.BadSignature)
}

func TestEntriesUnderAnotherSignature(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	good := h.entry("good", h.ci)
	bulk := p.NewVerifier()
	many := make([]namespace.Entry, 100) // enough that the key is worked out
	for i := range many {
		many[i] = h.entry(fmt.Sprint("many-", i), h.ci)
	}
	must(bulk.VerifyPublication(h.signed(h.ci, day(1), many...)))(t)
	alter := func(change func(e *namespace.Entry)) []byte {
		e := h.entry("bad", h.ci)
		change(&e)
		return forge(h.draft(day(1), good, e), h.ci)
	}
	for what, c := range map[string]struct {
		raw []byte
		why trust.Reason
	}{
		"another writer": {forge(h.draft(day(1), good, h.entry("bad", h.zoe)), h.ci), trust.NoSignature},
		"the root":       {forge(h.draft(day(1), good, h.entry("bad", h.root)), h.ci), trust.NoSignature},
		"another entry": {alter(func(e *namespace.Entry) {
			e.Sigs = good.Sigs
		}), trust.BadSignature},
		"another hash":      {alter(func(e *namespace.Entry) { e.NarHash[0] ^= 1 }), trust.BadSignature},
		"another size":      {alter(func(e *namespace.Entry) { e.NarSize++ }), trust.BadSignature},
		"fewer references":  {alter(func(e *namespace.Entry) { e.References = nil }), trust.BadSignature},
		"more references":   {alter(func(e *namespace.Entry) { e.References = append(e.References, good.Path) }), trust.BadSignature},
		"another path":      {alter(func(e *namespace.Entry) { e.Path, e.References, e.Slots = path(t, "other"), nil, nil }), trust.BadSignature},
		"another name":      {alter(func(e *namespace.Entry) { e.Sigs[0].Name = "zoe" }), trust.NoSignature},
		"a slot of nothing": {alter(func(e *namespace.Entry) { e.Slots = []nix.PathHash{good.Path.Hash()} }), trust.Malformed},
		"no body":           {alter(func(e *namespace.Entry) { e.Body, e.Slots = [32]byte{}, nil }), trust.Malformed},
		"no signature":      {alter(func(e *namespace.Entry) { e.Sigs = nil }), trust.Malformed},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := p.VerifyPublication(c.raw)
			refused(t, err, c.why)
			_, err = bulk.VerifyPublication(c.raw)
			refused(t, err, c.why)
		})
	}
}

// TestTwoSignaturesOfOneName: a wrong signature beside the right one harms
// nobody, and is not passed on.
func TestTwoSignaturesOfOneName(t *testing.T) {
	h := newHouse(t)
	for _, b := range []byte{0x00, 0xff} { // sorted before and after the right one
		e := h.entry("hello", h.ci)
		right := e.Sigs[0]
		wrong := nix.Signature{Name: "ci", Sig: [64]byte(bytes.Repeat([]byte{b}, 64))}
		e.Sigs = append(e.Sigs, wrong)
		e.Sort()
		v := must(h.policy().VerifyPublication(forge(h.draft(day(1), e), h.ci)))(t)
		info := must(nix.ParseNarInfo(v.Entries()[0].NarInfo("nar/x.nar")))(t)
		if len(info.Sigs) != 1 || info.Sigs[0] != right {
			t.Errorf("%x: narinfo has %v", b, info.Sigs)
		}
	}
}

func TestTooLarge(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	_, err := p.VerifyPublication(make([]byte, namespace.MaxPublication+1))
	refused(t, err, trust.TooLarge)
	_, err = p.VerifyPublication(make([]byte, namespace.MaxPublication))
	refused(t, err, trust.Malformed)
	_, err = trust.VerifyDocument(h.address(), make([]byte, namespace.MaxDocument+1))
	refused(t, err, trust.TooLarge)
	_, err = trust.VerifyDocument(h.address(), make([]byte, namespace.MaxDocument))
	refused(t, err, trust.Malformed)

	// A document whose text fits, and whose signed form does not.
	d := h.document
	signature := len(namespace.SignNote(nil, h.root).Append(nil))
	room := namespace.MaxDocument - signature - len(d.Append(nil)) - 1
	d.Unknown = []string{strings.Repeat("x", room)}
	must(trust.SignDocument(&d, h.root))(t)
	d.Unknown[0] += "x"
	_, err = trust.SignDocument(&d, h.root)
	refused(t, err, trust.TooLarge)

	draft := h.draft(day(1), h.entry("hello", h.root))
	room = namespace.MaxPublication - signature - len(draft.Append(nil)) - 1
	draft.Unknown = []string{strings.Repeat("x", room)}
	must(p.VerifyPublication(must(trust.SignPublication(draft, h.root))(t)))(t)
	draft.Unknown[0] += "x"
	_, err = trust.SignPublication(draft, h.root)
	refused(t, err, trust.TooLarge)
	_, err = p.VerifyPublication(forge(draft, h.root))
	refused(t, err, trust.TooLarge)
}

func TestVoid(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	header := h.draft(day(1), h.entry("hello", h.ci))
	header.Unknown = []string{"weather snow", "!embargo"}
	_, err := p.VerifyPublication(forge(header, h.ci))
	refused(t, err, trust.Void)
	if !errors.Is(err, namespace.ErrVoid) {
		t.Errorf("%v does not wrap ErrVoid", err)
	}
	e := h.entry("hello", h.ci)
	e.Unknown = []string{"!Sandbox: off"}
	_, err = p.VerifyPublication(forge(h.draft(day(1), e), h.ci))
	refused(t, err, trust.Void)
	_, err = trust.SignPublication(header, h.ci)
	refused(t, err, trust.Malformed)

	header.Unknown = header.Unknown[:1]
	must(p.VerifyPublication(forge(header, h.ci)))(t)
}

// TestLaterChangesOfTheCaller: what was verified stays what it was.
func TestLaterChangesOfTheCaller(t *testing.T) {
	h := newHouse(t)
	h.kept.Publications = []namespace.ID{{3}, {2}, {1}}
	p := h.policy()
	h.kept.Publications[0] = namespace.ID{9}
	for _, id := range []namespace.ID{{1}, {2}, {3}} {
		if s := p.Judge(trust.Facts{ID: id, Signer: h.old2.Public(), Time: day(0), Expires: day(2)}, day(1)); s.State != trust.Live {
			t.Errorf("publication %x: %+v", id[0], s)
		}
	}
	raw := h.publication(h.ci, day(1))
	want := bytes.Clone(raw)
	v := must(p.VerifyPublication(raw))(t)
	clear(raw)
	if !bytes.Equal(v.Raw(), want) {
		t.Error("Raw changes with what was given")
	}
	doc := bytes.Clone(h.sign().Raw())
	want = bytes.Clone(doc)
	d := must(trust.VerifyDocument(h.address(), doc))(t)
	clear(doc)
	if !bytes.Equal(d.Raw(), want) {
		t.Error("the document's Raw changes with what was given")
	}
}

func TestZeroValues(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	if !(trust.Verified{}).IsZero() || !(trust.Publication{}).IsZero() || !(trust.Document{}).IsZero() {
		t.Error("a zero value does not say so")
	}
	v, err := p.Readmit(trust.Verified{})
	refused(t, err, trust.NoSignature)
	if !v.IsZero() {
		t.Error("nothing was readmitted as something")
	}
	if s := (trust.Publication{}).Standing(p, day(1)); s.State != trust.Refused {
		t.Errorf("the zero publication: %+v", s)
	}
	if _, err := trust.NewPolicy(trust.Document{}, nil); !errors.Is(err, trust.ErrUntrusted) {
		t.Errorf("a policy without a document: %v", err)
	}
	v, err = p.Recall(&namespace.Entry{}, namespace.ID{1}, h.ci.Public())
	refused(t, err, trust.Malformed)
	if !v.IsZero() {
		t.Error("a refused entry is verified")
	}
	v, err = (&trust.Policy{}).Recall(&namespace.Entry{Path: path(t, "x")}, namespace.ID{}, nix.PublicKey{})
	refused(t, err, trust.NotAWriter)
	if !v.IsZero() {
		t.Error("the zero policy verifies")
	}
	_, err = (&trust.Policy{}).VerifyPublication(h.publication(h.ci, day(1)))
	refused(t, err, trust.NotAWriter)
	if (trust.Standing{}).State == trust.Live {
		t.Error("the zero standing is live")
	}
}
