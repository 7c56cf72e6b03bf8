package origin

import "time"

// Bounds on what a cache may do, each with its reason.
const (
	// dialTimeout ends an attempt to connect, and tlsTimeout the handshake:
	// beyond it a cache on the other side of the world is down.
	dialTimeout = 5 * time.Second
	tlsTimeout  = 5 * time.Second

	// headTimeout is how long a cache may think before it answers. Caches that
	// fetch from object stores take seconds at times.
	headTimeout = 15 * time.Second

	// infoTimeout ends a question for a narinfo, body included. Whoever waits for
	// Nix waits much shorter; the answer is still of use for the next time.
	infoTimeout = 20 * time.Second

	// stallTimeout is how long a NAR may stand still, and slowTime over which it
	// must bring slowBytes, so that a byte a second is no way to hold a
	// connection: 16 KiB/s is less than anybody would wait for.
	stallTimeout = 20 * time.Second
	slowTime     = 30 * time.Second
	slowBytes    = 512 << 10

	// maxResumes is how often the rest of a NAR is asked for after it broke off,
	// and resumePause how much longer each waits than the one before: a server
	// that is restarted is back by then, and one that breaks off four times
	// would not bring it.
	maxResumes  = 3
	resumePause = 250 * time.Millisecond

	// drainTime and drainBytes are what the rest of an answer that is of no use
	// may take, so that its connection can serve again. Such bodies are short and
	// come with their header; one that does not is not waited for.
	drainTime  = 100 * time.Millisecond
	drainBytes = 4 << 10

	// maxRedirects is more than any cache uses; Nix follows ten.
	maxRedirects = 5

	// maxConnections is how many connections there are at once, as Nix has
	// (http-connections).
	maxConnections = 25
	// idleTimeout is how long a connection is kept for the next question: shorter
	// than what servers allow.
	idleTimeout = 60 * time.Second

	// maxWindow is the largest window or dictionary of a compressed NAR, in bytes:
	// that of zstd --ultra --long=27 and of xz -9 (64 MiB) with room.
	maxWindow = 128 << 20

	// maxHeader is the most bytes of an answer's header.
	maxHeader = 64 << 10
)

// maxCompressed is the most bytes of a compressed file that holds size bytes:
// incompressible data grows by far less than a sixteenth in every format.
func maxCompressed(size uint64) int64 { return int64(size + size/16 + 1<<20) }
