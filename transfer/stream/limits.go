package stream

import "time"

// Bounds of what strangers may take up, each with its reason. What one question
// may be, packages transfer and wire bound.
const (
	// dialTimeout is how long a connection may take, all of a peer's addresses
	// together. Who needs more is of no use to a build; a peer that is gone
	// costs this much.
	dialTimeout = 3 * time.Second

	// openTimeout is how long opening a stream may take on a connection that
	// stands, which is a round trip at most.
	openTimeout = 5 * time.Second

	// streamsPerPeer is how many streams one peer may have open here: Nix
	// fetches 25 files at a time, each of which may ask for a body and for
	// chunks, and each namespace may have a long poll. What is beyond it is
	// reset.
	streamsPerPeer = 192

	// streamsInAll is how many streams all peers together may have open here.
	// A stream that waits costs about 20 KiB.
	streamsInAll = 8192

	// rateLAN and rateWAN are how many questions a second a peer may ask, and
	// burstLAN and burstWAN how many at once. A lookup costs about 0.1 ms. What
	// is beyond it is told to come back in tooOften.
	rateLAN, burstLAN = 2000, 4000
	rateWAN, burstWAN = 200, 1000
	tooOften          = time.Second

	// strikes is how many times a peer may ask all the same before it is banned
	// for floodBan. An honest one stops at the first.
	strikes  = 1000
	floodBan = time.Minute

	// defaultUploads is how many answers with chunks are sent at a time, to all
	// peers: each holds a run, at most 4 MiB with its encoding. uploadsShare is
	// the part of them that one peer may have.
	defaultUploads = 64
	uploadsShare   = 2

	// slowestUpload is how many bytes a second an upload must be able to have,
	// else there are fewer uploads at a time. It is eight times the slowest
	// pace that the other side puts up with.
	slowestUpload = 16 << 10

	// bodies is how many bodies are sent at a time, to all peers, and
	// bodiesPerPeer to one: each is in memory whole, up to 64 MiB.
	bodies, bodiesPerPeer = 6, 3

	// texts is the same for other texts (4 MiB), lookups for lookups (8 MiB,
	// and mostly less than one), and syncs for answers to sync (11 MiB, mostly
	// none). What waits for news does not count as a sync until there is some.
	texts, textsPerPeer     = 32, 16
	lookups, lookupsPerPeer = 32, 16
	syncs, syncsPerPeer     = 16, 8

	// polls is how many syncs may wait for news, pollsPerPeer those of one peer:
	// it has one for each namespace that it follows.
	polls, pollsPerPeer = 4096, 64

	// offers is how many offers may be taken or wait to be, offersPerPeer those of
	// one peer. One that waits costs a stream; what is fetched for them is bounded
	// by who answers.
	offers, offersPerPeer = 1024, 16

	// queueTime is how long a question waits for its turn before its asker is
	// told to come back in busyFor. It is well within what askers wait.
	queueTime = 3 * time.Second
	busyFor   = 2 * time.Second

	// throttleBurst is how many bytes may be sent to the internet at once after
	// a silence, in seconds of the agreed rate.
	throttleBurst = 0.25

	// interfacesFor is how long the list of this machine's networks is used
	// before it is made again. Networks change when laptops move.
	interfacesFor = 10 * time.Second

	// eventBuffer is how many of libp2p's events may wait. Handling one takes
	// microseconds; a full buffer holds up libp2p, and loses nothing.
	eventBuffer = 256
)
