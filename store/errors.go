package store

import (
	"errors"
	"fmt"
)

// ErrNotFound means that the store does not have the content: nothing else,
// and nothing less. Every other error means that it could not tell.
var ErrNotFound = errors.New("not in the store")

// ErrCorrupt means that bytes are not what their id or frame says. From a
// store it says moreover that the content is now out of use: the next Put of
// it stores it again.
var ErrCorrupt = errors.New("corrupt content")

// ErrFull means that there is no room for more. What is there is still read.
// Errors that wrap it are of type [*FullError].
var ErrFull = errors.New("store is full")

// FullError says which bound was met. It wraps [ErrFull].
type FullError struct {
	Free, Reserve int64 // bytes free on the disk and bytes to leave free; or
	Used, Quota   int64 // bytes used by the store and bytes it may use
	Cause         error // what the system said, when it was the first to know
}

// Error implements error.
func (e *FullError) Error() string {
	switch {
	case e.Cause != nil:
		return fmt.Sprintf("store is full: %v", e.Cause)
	case e.Quota != 0:
		return fmt.Sprintf("store is full: %d of %d bytes of quota used", e.Used, e.Quota)
	}
	return fmt.Sprintf("store is full: %d bytes free, under the reserve of %d", e.Free, e.Reserve)
}

// Unwrap makes errors.Is(err, ErrFull) true, and finds the cause.
func (e *FullError) Unwrap() []error {
	if e.Cause != nil {
		return []error{ErrFull, e.Cause}
	}
	return []error{ErrFull}
}
