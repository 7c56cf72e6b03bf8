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
// An unknown line that begins with "!" is an error that wraps [ErrVoid]. The
// result shares no memory with text.
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
	l := newLines(text, at)
	e := Entry{
		Path:       one(l, "StorePath: ", nix.ParseStorePath),
		NarHash:    one(l, "NarHash: ", nix.ParseNarHash),
		NarSize:    one(l, "NarSize: ", parseUint),
		References: one(l, "References: ", parseReferences),
		Deriver:    optional(l, "Deriver: ", parseDeriver),
		Sigs:       sorted(l, "Sig: ", nix.MaxSigs, nix.ParseSignature),
		Body:       optional(l, "Body: ", content.ParseBodyID),
		Slots:      optional(l, "Slots: ", parseSlots),
		Unknown:    l.unknown(entryKeywords(), ":", MaxEntryUnknown),
	}
	if l.err != nil {
		return Entry{}, scratch, l.err
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

func parseUint(v string) (uint64, error) { return parseNumber(v, math.MaxUint64) }

func parseReferences(v string) ([]nix.StorePath, error) {
	return parseList(v, nix.MaxReferences, nix.ParseBaseName)
}

func parseDeriver(v string) (string, error) { return strings.Clone(v), checkDeriver(v) }

func parseSlots(v string) ([]nix.PathHash, error) {
	return parseList(v, nix.MaxReferences+1, nix.ParsePathHash)
}

// parseList reads words separated by single spaces.
func parseList[T any](v string, limit int, parse func(string) (T, error)) ([]T, error) {
	if v == "" {
		return nil, nil
	}
	n := strings.Count(v, " ") + 1
	if n > limit {
		return nil, fmt.Errorf("a list of %d, at most %d are allowed", n, limit)
	}
	list := make([]T, 0, n)
	for word := range strings.SplitSeq(v, " ") {
		x, err := parse(word)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}
