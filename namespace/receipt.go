package namespace

import (
	"fmt"
	"strings"
	"time"
)

const receiptTitle = "flurry receipt 1"

// Receipt is a seed's word that all of a publication lies on its disk, and how
// long it will.
type Receipt struct {
	Namespace   Address
	Publication ID
	Time        time.Time // when the seed first had all of it; whole seconds
	Promise     Promise
}

// Promise is how long a seed keeps what it gave a receipt for.
type Promise struct {
	Kind  PromiseKind
	Until time.Time // of PromiseUntil alone; whole seconds
}

// PromiseKind says what a promise depends on.
type PromiseKind byte

const (
	PromiseBestEffort PromiseKind = iota // as long as there is room
	PromisePinned                        // as long as a pin of the namespace names it
	PromiseUntil                         // until a time
)

// The words of a promise line.
const (
	wordPinned     = "pinned"
	wordBestEffort = "best-effort"
	wordUntil      = "until "
)

// String is the promise as the text spells it.
func (p Promise) String() string {
	switch p.Kind {
	case PromisePinned:
		return wordPinned
	case PromiseUntil:
		return wordUntil + string(appendTime(nil, p.Until))
	}
	return wordBestEffort
}

func parsePromise(s string) (Promise, error) {
	switch s {
	case wordPinned:
		return Promise{Kind: PromisePinned}, nil
	case wordBestEffort:
		return Promise{}, nil
	}
	stamp, ok := strings.CutPrefix(s, wordUntil)
	if !ok {
		return Promise{}, fmt.Errorf("%s is not a promise: pinned, until TIME or best-effort", quote(s))
	}
	t, err := parseTime(stamp)
	return Promise{Kind: PromiseUntil, Until: t}, err
}

// ParseReceipt reads the text of a receipt. No line of it may be unknown: a
// promise that is not understood in full is none.
func ParseReceipt(text []byte) (*Receipt, error) {
	if len(text) > MaxReceipt {
		return nil, fmt.Errorf("receipt: %d bytes, at most %d are allowed", len(text), MaxReceipt)
	}
	l := newLines(string(text), 1)
	l.title(receiptTitle)
	r := &Receipt{
		Namespace:   one(l, "namespace ", parsePublisher),
		Publication: one(l, "publication ", parseDigest),
		Time:        one(l, "time ", parseTime),
		Promise:     one(l, "promise ", parsePromise),
	}
	if line, more := l.peek(); more {
		l.fail(l.at, fmt.Errorf("%s follows the end", quote(line)))
	}
	if l.err != nil {
		return nil, fmt.Errorf("receipt: %w", l.err)
	}
	return r, nil
}

// Append appends the text: the inverse of [ParseReceipt].
func (r *Receipt) Append(dst []byte) []byte {
	dst = appendLine(dst, receiptTitle, "")
	dst = appendLine(dst, "namespace ", r.Namespace.String())
	dst = appendLine(dst, "publication ", r.Publication.text())
	dst = appendLine(dst, "time ", string(appendTime(nil, r.Time)))
	return appendLine(dst, "promise ", r.Promise.String())
}
