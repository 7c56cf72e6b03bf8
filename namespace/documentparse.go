package namespace

import (
	"fmt"
	"math"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

const writerPrefix = "writer "

func documentKeywords() []string {
	return []string{"flurry", "namespace", "serial", "issued", "expires", "previous", "store", "keep", "writer",
		"closed", "withdraw", "deny", "seed", "about", "!access"}
}

// ParseDocument reads the signed text of a document, [Note].Text. It is
// canonical, or an error. A document that suspends its namespace is no error,
// because it counts for what it replaces: see [Document.Suspended].
func ParseDocument(text []byte) (*Document, error) {
	if len(text) > MaxDocument {
		return nil, fmt.Errorf("document: %d bytes, at most %d are allowed", len(text), MaxDocument)
	}
	d := new(Document)
	err := d.parse(&lines{rest: string(text), at: 1})
	if err == nil {
		err = d.check()
	}
	if err == nil && string(d.Append(nil)) != string(text) {
		err = fmt.Errorf("not in canonical form")
	}
	if err != nil {
		return nil, fmt.Errorf("document: %w", err)
	}
	return d, nil
}

func (d *Document) parse(l *lines) error {
	for _, field := range []struct {
		read   func(prefix string, parse func(string) error) error
		prefix string
		parse  func(value string) error
	}{
		{l.one, documentTitle, nothing},
		{l.one, "namespace ", func(v string) (err error) { d.Namespace, err = parsePublisher(v); return err }},
		{l.one, "serial ", func(v string) (err error) { d.Serial, err = parseNumber(v, math.MaxUint64); return err }},
		{l.one, "issued ", func(v string) (err error) { d.Issued, err = parseTime(v); return err }},
		{l.one, "expires ", func(v string) (err error) { d.Expires, err = parseTime(v); return err }},
		{l.optional, "previous ", func(v string) (err error) { d.Previous, err = parseDigest(v); return err }},
		{l.one, "store ", parseStore},
		{l.one, "keep ", func(v string) (err error) { d.Keep, err = parseDuration(v, MaxLife); return err }},
		{l.many, writerPrefix + "key ", d.parseWriter},
		{l.many, writerPrefix, d.parseOtherWriter},
		{l.sorted, "closed ", d.parseClosed},
		{l.sorted, "withdraw ", appendTo(&d.Withdrawn, parseWithdrawal)},
		{l.sorted, "deny ", appendTo(&d.Denied, parseDenial)},
		{l.many, "seed ", d.parseSeed},
		{l.optional, "about ", d.parseAbout},
		{l.one, "!access ", d.parseAccess},
	} {
		if err := field.read(field.prefix, field.parse); err != nil {
			return err
		}
	}
	unknown, err := l.unknown(documentKeywords(), " ", MaxUnknown)
	d.Unknown = append(d.Unknown, unknown...)
	return err
}

func parseStore(v string) error {
	if v != nix.StoreDir {
		return fmt.Errorf("store %s is not %s", quote(v), nix.StoreDir)
	}
	return nil
}

func (d *Document) parseWriter(v string) (err error) {
	key, until, ok := strings.Cut(v, " until ")
	if !ok {
		return fmt.Errorf("writer %s has no until", quote(v))
	}
	var w Writer
	if w.Key, err = d.parseWriterKey(key); err != nil {
		return err
	}
	if until != "never" {
		w.Until, err = parseTime(until)
	}
	d.Writers = append(d.Writers, w)
	return err
}

func (d *Document) parseClosed(v string) (err error) {
	key, keep, ok := strings.Cut(v, " keep ")
	if !ok {
		return fmt.Errorf("closed %s has no keep", quote(v))
	}
	var c Closed
	if c.Key, err = d.parseWriterKey(key); err != nil {
		return err
	}
	if c.None = keep == "none"; !c.None {
		c.Keep, err = parseDigest(keep)
	}
	d.Closed = append(d.Closed, c)
	return err
}

// parseWriterKey counts before it parses, which is what takes the time.
func (d *Document) parseWriterKey(s string) (nix.PublicKey, error) {
	if len(d.Writers)+len(d.Closed) == MaxWriters {
		return nix.PublicKey{}, fmt.Errorf("more than %d writers", MaxWriters)
	}
	return nix.ParsePublicKey(s)
}

// parseOtherWriter keeps a line of a kind that this version does not know.
func (d *Document) parseOtherWriter(v string) error {
	if kind, _, _ := strings.Cut(v, " "); kind == "key" || kind == "" {
		return fmt.Errorf("writer %s is out of place or incomplete", quote(v))
	}
	if len(d.Unknown) == MaxUnknown {
		return fmt.Errorf("more than %d unknown lines", MaxUnknown)
	}
	d.Unknown = append(d.Unknown, writerPrefix+v)
	return checkChars(v, false)
}

func parseWithdrawal(v string) (w Withdrawal, err error) {
	id, reason, _ := strings.Cut(v, " ")
	if w.Publication, err = parseDigest(id); err != nil {
		return Withdrawal{}, err
	}
	w.Reason = strings.Clone(reason)
	return w, checkPhrase(reason, MaxReason)
}

func parseDenial(v string) (d Denial, err error) {
	path, rest, _ := strings.Cut(v, " ")
	hash, reason, _ := strings.Cut(rest, " ")
	if d.Path, err = nix.ParsePathHash(path); err != nil {
		return Denial{}, err
	}
	if d.NarHash, err = nix.ParseNarHash(hash); err != nil {
		return Denial{}, err
	}
	d.Reason = strings.Clone(reason)
	return d, checkPhrase(reason, MaxReason)
}

func (d *Document) parseSeed(v string) error {
	if len(d.Seeds) == MaxSeeds {
		return fmt.Errorf("more than %d seeds", MaxSeeds)
	}
	d.Seeds = append(d.Seeds, strings.Clone(v))
	return checkSeed(v)
}

func (d *Document) parseAbout(v string) error {
	d.About = strings.Clone(v)
	return checkPhrase(v, MaxAbout)
}

func (d *Document) parseAccess(v string) error {
	d.Access = strings.Clone(v)
	return checkPhrase(v, MaxAbout)
}
