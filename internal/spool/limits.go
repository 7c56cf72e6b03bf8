package spool

// Bounds on what lies on the disk. Builds add to it without anybody looking.
const (
	// MaxPaths is how many paths one entry may have. A derivation has a handful of outputs; a comparison of the whole
	// store is cut into entries of this size.
	MaxPaths = 1000

	// maxEntry is the longest entry, in bytes: MaxPaths of the longest store paths, some 225 bytes each, with room for
	// the names of namespaces.
	maxEntry = 1 << 20

	// maxNamespaces is how many namespaces one entry may name: more than anybody publishes to.
	maxNamespaces = 64

	// maxEntries is how many entries may wait: a week of a builder that finishes ten derivations a minute while nothing
	// can be published. Each takes a block on the disk, 4 KiB, so that all of them take 400 MiB.
	maxEntries = 100_000

	// maxHookRun bounds what is read of the last hook's note, in bytes: two numbers.
	maxHookRun = 1024

	// maxAside is how many files that are no entries are kept: enough to see what wrote them.
	maxAside = 16
)
