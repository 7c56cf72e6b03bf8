package daemon

import "time"

// Bounds on what a Nix daemon may send and on what is kept of it. They are far
// above what a healthy one does: they are for one that is broken.
const (
	// maxString is the longest string of an answer, in bytes. The longest real
	// ones are paths and signatures, of some hundred.
	maxString = 64 << 10

	// maxMessage is the longest error message, in bytes. Nix puts traces and
	// the last lines of a log into one.
	maxMessage = 1 << 20

	// maxSignatures is how many signatures of one path are read; those beyond
	// nix.MaxSigs are then dropped.
	maxSignatures = 1024

	// maxLog is how many bytes of log and progress a daemon may send before it
	// answers. The questions asked here make it say next to nothing.
	maxLog = 4 << 20

	// maxTraces and maxFields bound the parts of one message.
	maxTraces = 10_000
	maxFields = 1_000

	// maxClosure is how many paths a closure may have. A whole NixOS system has
	// some thousand, all of nixpkgs 100,000.
	maxClosure = 1 << 20

	// maxValid is how many paths a store may have. A builder that never collects
	// has some million; each costs 60 bytes here.
	maxValid = 1 << 23

	// batch is how many questions are sent before their answers are read. All
	// of them fit into the smallest pipe there is (4 KiB beyond what the daemon
	// has read), so that the two sides cannot block each other.
	batch = 12

	// maxStderr is how much of what a nix-daemon of our own writes to its
	// standard error is kept, in bytes: the end, where the reason is.
	maxStderr = 4 << 10

	// stderrGrace is how long after the end of a nix-daemon of our own its
	// standard error is still read: a child of its may hold that open.
	stderrGrace = time.Second

	// maxLinks is how many symbolic links Resolve follows, as Linux does.
	maxLinks = 40
)
