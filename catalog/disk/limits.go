package disk

// What the index may take of a node's memory, which is to stay under 80 MB in
// all.
const (
	// cacheSize holds the bloom filters of a million keys (1.25 MB) and the
	// blocks of a closure that is being asked for.
	cacheSize = 6 << 20

	// memTableSize is that of each of at most two tables, which begin at 256 KiB
	// and grow when much is written at once. With 1 MiB, taking in 100,000 paths
	// cost more processor time for compaction than for verifying them.
	memTableSize = 8 << 20

	// maxOpenFiles bounds descriptors and what is kept of each open table. A
	// million entries are a few hundred tables of 2 to 64 MB at most.
	maxOpenFiles = 128
)
