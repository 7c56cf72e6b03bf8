package trust

import "time"

const (
	// MaxAhead is how far ahead of a namespace's time a document or publication
	// may be dated and count at once: clocks of honest machines differ by less.
	MaxAhead = 10 * time.Minute

	// entriesPerWorker is how many signatures, of 20 to 50 µs each, are worth
	// one goroutine.
	entriesPerWorker = 16
)
