package watch

import "time"

const (
	// maxNames is how many names in the store directory are remembered between two looks, half a second apart. Beyond it
	// all valid paths are compared.
	maxNames = 100_000

	// maxWaiting is how many paths may be under way. A machine builds some hundred at once; what failed builds left lies
	// there, too.
	maxWaiting = 100_000

	// maxBuild is how long a path may be under way before it is left to the next comparison.
	maxBuild = 24 * time.Hour

	// chunk is how many paths Nix is asked about before they are told: some 500 bytes each are held meanwhile.
	chunk = 1000

	// registering is how long after its last change a path may become valid: Nix hashes all of it in between, which is
	// seconds, on the slowest disk minutes.
	registering = time.Hour
)
