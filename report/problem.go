package report

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
	ID      string   `json:"id"`      // stable name
	Message string   `json:"message"` // what is wrong, with the value quoted
	Found   []string `json:"found,omitempty"`
	Try     []string `json:"try,omitempty"`
	Exit    int      `json:"exit"`
}

// Error returns the message alone.
func (p *Problem) Error() string { return p.Message }
