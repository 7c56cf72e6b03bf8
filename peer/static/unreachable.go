package static

import (
	"fmt"
	"strings"

	"github.com/flurry-nix/flurry/peer"
)

// Reason is why a hint leads to nobody.
type Reason int

// The reasons.
const (
	NoSuchName   Reason = iota + 1 // the name does not resolve
	NoAnswer                       // nobody answers at any address
	NotFlurry                      // somebody answers, who is no flurry node
	OtherVersion                   // a flurry node of another version
	Itself                         // the hint leads to this node
)

// UnreachableError says why a hint leads to nobody, in parts that a command can
// print.
type UnreachableError struct {
	Hint   peer.Hint
	Reason Reason
	// Attempts are what was tried, for NoAnswer.
	Attempts []Attempt
	// Speaks is what a peer that is NotFlurry speaks, as far as it shows: HTTP,
	// TLS, SSH, libp2p; or "".
	Speaks string
	// Version is the version that a peer of OtherVersion speaks.
	Version string
	// Cause is what went wrong with a name, for NoSuchName.
	Cause error
}

// Attempt is one address that was dialled, and what came of it.
type Attempt struct {
	Address   string // "203.0.113.9:7670"
	Transport string // "tcp" or "udp"
	Result    string // "refused", "no answer in 3 s", …
}

func (e *UnreachableError) Error() string {
	switch e.Reason {
	case NoSuchName:
		return fmt.Sprintf("%s does not resolve: %v", e.Hint, e.Cause)
	case NotFlurry:
		if e.Speaks == "" {
			return fmt.Sprintf("%s answers, but is not a flurry node", e.Hint)
		}
		return fmt.Sprintf("%s answers, but is not a flurry node (it speaks %s)", e.Hint, e.Speaks)
	case OtherVersion:
		return fmt.Sprintf("%s speaks flurry protocol %s, this is %d", e.Hint, e.Version, peer.Version)
	case Itself:
		return fmt.Sprintf("%s is this node", e.Hint)
	}
	return fmt.Sprintf("%s does not answer: %s", e.Hint, e.tried())
}

func (e *UnreachableError) Unwrap() error { return e.Cause }

// tried is all attempts, address by address: "203.0.113.9:7670, tcp refused, udp
// no answer in 3 s".
func (e *UnreachableError) tried() string {
	if len(e.Attempts) == 0 {
		return "it has no address that can be dialled from here"
	}
	var b strings.Builder
	for i, a := range e.Attempts {
		switch {
		case i == 0:
			b.WriteString(a.Address)
		case a.Address != e.Attempts[i-1].Address:
			b.WriteString("; " + a.Address)
		}
		fmt.Fprintf(&b, ", %s %s", a.Transport, a.Result)
	}
	return b.String()
}
