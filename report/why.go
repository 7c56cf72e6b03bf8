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
	Here         Verdict = "here"          // valid in this machine's Nix store
	Available    Verdict = "available"     // a namespace in use has it, and somebody holds it
	RememberedNo Verdict = "remembered-no" // available, but Nix remembers an earlier "not here"
	NotAsked     Verdict = "not-asked"     // available, but Nix never asked this gateway
	Unknown      Verdict = "unknown"       // no namespace in use has published it
	NoProvider   Verdict = "no-provider"   // published, but nobody reachable holds it
	Incomplete   Verdict = "incomplete"    // something it needs is neither published nor here
	Untrusted    Verdict = "untrusted"     // known, but only from namespaces that are not in use
	Corrupt      Verdict = "corrupt"       // what was published does not match its NarHash
	Retracted    Verdict = "retracted"     // published once, and taken back by the namespace's owner
	Frozen       Verdict = "frozen"        // published after the namespace's document expired
)

// Exit is the exit code that goes with the verdict.
func (v Verdict) Exit() int {
	switch v {
	case Here, Available, RememberedNo, NotAsked:
		return ExitOK
	}
	return ExitUnavailable
}

// Why is the answer to "why is this being built?" for one path.
type Why struct {
	Schema    string    `json:"schema"` // flurry/why/1
	Path      string    `json:"path"`   // the store path, or the hash alone where no more is known
	Verdict   Verdict   `json:"verdict"`
	Reason    string    `json:"reason"`
	Exit      int       `json:"exit"`
	Source    string    `json:"source,omitempty"` // alias of the namespace that has it
	Published *WhyEntry `json:"published,omitempty"`
	Nix       *WhyNix   `json:"nix,omitempty"` // what this gateway last told Nix
	Steps     []WhyStep `json:"steps"`
	Missing   []string  `json:"missing,omitempty"` // what the closure lacks, deepest first
	Try       []string  `json:"try,omitempty"`
}

// WhyEntry is what a namespace says of the path.
type WhyEntry struct {
	Publication string    `json:"publication"`
	Signer      string    `json:"signer"`
	Time        time.Time `json:"time"`
	NarSize     uint64    `json:"nar_size"`
	ToFetch     uint64    `json:"to_fetch"` // raw bytes of chunks that are not here
	Providers   []string  `json:"providers"`
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
	fmt.Fprintf(w, "%s\n%s\n\n", y.Path, y.headline(now))
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, s := range y.Steps {
		fmt.Fprintf(t, "  %s\t%s\n", s.Asked, s.Answer)
		if s.Asked == ThisMachine && y.Nix != nil {
			fmt.Fprintf(t, "  Nix\t%s\n", y.Nix.words(now))
		}
	}
	if p := y.Published; p != nil {
		fmt.Fprintf(t, "  to fetch\t%s of %s\n", size(p.ToFetch), size(p.NarSize))
		fmt.Fprintf(t, "  peers\t%s\n", peersWords(p.Providers))
	}
	t.Flush()
	for _, m := range y.Missing {
		fmt.Fprintf(w, "  missing: %s\n", m)
	}
	(&Problem{Try: y.Try}).rest(w)
}

// headline is the verdict as it is shouted, with its reason.
func (y Why) headline(now time.Time) string {
	switch y.Verdict {
	case Here:
		return "HERE: " + y.Reason
	case Available:
		if p := y.Published; p != nil {
			return fmt.Sprintf("AVAILABLE from %s: %s; %s to fetch of %s", y.Source, count(len(p.Providers), "peer", "peers"), size(p.ToFetch), size(p.NarSize))
		}
		return "AVAILABLE " + y.Reason
	case RememberedNo:
		if n := y.Nix; n != nil && n.RememberedUntil != nil {
			return fmt.Sprintf("AVAILABLE, BUT NIX WILL NOT ASK before %s: it was told \"not here\" at %s", clock(*n.RememberedUntil, now), clock(n.Asked, now))
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

func (n WhyNix) words(now time.Time) string {
	said := fmt.Sprintf("asked at %s and was told %q in %s", clock(n.Asked, now), strings.ReplaceAll(n.Answer, "-", " "), millis(n.Took))
	if n.RememberedUntil != nil {
		said += "; it may remember that until " + clock(*n.RememberedUntil, now)
	}
	return said
}
