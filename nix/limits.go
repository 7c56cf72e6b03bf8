package nix

// Bounds on what is taken from outside, each with its reason. What Nix itself
// bounds is bounded alike, so that nothing passes here that a client refuses.
const (
	// MaxNameLength is the longest name of a store path, the part after the
	// dash, in bytes (libstore/path.cc).
	MaxNameLength = 211

	// MaxKeyNameLength is the longest name of a key, in bytes. Nix has no
	// limit; real names are host names with a number.
	MaxKeyNameLength = 128

	// MaxNarInfo is the longest narinfo, in bytes. Clients hold it in memory
	// whole; the largest seen in the wild has 208 KB, for 3,700 references.
	MaxNarInfo = 4 << 20

	// MaxReferences is how many references one path may have: more than fit
	// into MaxNarInfo with names of ordinary length.
	MaxReferences = 1 << 16

	// MaxSigs is how many signatures of one narinfo are kept. Each costs a
	// verification of some 50 microseconds where its key is trusted.
	MaxSigs = 16

	// bulkWorth is how many signatures of a key a BulkVerifier sees before it
	// prepares the key: preparing costs what 20 to 40 verifications cost, and
	// each one after it costs a third, so that nobody loses more than half.
	bulkWorth = 40

	// maxBulkPrepared is how many keys one BulkVerifier prepares, at 655 KB
	// each. A namespace has one or two writers with thousands of publications.
	maxBulkPrepared = 4

	// maxBulkKeys is how many keys one BulkVerifier counts; the others are
	// never prepared.
	maxBulkKeys = 256

	// MaxURL is the longest URL of a NAR, in bytes. The longest that caches
	// write are some 200.
	MaxURL = 4096

	// MaxNarSize is the largest NAR that a narinfo may announce, in bytes: far
	// above any real one, low enough that sums of sizes cannot overflow.
	MaxNarSize = 1 << 40

	// MaxNarDepth is how many nodes of a NAR may lie within each other, the root
	// included. Nix since 2.31.5 refuses more, so that hostile archives cannot
	// exhaust its stack (libutil/archive.cc).
	MaxNarDepth = 64

	// MaxNarName is the longest name of a directory entry in a NAR, in bytes:
	// that of the file systems that a NAR is unpacked to.
	MaxNarName = 255

	// MaxNarTarget is the longest target of a symbolic link in a NAR, in bytes:
	// PATH_MAX of Linux without its NUL.
	MaxNarTarget = 4095

	// maxNarTag is the longest of the words that a NAR's structure is made of,
	// in bytes; longer ones are refused before they are read.
	maxNarTag = 32

	// narBuffer is how much of a NAR is gathered before it is written on, in
	// bytes: large enough that system calls cost nothing beside the copying.
	narBuffer = 256 << 10

	// MaxNarFrame is how much of a NAR may be other than the contents of files
	// for it to be read at any place, in bytes: it is held in memory. A file
	// takes some 200, so that it is enough for 40,000 files; a Linux source tree
	// has 80,000, and few paths have more than a thousand.
	MaxNarFrame = 8 << 20

	// maxQuoted is how much of a wrong value an error message repeats.
	maxQuoted = 64
)
