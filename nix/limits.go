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

	// maxQuoted is how much of a wrong value an error message repeats.
	maxQuoted = 64
)
