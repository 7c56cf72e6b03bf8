package namespace

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

const publicationTitle = "flurry publication 1"

// Publication is one act of publishing. A parsed one is whatever somebody
// wrote in the right form: trust says whether it counts.
type Publication struct {
	Namespace Address
	Time      time.Time // seconds, UTC
	Expires   time.Time // after Time, at most MaxLife
	Pins      []Pin
	Roots     []nix.StorePath
	Uses      []ID // publications of the same namespace that references go to
	Externs   []Extern
	Holes     []nix.StorePath
	Unknown   []string // lines of later versions, in their order
	Entries   []Entry  // at most MaxEntries, sorted by path hash
}

// Pin names what is published, and says how much of the name's history stays.
// Exactly one of Last and For holds: For when it is not zero.
type Pin struct {
	Name string
	Last int           // how many publications stay, 0 to MaxPinLast; 0 ends the pin
	For  time.Duration // how long publications stay, whole seconds, at most MaxPinFor
}

// Extern is a reference that another cache provides, under its key.
type Extern struct {
	Key  nix.PublicKey
	Path nix.StorePath
}

func (p Pin) text() string {
	if p.For != 0 {
		return p.Name + " for=" + formatDuration(p.For)
	}
	return p.Name + " last=" + strconv.Itoa(p.Last)
}

func (x Extern) text() string { return x.Key.String() + " " + x.Path.Base() }

// Append appends the text that gets signed; it is the inverse of
// [ParsePublication]. Whatever has to be sorted is printed sorted, in whatever
// order p has it.
func (p *Publication) Append(dst []byte) []byte {
	dst = p.appendHeader(dst)
	order := make([]*Entry, len(p.Entries))
	for i := range p.Entries {
		order[i] = &p.Entries[i]
	}
	for _, e := range inOrder(order, func(a, b *Entry) int { return a.Path.Compare(b.Path) }) {
		dst = e.Append(append(dst, '\n'))
	}
	return dst
}

func (p *Publication) appendHeader(dst []byte) []byte {
	dst = appendLine(dst, publicationTitle, "")
	dst = appendLine(dst, "namespace ", p.Namespace.String())
	dst = append(appendTime(append(dst, "time "...), p.Time), '\n')
	dst = append(appendTime(append(dst, "expires "...), p.Expires), '\n')
	dst = appendSorted(dst, "pin ", p.Pins, Pin.text)
	dst = appendSorted(dst, "root ", p.Roots, nix.StorePath.Base)
	dst = appendSorted(dst, "uses ", p.Uses, ID.text)
	dst = appendSorted(dst, "extern ", p.Externs, Extern.text)
	dst = appendSorted(dst, "hole ", p.Holes, nix.StorePath.Base)
	return appendLines(dst, p.Unknown)
}

// appendSorted appends one line for each value, sorted by their texts.
func appendSorted[T any](dst []byte, prefix string, values []T, text func(T) string) []byte {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = text(v)
	}
	slices.Sort(texts)
	for _, t := range texts {
		dst = appendLine(dst, prefix, t)
	}
	return dst
}

// check returns an error unless the header's values are ones that a publication
// can have. That lines are sorted and entries sound has been seen before.
func (p *Publication) check() error {
	if life := p.Expires.Sub(p.Time); life <= 0 || life > MaxLife {
		return fmt.Errorf("expires %s is not within %s after time %s",
			p.Expires.Format(timeLayout), formatDuration(MaxLife), p.Time.Format(timeLayout))
	}
	for i := 1; i < len(p.Pins); i++ {
		if p.Pins[i].Name == p.Pins[i-1].Name {
			return fmt.Errorf("pin %s comes twice", quote(p.Pins[i].Name))
		}
	}
	byHash := func(a, b Entry) int { return a.Path.Hash().Compare(b.Path.Hash()) }
	if !rising(p.Entries, byHash) {
		return fmt.Errorf("entries are not sorted, or one comes twice")
	}
	return nil
}
