package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict says in one word whether a path can be had.
type Verdict string

// The verdicts, as product texts and scripts know them.
const (
	Here           Verdict = "here"            // valid in this machine's Nix store
	Available      Verdict = "available"       // a namespace in use has it, and somebody holds it
	FromOrigin     Verdict = "origin"          // an HTTP cache in use has it, and no peer
	RememberedNo   Verdict = "remembered-no"   // available, but Nix remembers an earlier "not here"
	NotAsked       Verdict = "not-asked"       // available, but Nix never asked this gateway
	Unknown        Verdict = "unknown"         // no namespace in use has published it
	NoProvider     Verdict = "no-provider"     // published, but nobody reachable holds it
	Incomplete     Verdict = "incomplete"      // something it needs is neither published nor here
	Untrusted      Verdict = "untrusted"       // known, but only from namespaces that are not in use
	Corrupt        Verdict = "corrupt"         // what was published does not match its NarHash
	Retracted      Verdict = "retracted"       // published once, and taken back by the namespace's owner
	WriterGone     Verdict = "revoked"         // published by a writer that was revoked since
	RanOut         Verdict = "expired"         // published once, and nobody renewed it
	Frozen         Verdict = "frozen"          // published after the namespace's document expired
	BelowThreshold Verdict = "below-threshold" // published, but fewer builders than this machine wants say the same of it
	Only           Verdict = "only"            // published, under a name that this machine does not take from there
)

// Exit is the exit code that goes with the verdict.
func (v Verdict) Exit() int {
	switch v {
	case Here, Available, FromOrigin, RememberedNo, NotAsked:
		return ExitOK
	}
	return ExitUnavailable
}

// Why is the answer to "why is this being built?" for one path.
type Why struct {
	Schema    string      `json:"schema"` // flurry/why/1
	Path      string      `json:"path"`   // the store path, or the hash alone where no more is known
	Verdict   Verdict     `json:"verdict"`
	Reason    string      `json:"reason"`
	Exit      int         `json:"exit"`
	Source    string      `json:"source,omitempty"` // alias of the namespace that has it
	Published *WhyEntry   `json:"published,omitempty"`
	Providers []Provider  `json:"providers"` // connected peers that have it
	Bytes     *WhyBytes   `json:"bytes,omitempty"`
	Closure   *WhyClosure `json:"closure,omitempty"`
	Nix       *WhyNix     `json:"nix,omitempty"` // what this gateway last told Nix
	Steps     []WhyStep   `json:"steps"`
	Try       []string    `json:"try"`

	// Missing is what the closure lacks, deepest first, as the node finds it; in JSON it stands in the closure.
	Missing []string `json:"-"`
}

// WhyEntry is what a namespace says of the path.
type WhyEntry struct {
	Publication string    `json:"publication,omitempty"` // of an HTTP cache's path: none
	Signer      string    `json:"signer"`
	Time        time.Time `json:"time,omitzero"`

	// What the node finds out about getting it; in JSON that stands beside the entry.
	NarSize   uint64   `json:"-"`
	ToFetch   uint64   `json:"-"` // raw bytes of chunks that are not here
	Providers []string `json:"-"`
}

// Provider is a peer that has the path.
type Provider struct {
	Peer string `json:"peer"`
}

// WhyBytes is how large the path is, and how much of it is not here.
type WhyBytes struct {
	Nar     uint64 `json:"nar"`
	ToFetch uint64 `json:"to_fetch"` // raw bytes of chunks that are not here
}

// WhyClosure is what the path needs.
type WhyClosure struct {
	Paths   int      `json:"paths,omitempty"` // how many, if they were counted
	Missing []string `json:"missing"`         // deepest first
}

// Complete puts what the node found where JSON has it, and lists in the place of null.
func (y *Why) Complete() {
	y.Schema = "flurry/why/1"
	y.Providers = []Provider{}
	if p := y.Published; p != nil {
		y.Bytes = &WhyBytes{Nar: p.NarSize, ToFetch: p.ToFetch}
		for _, id := range p.Providers {
			y.Providers = append(y.Providers, Provider{Peer: id})
		}
	}
	if y.Closure == nil && len(y.Missing) > 0 {
		y.Closure = &WhyClosure{Missing: y.Missing}
	}
	if y.Steps == nil {
		y.Steps = []WhyStep{}
	}
	if y.Try == nil {
		y.Try = []string{}
	}
}

// WhyNix is an answer that this gateway gave.
type WhyNix struct {
	Asked           time.Time  `json:"asked"`
	Answer          string     `json:"answer"` // given, not-here
	Took            float64    `json:"took"`   // seconds
	RememberedUntil *time.Time `json:"remembered_until,omitempty"`
}

// ThisMachine is what a step calls the machine's own Nix store.
const ThisMachine = "this machine"

// WhyStep is one place that was looked at, and what it said. What was not asked is said to be so, with the reason.
type WhyStep struct {
	Asked  string `json:"asked"`
	Answer string `json:"answer"`
}

// PrintText writes the verdict, then who was looked at and what each said, then what to try.
func (y Why) PrintText(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "%s\n%s\n\n", y.Path, y.Headline(now))
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, s := range y.Steps {
		fmt.Fprintf(t, "  %s\t%s\n", s.Asked, s.Answer)
		if s.Asked == ThisMachine && y.Nix != nil {
			fmt.Fprintf(t, "  Nix\t%s\n", y.Nix.words(now))
		}
	}
	if b := y.Bytes; b != nil {
		fmt.Fprintf(t, "  to fetch\t%s of %s\n", size(b.ToFetch), size(b.Nar))
		fmt.Fprintf(t, "  peers\t%s\n", peersWords(y.providers()))
	}
	t.Flush()
	if c := y.Closure; c != nil {
		if c.Paths > 0 && len(c.Missing) == 0 {
			fmt.Fprintf(w, "  all of it can be had, %s\n", count(c.Paths, "path", "paths"))
		}
		for _, m := range c.Missing {
			fmt.Fprintf(w, "  missing: %s\n", m)
		}
	}
	(&Problem{Try: y.Try}).rest(w)
}

// Headline is the verdict as it is shouted, with its reason.
func (y Why) Headline(now time.Time) string {
	switch y.Verdict {
	case Here:
		return "HERE: " + y.Reason
	case Available:
		if b := y.Bytes; b != nil {
			return fmt.Sprintf("AVAILABLE from %s: %s; %s to fetch of %s", y.Source, count(len(y.Providers), "peer", "peers"), size(b.ToFetch), size(b.Nar))
		}
		return "AVAILABLE " + y.Reason
	case FromOrigin:
		return "AVAILABLE " + y.Reason // without numbers: all of it is to be fetched
	case RememberedNo:
		if n := y.Nix; n != nil && n.RememberedUntil != nil {
			return fmt.Sprintf("AVAILABLE, BUT NIX WILL NOT ASK before %s: it was told \"not here\" at %s%s", clock(*n.RememberedUntil, now), clock(n.Asked, now), y.tooEarly())
		}
		return "AVAILABLE, BUT NIX WILL NOT ASK YET"
	case NotAsked:
		return "AVAILABLE, BUT NIX NEVER ASKED this gateway (it does not know it, or the derivation says allowSubstitutes = false)"
	case Unknown, Incomplete:
		return "NOT AVAILABLE: " + y.Reason
	case NoProvider:
		return "NOT AVAILABLE NOW: " + y.Reason
	}
	return "NOT GIVEN: " + y.Reason
}

// tooEarly says how long before it was published Nix asked for it; "", if it was published by then.
func (y Why) tooEarly() string {
	if y.Published == nil || !y.Published.Time.After(y.Nix.Asked) {
		return ""
	}
	return fmt.Sprintf(", %s before it was published", span(y.Published.Time.Sub(y.Nix.Asked)))
}

func (n WhyNix) words(now time.Time) string {
	said := fmt.Sprintf("asked at %s and was told %q in %s", clock(n.Asked, now), strings.ReplaceAll(n.Answer, "-", " "), millis(n.Took))
	if n.RememberedUntil != nil {
		said += "; it may remember that until " + clock(*n.RememberedUntil, now)
	}
	return said
}

func (y Why) providers() []string {
	ids := make([]string, len(y.Providers))
	for i, p := range y.Providers {
		ids[i] = p.Peer
	}
	return ids
}
