package content

// Bounds on chunks and bodies. They are part of the format: a body beyond one
// of them is rejected by every reader.
const (
	// MinChunk is how many bytes at the start of a chunk do not enter the
	// rolling hash. No chunk but the last of a NAR is this short or shorter.
	MinChunk = 16 << 10

	// NormalChunk is the length, in bytes, from which a cut is sixteen times as
	// likely, so that lengths gather a little above it.
	NormalChunk = 64 << 10

	// MaxChunk is the longest chunk, in bytes. It bounds what a reader buffers
	// before it can tell a right chunk from a wrong one.
	MaxChunk = 256 << 10

	// MaxChunks is the most chunks in a body. It allows NARs of about 75 GiB,
	// and bounds a parsed body's pieces to 36 MiB of memory.
	MaxChunks = 1 << 20

	// MaxRewrites is the most places in a body. A publisher leaves matches
	// beyond it as they are; a body that lists more is rejected.
	MaxRewrites = 1 << 20

	// MaxBody is the longest encoding of a body, in bytes. A body within the two
	// counts above takes at most 44 MiB (35 bytes a chunk, 9 a rewrite), so this
	// one refuses nonsense before it is read.
	MaxBody = 64 << 20
)

// Placeholder is what stands in a normalised NAR where a hash part was. Its u
// is not in Nix's base-32 alphabet, so it can never be taken for a hash part
// itself, and no match can overlap one that was replaced.
const Placeholder = "flurryflurryflurryflurryflurryfl"

// hashChars is the length of a store path's hash part, and so of Placeholder.
const hashChars = 32

// maxQuoted is how much of a wrong value an error message repeats, in bytes.
const maxQuoted = 80
