package namespace

import (
	"fmt"
	"math"
	"strings"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
)

func entryKeywords() []string {
	return []string{"StorePath", "NarHash", "NarSize", "References", "Deriver", "Sig", "Body", "Slots"}
}

// ParseEntry reads the lines of one entry, as they stand in a publication or,
// alone, in an answer of a peer, where Body and Slots may be missing together.
// An unknown line that begins with "!" is an error that wraps [ErrVoid].
func ParseEntry(text []byte) (Entry, error) {
	if len(text) > MaxPublication {
		return Entry{}, fmt.Errorf("entry: %d bytes, at most %d are allowed", len(text), MaxPublication)
	}
	e, _, err := parseEntry(string(text), 1, nil)
	if err != nil {
		return Entry{}, fmt.Errorf("entry: %w", err)
	}
	return e, nil
}

// parseEntry reads an entry whose first line has the number at. It prints what
// it parsed into scratch, which it returns to be used again.
func parseEntry(text string, at int, scratch []byte) (Entry, []byte, error) {
	var e Entry
	l := &lines{rest: text, at: at}
	if err := e.parse(l); err != nil {
		return Entry{}, scratch, err
	}
	if err := e.Check(); err != nil {
		return Entry{}, scratch, fmt.Errorf("line %d: %s: %w", at, e.Path.Base(), err)
	}
	scratch = e.Append(scratch[:0])
	if string(scratch) != text {
		return Entry{}, scratch, fmt.Errorf("line %d: %s is not in canonical form", at, e.Path.Base())
	}
	if line, found := firstMustKnow(e.Unknown); found {
		return Entry{}, scratch, fmt.Errorf("%w: %s: %s", ErrVoid, e.Path.Base(), quote(line))
	}
	return e, scratch, nil
}

func (e *Entry) parse(l *lines) (err error) {
	for _, field := range []struct {
		read   func(prefix string, parse func(string) error) error
		prefix string
		parse  func(value string) error
	}{
		{l.one, "StorePath: ", e.parsePath},
		{l.one, "NarHash: ", e.parseNarHash},
		{l.one, "NarSize: ", e.parseNarSize},
		{l.one, "References: ", e.parseReferences},
		{l.optional, "Deriver: ", e.parseDeriver},
		{l.sorted, "Sig: ", e.parseSig},
		{l.optional, "Body: ", e.parseBody},
		{l.optional, "Slots: ", e.parseSlots},
	} {
		if err := field.read(field.prefix, field.parse); err != nil {
			return err
		}
	}
	e.Unknown, err = l.unknown(entryKeywords(), ":", MaxEntryUnknown)
	return err
}

func (e *Entry) parsePath(v string) (err error) {
	e.Path, err = nix.ParseStorePath(v)
	return err
}

func (e *Entry) parseNarHash(v string) (err error) {
	e.NarHash, err = nix.ParseNarHash(v)
	return err
}

func (e *Entry) parseNarSize(v string) (err error) {
	e.NarSize, err = parseNumber(v, math.MaxUint64)
	return err
}

func (e *Entry) parseReferences(v string) error {
	return parseList(v, &e.References, nix.MaxReferences, nix.ParseBaseName)
}

func (e *Entry) parseDeriver(v string) error {
	e.Deriver = strings.Clone(v)
	return checkDeriver(v)
}

func (e *Entry) parseSig(v string) error {
	if len(e.Sigs) == nix.MaxSigs {
		return fmt.Errorf("more than %d signatures", nix.MaxSigs)
	}
	sig, err := nix.ParseSignature(v)
	e.Sigs = append(e.Sigs, sig)
	return err
}

func (e *Entry) parseBody(v string) (err error) {
	e.Body, err = content.ParseBodyID(v)
	return err
}

func (e *Entry) parseSlots(v string) error {
	return parseList(v, &e.Slots, nix.MaxReferences+1, nix.ParsePathHash)
}

// parseList reads words separated by single spaces into out.
func parseList[T any](v string, out *[]T, limit int, parse func(string) (T, error)) error {
	if v == "" {
		return nil
	}
	n := strings.Count(v, " ") + 1
	if n > limit {
		return fmt.Errorf("a list of %d, at most %d are allowed", n, limit)
	}
	*out = make([]T, 0, n)
	for word := range strings.SplitSeq(v, " ") {
		x, err := parse(word)
		if err != nil {
			return err
		}
		*out = append(*out, x)
	}
	return nil
}
