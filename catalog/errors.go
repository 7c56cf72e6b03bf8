package catalog

import "errors"

// ErrNotFound is the answer to a question about what is not there. Every other
// error means that the answer is not known.
var ErrNotFound = errors.New("not found")
