package namespace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

const (
	documentTitle = "flurry namespace 1"
	accessPublic  = "public"
)

// Document is the one mutable thing of a namespace: who may publish, and what
// no longer counts. A parsed one is whatever somebody wrote in the right form:
// trust says whether the root did.
type Document struct {
	Namespace Address
	Serial    uint64 // 1 to Issued in seconds since 1970
	Issued    time.Time
	Expires   time.Time     // after Issued
	Previous  ID            // the document before; zero exactly when Serial is 1
	Keep      time.Duration // how long a publication lives unless it says otherwise; whole seconds, at most MaxLife
	Writers   []Writer      // in order of seniority
	Closed    []Closed      // sorted by their texts
	Withdrawn []Withdrawal  // sorted by publication
	Denied    []Denial      // sorted by path and NarHash
	Seeds     []string      // multiaddrs, in order of preference
	About     string        // for people; may be empty
	Access    string        // "public"; anything else suspends the namespace
	Unknown   []string      // lines of later versions; other kinds of writer first
}

// Writer is a key that may publish.
type Writer struct {
	Key   nix.PublicKey
	Until time.Time // no publication may be dated later; zero: never ends
}

// Closed is a writer whose publications are void but for a kept list.
type Closed struct {
	Key  nix.PublicKey
	Keep ID   // the kept list
	None bool // nothing stays; Keep is zero
}

// Withdrawal takes one publication back.
type Withdrawal struct {
	Publication ID
	Reason      string
}

// Denial takes one content of one path back, whoever publishes it.
type Denial struct {
	Path    nix.PathHash
	NarHash nix.NarHash
	Reason  string
}

// Suspended returns the line that suspends the namespace, if there is one: an
// access that this version does not know, or an unknown line that begins with
// "!". Nothing in a suspended namespace counts until another document replaces
// this one.
func (d *Document) Suspended() (line string, suspended bool) {
	if d.Access != accessPublic {
		return "!access " + d.Access, true
	}
	return firstMustKnow(d.Unknown)
}

func (w Writer) text() string {
	until := "never"
	if !w.Until.IsZero() {
		until = string(appendTime(nil, w.Until))
	}
	return "key " + w.Key.String() + " until " + until
}

func (c Closed) text() string {
	keep := "none"
	if !c.None {
		keep = c.Keep.text()
	}
	return c.Key.String() + " keep " + keep
}

func (w Withdrawal) text() string { return w.Publication.text() + " " + w.Reason }

func (d Denial) text() string {
	return d.Path.String() + " " + d.NarHash.String() + " " + d.Reason
}

// Append appends the text that gets signed; it is the inverse of
// [ParseDocument]. Closed writers, withdrawals and denials are printed sorted,
// in whatever order d has them.
func (d *Document) Append(dst []byte) []byte {
	dst = appendLine(dst, documentTitle, "")
	dst = appendLine(dst, "namespace ", d.Namespace.String())
	dst = appendLine(dst, "serial ", strconv.FormatUint(d.Serial, 10))
	dst = append(appendTime(append(dst, "issued "...), d.Issued), '\n')
	dst = append(appendTime(append(dst, "expires "...), d.Expires), '\n')
	if !d.Previous.IsZero() {
		dst = appendLine(dst, "previous ", d.Previous.text())
	}
	dst = appendLine(dst, "store ", nix.StoreDir)
	dst = appendLine(dst, "keep ", formatDuration(d.Keep))
	for _, w := range d.Writers {
		dst = appendLine(dst, "writer ", w.text())
	}
	otherWriters, unknown := d.splitUnknown()
	dst = appendLines(dst, otherWriters)
	dst = appendSorted(dst, "closed ", d.Closed, Closed.text)
	dst = appendSorted(dst, "withdraw ", d.Withdrawn, Withdrawal.text)
	dst = appendSorted(dst, "deny ", d.Denied, Denial.text)
	for _, seed := range d.Seeds {
		dst = appendLine(dst, "seed ", seed)
	}
	if d.About != "" {
		dst = appendLine(dst, "about ", d.About)
	}
	dst = appendLine(dst, "!access ", d.Access)
	return appendLines(dst, unknown)
}

// splitUnknown parts the writers of other kinds, which stand among the writers,
// from the lines that stand at the end.
func (d *Document) splitUnknown() (otherWriters, rest []string) {
	n := slices.IndexFunc(d.Unknown, func(line string) bool { return !strings.HasPrefix(line, writerPrefix) })
	if n < 0 {
		n = len(d.Unknown)
	}
	return d.Unknown[:n], d.Unknown[n:]
}

// check returns an error unless the values are ones that a document can have.
func (d *Document) check() error {
	switch {
	case d.Serial == 0 || d.Serial > uint64(max(d.Issued.Unix(), 0)):
		return fmt.Errorf("serial %d is not between 1 and the time of issue, %d", d.Serial, d.Issued.Unix())
	case !d.Expires.After(d.Issued):
		return fmt.Errorf("expires %s is not after issued %s", d.Expires.Format(timeLayout), d.Issued.Format(timeLayout))
	case (d.Serial == 1) != d.Previous.IsZero():
		return fmt.Errorf("serial %d: a document names the one before it, and the first does not", d.Serial)
	case len(d.Unknown) > MaxUnknown:
		return fmt.Errorf("%d unknown lines, at most %d are allowed", len(d.Unknown), MaxUnknown)
	}
	if err := d.checkKeys(); err != nil {
		return err
	}
	return d.checkTakenBack()
}

// checkKeys checks that each name and each key belongs to one only of root,
// writers and closed writers: signatures are looked up by name, and a leaked key
// must not live on under another.
func (d *Document) checkKeys() error {
	n := 1 + len(d.Writers) + len(d.Closed)
	if n > 1+MaxWriters {
		return fmt.Errorf("%d writers, at most %d are allowed", n-1, MaxWriters)
	}
	names := make(map[string]bool, n)
	keys := make(map[[32]byte]bool, n)
	add := func(k nix.PublicKey) error {
		switch {
		case !ValidName(k.Name):
			return fmt.Errorf("%s cannot sign texts", quote(k.Name))
		case names[k.Name]:
			return fmt.Errorf("the name %s comes twice", quote(k.Name))
		case keys[k.Key]:
			return fmt.Errorf("the key of %s comes twice", quote(k.Name))
		}
		names[k.Name], keys[k.Key] = true, true
		return nil
	}
	if err := add(d.Namespace.Key()); err != nil {
		return err
	}
	for _, w := range d.Writers {
		if err := add(w.Key); err != nil {
			return fmt.Errorf("writer: %w", err)
		}
	}
	for _, c := range d.Closed {
		if err := add(c.Key); err != nil {
			return fmt.Errorf("closed writer: %w", err)
		}
	}
	return nil
}

// checkTakenBack checks that no withdrawal or denial comes twice with two
// reasons. They are sorted, so that equals would be neighbours.
func (d *Document) checkTakenBack() error {
	for i := 1; i < len(d.Withdrawn); i++ {
		if id := d.Withdrawn[i].Publication; id == d.Withdrawn[i-1].Publication {
			return fmt.Errorf("publication %s is withdrawn twice", id.Short())
		}
	}
	for i := 1; i < len(d.Denied); i++ {
		if a, b := d.Denied[i-1], d.Denied[i]; a.Path == b.Path && a.NarHash == b.NarHash {
			return fmt.Errorf("path %s is denied twice", b.Path)
		}
	}
	return nil
}
