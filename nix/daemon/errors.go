package daemon

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// ErrNoNix says that this machine has no Nix to talk to.
var ErrNoNix = errors.New("no Nix on this machine")

// ErrNotValid says that Nix does not know a path: it was never there, is being
// built, or was collected.
var ErrNotValid = errors.New("not valid in this machine's Nix store")

// DownError is the error of Open and of requests when there is a daemon's
// socket, but nobody answers at it.
type DownError struct {
	Socket string
	Err    error
}

func (e *DownError) Error() string {
	return fmt.Sprintf("the Nix daemon does not answer at %s: %v", e.Socket, e.Err)
}

func (e *DownError) Unwrap() error { return e.Err }

// NotValidError names the paths that Nix does not know. It is an ErrNotValid.
type NotValidError struct {
	Paths []nix.StorePath
}

func (e *NotValidError) Error() string {
	const shown = 10
	var b strings.Builder
	for i, p := range e.Paths {
		if i == shown {
			fmt.Fprintf(&b, " and %d more", len(e.Paths)-shown)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.String())
	}
	return b.String() + ": " + ErrNotValid.Error()
}

func (e *NotValidError) Unwrap() error { return ErrNotValid }

// RemoteError is what the daemon says when it cannot answer. The connection
// stays good.
type RemoteError struct {
	Message string // without colours, at most 1 MiB
}

func (e *RemoteError) Error() string { return "the Nix daemon says: " + e.Message }
