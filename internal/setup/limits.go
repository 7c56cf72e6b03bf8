package setup

const (
	// maxJournal is the longest journal that is read, in bytes: thousands of steps.
	maxJournal = 4 << 20
	// maxBegins is how often the journal's directory is made again when it vanishes while it is being locked: whoever took
	// everything back does that once.
	maxBegins = 5
)
