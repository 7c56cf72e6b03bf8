package disk

const (
	// defaultMaxPack is the size, in bytes, at which a pack is full: large
	// enough that a large store has few files, small enough to rewrite.
	defaultMaxPack = 512 << 20

	// maxMaxPack keeps every offset within 32 bits, with the largest record
	// beyond it.
	maxMaxPack = 2 << 30

	// maxWriters is how many packs are appended to at a time. Batches beyond
	// that share: more would interleave writes on the disk without speed.
	maxWriters = 4

	// maxOpenFiles is how many packs are kept open for reading, so that a
	// large store does not use up the process's descriptors.
	maxOpenFiles = 64

	// maxBacklog and maxBacklogBytes bound what one pack holds that is not yet
	// fsynced and indexed: records kept in memory (about 200 bytes each), and
	// bytes that a Commit may have to wait for. Beyond either, Put settles first.
	maxBacklog      = 4096
	maxBacklogBytes = 64 << 20

	// maxBuffer is the largest buffer, in bytes, that a writer keeps for its
	// next record: any chunk fits, and the bodies of all but huge NARs.
	maxBuffer = 1 << 20

	// stripes is how many keys can be put at once; two puts of one key never
	// run side by side.
	stripes = 64

	// defaultBallast is the room set aside for Pebble, in bytes: some memtables
	// with their logs, and a compaction of a small level.
	defaultBallast = 32 << 20

	// minReserve is what documents and kept lists leave free, in bytes, when
	// the reserve is larger than that.
	minReserve = 64 << 20

	// autoReserve is the least reserve where none is set, in bytes, and
	// autoReservePart the part of the disk, 2 %, where that is more.
	autoReserve     = 1 << 30
	autoReservePart = 50

	// indexRoom is the room, in bytes, that must be free for an index write
	// when no ballast is held.
	indexRoom = 8 << 20

	// indexCache, indexMemTable and indexTable are Pebble's block cache, memtable
	// and table sizes, in bytes. Memtables are counted into the cache, so half of
	// it is left for blocks: the filters of 800,000 keys, 60 GiB of chunks; others
	// come from the system's page cache. Small tables have small filters, of which
	// the cache keeps those that are used, and compactions that need little room
	// on a full disk. A store that has been busy idles at about 10 MiB with this.
	indexCache    = 2 << 20
	indexMemTable = 512 << 10
	indexTable    = 2 << 20
	indexFiles    = 64

	// readAhead is how much of a pack is read at a time when all of it is.
	readAhead = 1 << 20

	// checkWindow is how many index entries are sorted in memory at a time, so
	// that a check reads packs from front to back: 14 MiB.
	checkWindow = 256 << 10

	// pageKeys is how many keys are read from the index at a time by those who
	// walk it, so that no iterator outlives a page.
	pageKeys = 1024

	// deadPart is the part of a pack that must be out of use for it to be
	// written anew where nobody says otherwise: then for each byte copied at
	// least one is freed. leastDeadPart is that part where room is needed.
	deadPart      = 0.5
	leastDeadPart = 1.0 / 16

	// readTries is how often reading follows a key that moves meanwhile.
	readTries = 4
)
