package namespace

import (
	"fmt"
	"strings"
	"time"

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
	l := newLines(string(text), 1)
	d := parseDocument(l)
	err := l.err
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

func parseDocument(l *lines) *Document {
	l.title(documentTitle)
	d := &Document{
		Namespace: one(l, "namespace ", parsePublisher),
		Serial:    one(l, "serial ", parseUint),
		Issued:    one(l, "issued ", parseTime),
		Expires:   one(l, "expires ", parseTime),
		Previous:  optional(l, "previous ", parseDigest),
	}
	one(l, "store ", parseStore)
	d.Keep = one(l, "keep ", parseKeep)
	d.Writers = many(l, writerPrefix+"key ", MaxWriters, parseWriter)
	d.Unknown = many(l, writerPrefix, MaxUnknown, parseOtherWriter)
	d.Closed = sorted(l, "closed ", MaxWriters, parseClosed)
	d.Withdrawn = sorted(l, "withdraw ", noLimit, parseWithdrawal)
	d.Denied = sorted(l, "deny ", noLimit, parseDenial)
	d.Seeds = many(l, "seed ", MaxSeeds, parseSeed)
	d.About = optional(l, "about ", parseAbout)
	d.Access = one(l, "!access ", parseAccess)
	d.Unknown = append(d.Unknown, l.unknown(documentKeywords(), " ", MaxUnknown)...)
	return d
}

func parseStore(v string) (string, error) {
	if v != nix.StoreDir {
		return "", fmt.Errorf("store %s is not %s", quote(v), nix.StoreDir)
	}
	return v, nil
}

func parseKeep(v string) (time.Duration, error) { return parseDuration(v, MaxLife) }

func parseWriter(v string) (w Writer, err error) {
	key, until, ok := strings.Cut(v, " until ")
	if !ok {
		return Writer{}, fmt.Errorf("writer %s has no until", quote(v))
	}
	if w.Key, err = nix.ParsePublicKey(key); err != nil {
		return Writer{}, err
	}
	if until != "never" {
		w.Until, err = parseTime(until)
	}
	return w, err
}

// parseOtherWriter keeps a line of a kind that this version does not know.
func parseOtherWriter(v string) (line string, err error) {
	if kind, _, _ := strings.Cut(v, " "); kind == "key" || kind == "" {
		return "", fmt.Errorf("writer %s is out of place or incomplete", quote(v))
	}
	return writerPrefix + v, checkChars(v, false)
}

func parseClosed(v string) (c Closed, err error) {
	key, keep, ok := strings.Cut(v, " keep ")
	if !ok {
		return Closed{}, fmt.Errorf("closed %s has no keep", quote(v))
	}
	if c.Key, err = nix.ParsePublicKey(key); err != nil {
		return Closed{}, err
	}
	if c.None = keep == "none"; !c.None {
		c.Keep, err = parseDigest(keep)
	}
	return c, err
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

func parseSeed(v string) (string, error) { return strings.Clone(v), checkSeed(v) }

func parseAbout(v string) (string, error) { return strings.Clone(v), checkPhrase(v, MaxAbout) }

func parseAccess(v string) (string, error) { return strings.Clone(v), checkPhrase(v, MaxAccess) }
