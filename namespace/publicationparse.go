package namespace

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// ErrVoid is wrapped by the error for a publication with an unknown line that
// begins with "!": whoever wrote it says that a reader who does not know the
// line must not use the publication.
var ErrVoid = errors.New("publication is void for this version")

// noLimit is for lines whose number the size of the text bounds well enough.
const noLimit = math.MaxInt

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
	header, rest := cutBlock(text)
	l := newLines(header, 1)
	p := parsePublicationHeader(l)
	if l.err != nil {
		return nil, l.err
	}
	if string(p.appendHeader(nil)) != header {
		return nil, fmt.Errorf("the header is not in canonical form")
	}
	if line, found := firstMustKnow(p.Unknown); found {
		return nil, fmt.Errorf("%w: %s", ErrVoid, quote(line))
	}
	var err error
	if p.Entries, err = parseEntries(rest, l.at); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

func parsePublicationHeader(l *lines) *Publication {
	l.title(publicationTitle)
	return &Publication{
		Namespace: one(l, "namespace ", parsePublisher),
		Time:      one(l, "time ", parseTime),
		Expires:   one(l, "expires ", parseTime),
		Pins:      sorted(l, "pin ", noLimit, parsePin),
		Roots:     sorted(l, "root ", noLimit, nix.ParseBaseName),
		Uses:      sorted(l, "uses ", noLimit, parseDigest),
		Externs:   sorted(l, "extern ", MaxExterns, externParser()),
		Holes:     sorted(l, "hole ", noLimit, nix.ParseBaseName),
		Unknown:   l.unknown(publicationKeywords(), " ", MaxUnknown),
	}
}

// cutBlock returns the lines before the first empty one, and what follows them:
// nothing, or text that begins with the empty line.
func cutBlock(text string) (block, rest string) {
	i := strings.Index(text, "\n\n")
	if i < 0 {
		return text, ""
	}
	return text[:i+1], text[i+1:]
}

// parseEntries reads blocks, each after an empty line, the first of which has
// the number at.
func parseEntries(text string, at int) ([]Entry, error) {
	if text == "" {
		return nil, nil
	}
	count := 1 + strings.Count(text, "\n\n")
	if count > MaxEntries {
		return nil, fmt.Errorf("%d entries, at most %d are allowed", count, MaxEntries)
	}
	entries := make([]Entry, 0, count)
	var scratch []byte
	for text != "" {
		var block string
		block, text = cutBlock(text[1:])
		at++
		e, buf, err := parseEntry(block, at, scratch)
		if err != nil {
			return nil, err
		}
		if !e.HasBody() {
			return nil, fmt.Errorf("line %d: %s has no body", at, e.Path.Base())
		}
		scratch = buf
		at += strings.Count(block, "\n")
		entries = append(entries, e)
	}
	return entries, nil
}

func parsePin(v string) (p Pin, err error) {
	name, keep, _ := strings.Cut(v, " ")
	if err := checkPrintable(name, MaxPinName); err != nil {
		return Pin{}, fmt.Errorf("pin: %w", err)
	}
	p.Name = strings.Clone(name)
	if last, ok := strings.CutPrefix(keep, "last="); ok {
		n, err := parseNumber(last, MaxPinLast)
		p.Last = int(n)
		return p, err
	}
	if span, ok := strings.CutPrefix(keep, "for="); ok {
		p.For, err = parseDuration(span, MaxPinFor)
		return p, err
	}
	return Pin{}, fmt.Errorf("pin: %s is neither last=N nor for=DURATION", quote(keep))
}

// externParser returns a parser for extern lines. They are sorted, so that those
// of one key come together, and each key is parsed once.
func externParser() func(v string) (Extern, error) {
	var last string
	var key nix.PublicKey
	return func(v string) (x Extern, err error) {
		name, base, _ := strings.Cut(v, " ")
		if name != last {
			if key, err = nix.ParsePublicKey(strings.Clone(name)); err != nil {
				return Extern{}, err
			}
			last = name
		}
		x.Key = key
		x.Path, err = nix.ParseBaseName(base)
		return x, err
	}
}
