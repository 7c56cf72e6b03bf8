package namespace_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// texts is what has limits and is printed and parsed.
type printer interface{ Append([]byte) []byte }

// bothSides checks that what is at the limit is accepted and what is one above
// is not.
func bothSides(t *testing.T, what string, parse func([]byte) error, make func(n int) printer, limit int) {
	t.Helper()
	if err := parse(make(limit).Append(nil)); err != nil {
		t.Errorf("%s: %d: %v", what, limit, err)
	}
	if err := parse(make(limit + 1).Append(nil)); err == nil {
		t.Errorf("%s: %d is accepted, the limit is %d", what, limit+1, limit)
	}
}

// numbered returns n strings that sort as they stand.
func numbered(format string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf(format, i)
	}
	return s
}

func TestPublicationLimits(t *testing.T) {
	base := publication(t)
	for what, c := range map[string]struct {
		limit int
		set   func(p *namespace.Publication, n int)
	}{
		"life in seconds": {int(namespace.MaxLife / time.Second), func(p *namespace.Publication, n int) {
			p.Expires = p.Time.Add(time.Duration(n) * time.Second)
		}},
		"last": {namespace.MaxPinLast, func(p *namespace.Publication, n int) { p.Pins = []namespace.Pin{{Name: "a", Last: n}} }},
		"for in days": {int(namespace.MaxPinFor / (24 * time.Hour)), func(p *namespace.Publication, n int) {
			p.Pins = []namespace.Pin{{Name: "a", For: time.Duration(n) * 24 * time.Hour}}
		}},
		"name of a pin": {namespace.MaxPinName, func(p *namespace.Publication, n int) {
			p.Pins = []namespace.Pin{{Name: strings.Repeat("n", n)}}
		}},
		"unknown lines": {namespace.MaxUnknown, func(p *namespace.Publication, n int) { p.Unknown = numbered("x%d", n) }},
		"unknown lines of an entry": {namespace.MaxEntryUnknown, func(p *namespace.Publication, n int) {
			p.Entries = slices.Clone(p.Entries)
			p.Entries[0].Unknown = numbered("x%d", n)
		}},
		"externs": {namespace.MaxExterns, func(p *namespace.Publication, n int) {
			p.Externs = make([]namespace.Extern, n)
			key := secret(t, "cache.example.org-1").Public()
			for i, name := range numbered("x%d", n) {
				p.Externs[i] = namespace.Extern{Key: key, Path: path(t, name)}
			}
		}},
		"signatures": {nix.MaxSigs, func(p *namespace.Publication, n int) {
			p.Entries = slices.Clone(p.Entries)
			p.Entries[0].Sigs = make([]nix.Signature, n)
			for i := range n {
				p.Entries[0].Sigs[i] = nix.Signature{Name: "k", Sig: [64]byte{byte(i)}}
			}
		}},
		"references": {nix.MaxReferences, func(p *namespace.Publication, n int) {
			e := entry(t, secret(t, "ci"), "x0")
			e.References = nil
			for _, name := range numbered("x%d", n) {
				e.References = append(e.References, path(t, name))
			}
			p.Entries = []namespace.Entry{e}
		}},
		"NarSize": {nix.MaxNarSize, func(p *namespace.Publication, n int) {
			p.Entries = slices.Clone(p.Entries)
			p.Entries[0].NarSize = uint64(n)
		}},
	} {
		bothSides(t, what, parsePublication, func(n int) printer {
			p := *base
			c.set(&p, n)
			return &p
		}, c.limit)
	}
}

func TestEntryCountLimit(t *testing.T) {
	// Small entries, so that the size is far from its own limit.
	k := secret(t, "ci")
	bothSides(t, "entries", parsePublication, func(n int) printer {
		p := *publication(t)
		p.Entries = make([]namespace.Entry, n)
		for i, name := range numbered("x%d", n) {
			e := entry(t, k, name)
			p.Entries[i] = e
		}
		return &p
	}, namespace.MaxEntries)
}

func TestNoSignatureIsTooFew(t *testing.T) {
	p := publication(t)
	p.Entries[0].Sigs = nil
	if err := parsePublication(p.Append(nil)); err == nil || !strings.Contains(err.Error(), "0 signatures") {
		t.Errorf("have error %v", err)
	}
}

func TestDocumentLimits(t *testing.T) {
	base := document(t)
	keys := make([]nix.PublicKey, namespace.MaxWriters+1)
	for i, name := range numbered("writer%04d", len(keys)) {
		keys[i] = secret(t, name).Public()
	}
	for what, c := range map[string]struct {
		limit int
		set   func(d *namespace.Document, n int)
	}{
		"serial":        {int(base.Issued.Unix()), func(d *namespace.Document, n int) { d.Serial = uint64(n) }},
		"keep in days":  {400, func(d *namespace.Document, n int) { d.Keep = time.Duration(n) * 24 * time.Hour }},
		"reason":        {namespace.MaxReason, func(d *namespace.Document, n int) { d.Withdrawn[0].Reason = strings.Repeat("r", n) }},
		"denial":        {namespace.MaxReason, func(d *namespace.Document, n int) { d.Denied[0].Reason = strings.Repeat("r", n) }},
		"about":         {namespace.MaxAbout, func(d *namespace.Document, n int) { d.About = strings.Repeat("a", n) }},
		"access":        {namespace.MaxAccess, func(d *namespace.Document, n int) { d.Access = strings.Repeat("a", n) }},
		"seeds":         {namespace.MaxSeeds, func(d *namespace.Document, n int) { d.Seeds = numbered("/x/%d", n) }},
		"seed":          {namespace.MaxSeedLength, func(d *namespace.Document, n int) { d.Seeds = []string{"/" + strings.Repeat("s", n-1)} }},
		"unknown lines": {namespace.MaxUnknown, func(d *namespace.Document, n int) { d.Unknown = numbered("x%d", n) }},
		"other writers": {namespace.MaxUnknown, func(d *namespace.Document, n int) { d.Unknown = numbered("writer x%d", n) }},
		"both": {namespace.MaxUnknown, func(d *namespace.Document, n int) {
			d.Unknown = append(numbered("writer x%d", n/2), numbered("x%d", n-n/2)...)
		}},
		"writers": {namespace.MaxWriters, func(d *namespace.Document, n int) {
			d.Writers, d.Closed = nil, nil
			for _, k := range keys[:n] {
				d.Writers = append(d.Writers, namespace.Writer{Key: k})
			}
		}},
		"closed writers": {namespace.MaxWriters, func(d *namespace.Document, n int) {
			d.Writers, d.Closed = nil, nil
			for _, k := range keys[:n] {
				d.Closed = append(d.Closed, namespace.Closed{Key: k, None: true})
			}
		}},
		"writers and closed": {namespace.MaxWriters, func(d *namespace.Document, n int) {
			d.Writers, d.Closed = nil, nil
			for i, k := range keys[:n] {
				if i%2 == 0 {
					d.Writers = append(d.Writers, namespace.Writer{Key: k})
				} else {
					d.Closed = append(d.Closed, namespace.Closed{Key: k, None: true})
				}
			}
		}},
	} {
		bothSides(t, what, parseDocument, func(n int) printer {
			d := document(t)
			c.set(d, n)
			return d
		}, c.limit)
	}
}

// padded is a printer of n bytes: a text followed by one long unknown line.
type padded struct {
	text printer
	n    int
}

func (p padded) Append(b []byte) []byte {
	b = p.text.Append(b)
	return append(append(b, bytes.Repeat([]byte("x"), p.n-len(b)-1)...), '\n')
}

func TestSizeLimits(t *testing.T) {
	header := publication(t)
	header.Entries = nil
	e := publication(t).Entries[0]
	for what, c := range map[string]struct {
		text  printer
		parse func([]byte) error
		limit int
	}{
		"publication": {header, parsePublication, namespace.MaxPublication},
		"entry":       {&e, parseEntry, namespace.MaxPublication},
		"document":    {document(t), parseDocument, namespace.MaxDocument},
	} {
		bothSides(t, what, c.parse, func(n int) printer { return padded{c.text, n} }, c.limit)
	}
}

func TestKeepListLimit(t *testing.T) {
	k := keepList(t)
	k.Publications = nil
	room := namespace.MaxKeepList - len(k.Append(nil))
	const line = len("sha256:") + 64 + 1
	for i := range room/line + 1 {
		k.Publications = append(k.Publications, namespace.ID{byte(i >> 16), byte(i >> 8), byte(i)})
	}
	if err := parseKeepList(k.Append(nil)); err == nil {
		t.Errorf("%d publications are accepted", len(k.Publications))
	}
	k.Publications = k.Publications[:room/line]
	if err := parseKeepList(k.Append(nil)); err != nil {
		t.Errorf("%d publications: %v", len(k.Publications), err)
	}
	k.Publications = nil
	if err := parseKeepList(k.Append(nil)); err != nil {
		t.Errorf("no publications: %v", err)
	}
}

// TestBodyless: outside a publication an entry may lack its body, and then has
// no slots either.
func TestBodyless(t *testing.T) {
	e := publication(t).Entries[0]
	e.Body = [32]byte{}
	if err := e.Check(); err == nil {
		t.Error("slots without a body are accepted")
	}
	e.Slots = nil
	e.Sort()
	text := e.Append(nil)
	if strings.Contains(string(text), "Body") || strings.Contains(string(text), "Slots") {
		t.Errorf("printed %s", text)
	}
	back, err := namespace.ParseEntry(text)
	if err != nil || back.HasBody() {
		t.Errorf("%+v, %v", back, err)
	}
	p := publication(t)
	p.Entries[0] = e
	if err := parsePublication(p.Append(nil)); err == nil || !strings.Contains(err.Error(), "has no body") {
		t.Errorf("in a publication: have error %v", err)
	}
}
