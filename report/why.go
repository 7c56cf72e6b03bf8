package report

import "time"

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

// WhyStep is one place that was looked at, and what it said. What was not asked is said to be so, with the reason.
type WhyStep struct {
	Asked  string `json:"asked"`
	Answer string `json:"answer"`
}
