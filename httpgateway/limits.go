package httpgateway

import "time"

// What a client or a Cache may cost. Each bound stands here with its reason.
const (
	// DefaultBudget is the time for a whole answer about a path. Nix asks for
	// paths in waves of up to 25 and for each wave waits for the slowest.
	DefaultBudget = 300 * time.Millisecond

	// waitPiece is for how long whoever waits for an answer waits before it looks
	// whether it was late itself. A timer fires within some milliseconds where
	// there is a processor for it.
	waitPiece = 25 * time.Millisecond

	// maxStarved is how much of the time of one answer is not counted because
	// this process could not run: Nix waits a second longer rather than build
	// what is here.
	maxStarved = time.Second

	// sourceStall is how long a Nar may make no progress (opening, or between
	// two writes) before it is given up. Nix itself gives up after 300 s
	// (stalled-download-timeout) and then tries again four times; a minute
	// leaves a slow peer its chance and a build its patience.
	sourceStall = time.Minute

	// clientStall is how long a client may take no byte. Nix stops reading while
	// its disk or the machine it copies to is slow, or when someone types ^Z;
	// one that comes back later resumes by Range.
	clientStall = 10 * time.Minute

	// writePiece is how much of a long write one clientStall is for, since a
	// write says nothing before all of it is out. A client that takes two pieces
	// in every clientStall, 220 bytes a second, is never cut off.
	writePiece = 64 << 10

	// readHeaderTimeout is for the lines of a request, all of them.
	readHeaderTimeout = 5 * time.Second

	// bodyTimeout is for the body of a request. The gateway reads none, but
	// net/http discards a short one before it takes the next request, and would
	// wait for it for ever.
	bodyTimeout = time.Second

	// idleTimeout is above the 90 s after which newer Nix stops reusing a
	// connection, so that the client is the one to close it.
	idleTimeout = 120 * time.Second

	// maxHeaderBytes: Nix sends under 200 bytes, a browser a few thousand.
	maxHeaderBytes = 16 << 10

	// maxConns is how many connections that asked something are served at a
	// time, each with one request: forty Nix processes at their default of 25.
	maxConns = 1024

	// maxTurnedAway is how many more are told 404 and closed at once, so that
	// too many clients make misses and not a stall. Beyond both, whoever has
	// said nothing for longest makes way.
	maxTurnedAway = 1024

	// maxAsks and maxNars bound the goroutines that a Cache may hold, counting
	// those that it does not give back when their time is over. Connections
	// alone account for maxConns; the rest is room for such stragglers.
	maxAsks = 2 * maxConns
	maxNars = 2 * maxConns

	// maxRendered is the memory for rendered narinfo texts: at around 1 KiB
	// each, the closures of several whole systems.
	maxRendered = 16 << 20

	// maxRenderedText is the longest text worth keeping; one with thousands of
	// references would push out hundreds of ordinary ones.
	maxRenderedText = 256 << 10

	// maxRemembered is how many answers [Memory] holds. Asking about a system
	// takes some thousands; a day of work stays below this.
	maxRemembered = 100_000

	// maxRecalled is how many answers about one path [Memory.Lookup] returns.
	maxRecalled = 32

	// maxViewName is the longest name in /ns/NAME, as long as the longest name
	// of a Nix key that flurry takes.
	maxViewName = 128

	// logEvery is the time between two log lines of one kind. A Cache that
	// fails, fails for a whole closure at once.
	logEvery = time.Second
)
