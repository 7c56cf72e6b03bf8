package pages

import "time"

const (
	// answerTime is how long whoever knows may take; a page that comes later is of no use.
	answerTime = 10 * time.Second
	// atOnce is how many pages are made at a time. A namespace's page reads the catalog, which Nix waits for as well: one page
	// never holds up another, and most of the machine is left.
	atOnce = 2
	// maxPublications is how many publications a namespace's page lists, the newest.
	maxPublications = 50
	// maxWord is the longest path or hash that is looked for, in bytes: a store path has 255 at most, and what is below it
	// counts as well.
	maxWord = 4096
)
