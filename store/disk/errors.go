package disk

import (
	"errors"
	"fmt"
)

// ErrClosed means that the store, or the batch, has been closed.
var ErrClosed = errors.New("store is closed")

// NewerError means that the directory was written by a later version, and that
// nothing was changed.
type NewerError struct {
	Dir        string
	Have, Want int // the format's number there, and the largest that is known here
}

// Error implements error.
func (e *NewerError) Error() string {
	return fmt.Sprintf("%s has store format %d; this version knows formats up to %d", e.Dir, e.Have, e.Want)
}
