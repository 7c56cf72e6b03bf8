package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// Exit codes of the command line.
const (
	ExitOK          = 0
	ExitFailed      = 1 // something broke
	ExitUsage       = 2 // asked wrongly
	ExitNoDaemon    = 3 // the daemon is not there, or this user may not ask it
	ExitRefused     = 4 // refused on principle: not trusted, not a writer, excluded, revoked, retracted
	ExitUnavailable = 5 // nobody reachable has it
	ExitCopies      = 6 // done here, but not enough copies elsewhere
)

// Problem is an error that a person can act on. It is what the daemon answers over its socket, too.
type Problem struct {
	ID      string   `json:"id"`              // stable name
	Message string   `json:"message"`         // what is wrong, with the value quoted
	Found   []string `json:"found,omitempty"` // what was found, one line each
	Try     []string `json:"try,omitempty"`   // what to do, one line each
	Exit    int      `json:"exit"`            // the exit code; 0 for a warning
}

// Error returns the message alone.
func (p *Problem) Error() string { return p.Message }

// Print writes the problem for people: what is wrong, what was found, what to try.
func (p *Problem) Print(w io.Writer) {
	fmt.Fprintf(w, "flurry: %s\n", p.Message)
	p.rest(w)
}

// PrintWarning writes a problem that stopped nothing: as Print does, without the program's name.
func (p *Problem) PrintWarning(w io.Writer) {
	fmt.Fprintln(w, p.Message)
	p.rest(w)
}

func (p *Problem) rest(w io.Writer) {
	for _, line := range p.Found {
		fmt.Fprintf(w, "  %s\n", line)
	}
	lead := "  try: "
	for _, line := range p.Try {
		fmt.Fprintf(w, "%s%s\n", lead, line)
		lead = "       "
	}
}

// JSON is the form in which --json prints an error, without a newline.
func (p *Problem) JSON() []byte {
	text, err := json.Marshal(struct {
		Error *Problem `json:"error"`
	}{p})
	if err != nil { // strings and a number: it cannot be
		return []byte(`{"error":{"id":"failed","message":"","exit":1}}`)
	}
	return text
}
