package control

import "time"

// Bounds of the socket. Its clients are programs of this machine's users, who may be careless or hostile to each other.
const (
	// maxRequest is the longest request body: 100,000 store paths of 100 bytes and some room.
	maxRequest = 16 << 20
	// maxHeader is the longest head of a request: a store path and a key, with room.
	maxHeader = 16 << 10
	// maxAnswer is the longest answer that the client reads: the paths of a namespace of a million.
	maxAnswer = 256 << 20

	// maxGuests bounds the connections of each role, so that those who may less cannot lock out those who may more; maxGuestsEach
	// those of one user who is no admin, so that none locks out the others. Those that have not asked anything make way for who comes,
	// so that they lock out nobody, also not before headerTimeout ends them.
	maxGuests     = 256
	maxGuestsEach = 64
	// speakTime is how long who has begun to ask need not make way for another one of the same user: on a busy machine the server
	// takes a while to come to a request.
	speakTime = 100 * time.Millisecond
	// roleTime is how long somebody keeps the role that was looked up: the system may take its time to name users' groups, and whoever
	// comes again and again must not have all others wait for that. maxKnown bounds of how many that is remembered.
	roleTime = time.Second
	maxKnown = 1024

	// headerTimeout ends a connection that says nothing, bodyTimeout one that does not come to the end of its request:
	// programs of this machine have it ready.
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	// lineTimeout ends a request whose client has read nothing for so long that the socket's buffer is full.
	lineTimeout = time.Minute
	// progressEvery is the least time between two lines of progress: nobody reads faster.
	progressEvery = 100 * time.Millisecond

	// drainTime is how long running requests may go on when the server is told to end.
	drainTime = 5 * time.Second
	// dialTimeout: a socket of this machine answers at once or not at all. dialPause is between two attempts while its queue is full.
	dialTimeout = 2 * time.Second
	dialPause   = 10 * time.Millisecond
)
