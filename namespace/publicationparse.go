package namespace

import (
	"fmt"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

func publicationKeywords() []string {
	return []string{"flurry", "namespace", "time", "expires", "pin", "root", "uses", "extern", "hole"}
}

// ParsePublication reads the signed text of a publication, [Note].Text. It is
// canonical, or an error. An unknown line that begins with "!" is an error that
// wraps [ErrVoid]. The result shares no memory with text.
func ParsePublication(text []byte) (*Publication, error) {
	if len(text) > MaxPublication {
		return nil, fmt.Errorf("publication: %d bytes, at most %d are allowed", len(text), MaxPublication)
	}
	p, err := parsePublication(string(text))
	if err != nil {
		return nil, fmt.Errorf("publication: %w", err)
	}
	return p, nil
}

func parsePublication(text string) (*Publication, error) {
	p := new(Publication)
	header, rest := cutBlock(text)
	l := &lines{rest: header, at: 1}
	if err := p.parseHeader(l); err != nil {
		return nil, err
	}
	if string(p.appendHeader(nil)) != header {
		return nil, fmt.Errorf("the header is not in canonical form")
	}
	if line, found := firstMustKnow(p.Unknown); found {
		return nil, fmt.Errorf("%w: %s", ErrVoid, quote(line))
	}
	if err := p.parseEntries(rest, l.at); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// cutBlock returns the lines before the first empty one, and what follows that.
// rest begins with the empty line, so that a text which ends in one is not
// taken for a text without.
func cutBlock(text string) (block, rest string) {
	i := strings.Index(text, "\n\n")
	if i < 0 {
		return text, ""
	}
	return text[:i+1], text[i+1:]
}

func (p *Publication) parseEntries(rest string, at int) error {
	if rest == "" {
		return nil
	}
	count := 1 + strings.Count(rest, "\n\n")
	if count > MaxEntries {
		return fmt.Errorf("more than %d entries", MaxEntries)
	}
	p.Entries = make([]Entry, 0, count)
	var scratch []byte
	for rest != "" {
		var block string
		block, rest = cutBlock(rest[1:])
		var e Entry
		var err error
		if e, scratch, err = parseEntry(block, at+1, scratch); err != nil {
			return err
		}
		if !e.HasBody() {
			return fmt.Errorf("line %d: %s has no body", at+1, e.Path.Base())
		}
		at += 1 + strings.Count(block, "\n")
		p.Entries = append(p.Entries, e)
	}
	return nil
}

func (p *Publication) parseHeader(l *lines) (err error) {
	for _, field := range []struct {
		read   func(prefix string, parse func(string) error) error
		prefix string
		parse  func(value string) error
	}{
		{l.one, publicationTitle, nothing},
		{l.one, "namespace ", p.parseNamespace},
		{l.one, "time ", func(v string) (err error) { p.Time, err = parseTime(v); return err }},
		{l.one, "expires ", func(v string) (err error) { p.Expires, err = parseTime(v); return err }},
		{l.sorted, "pin ", appendTo(&p.Pins, parsePin)},
		{l.sorted, "root ", appendTo(&p.Roots, nix.ParseBaseName)},
		{l.sorted, "uses ", appendTo(&p.Uses, parseDigest)},
		{l.sorted, "extern ", p.externParser()},
		{l.sorted, "hole ", appendTo(&p.Holes, nix.ParseBaseName)},
	} {
		if err := field.read(field.prefix, field.parse); err != nil {
			return err
		}
	}
	p.Unknown, err = l.unknown(publicationKeywords(), " ", MaxUnknown)
	return err
}

func (p *Publication) parseNamespace(v string) (err error) {
	p.Namespace, err = parsePublisher(v)
	return err
}

// externParser returns a parser for extern lines. They are sorted, so that those
// of one key come together, and the key is parsed once.
func (p *Publication) externParser() func(v string) error {
	var last string
	var key nix.PublicKey
	return func(v string) error {
		if len(p.Externs) == MaxExterns {
			return fmt.Errorf("more than %d extern lines", MaxExterns)
		}
		name, base, _ := strings.Cut(v, " ")
		if name != last {
			var err error
			if key, err = nix.ParsePublicKey(strings.Clone(name)); err != nil {
				return err
			}
			last = name
		}
		path, err := nix.ParseBaseName(base)
		p.Externs = append(p.Externs, Extern{Key: key, Path: path})
		return err
	}
}

// appendTo returns a parser that appends what parse returns to out.
func appendTo[T any](out *[]T, parse func(string) (T, error)) func(v string) error {
	return func(v string) error {
		x, err := parse(v)
		*out = append(*out, x)
		return err
	}
}
