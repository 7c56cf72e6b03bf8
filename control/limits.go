package control

import "time"

// Bounds of the socket. Its clients are programs of this machine's users, who may be careless or hostile to each other.
const (
	// maxRequest is the longest request body: 100,000 store paths of 100 bytes and some room.
	maxRequest = 16 << 20
	// maxAnswer is the longest answer that the client reads.
	maxAnswer = 256 << 20
	// maxConns bounds the connections served at once.
	maxConns = 256
	// headerTimeout ends a connection that says nothing.
	headerTimeout = 5 * time.Second
	// drainTime is how long running requests may go on when the server is told to end.
	drainTime = 5 * time.Second
	// dialTimeout: a socket of this machine answers at once or not at all.
	dialTimeout = 2 * time.Second
)
