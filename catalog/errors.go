package catalog

import "errors"

var (
	// ErrNotFound is the answer to a question about what is not there. Every
	// other error means that the answer is not known.
	ErrNotFound = errors.New("not found")

	// ErrRollback refuses a document with a lower serial than one that was
	// adopted before, or with the same serial and a smaller id.
	ErrRollback = errors.New("an older document")

	// ErrDistrusted says that content was found not to be what its entry says.
	ErrDistrusted = errors.New("found wrong here")

	// ErrLimit refuses what is over a bound of limits.go.
	ErrLimit = errors.New("over the limit")

	// ErrDamaged says that the index holds what was never written to it. It can
	// be made anew from the texts, see [Catalog.Rebuild].
	ErrDamaged = errors.New("catalog index is damaged")

	// ErrNewer says that the index was written by a later version.
	ErrNewer = errors.New("catalog index is of a later version")
)
