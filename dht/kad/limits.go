package kad

import (
	"time"

	"github.com/flurry-nix/flurry/dht"
)

// The shape of the network. All its nodes must agree on bucketSize.
const (
	// bucketSize is Kademlia's k: how many peers a bucket of the routing table
	// holds, and how many nodes closest to a key are asked.
	bucketSize = 20

	// replicas is how many of the closest nodes are told that this node provides
	// a key. Half of those that are asked: each record is sent and stored half as
	// often, and a walk still meets ten holders where one suffices.
	replicas = 10

	// concurrency is Kademlia's alpha, how many nodes are asked at once.
	concurrency = 10

	// refreshInterval is how often the routing table is refreshed. Each refresh
	// is a walk for every bucket; peers that fail leave the table when they fail.
	refreshInterval = 30 * time.Minute

	// provideInterval is how often provided keys are told again, provideDelay how
	// much later it may become, and validity how long a record counts at the node
	// that keeps it: two intervals and slack for one that failed.
	provideInterval = 22 * time.Hour
	provideDelay    = time.Hour
	validity        = 48 * time.Hour

	// addrTTL is how long the addresses that came with a record are kept. A day
	// bridges the interval; after it a provider is named without addresses.
	addrTTL = 24 * time.Hour

	// announceRate is how many records a second this node tells others of, and
	// announceBurst how many at once: 100,000 new paths take half an hour and 600
	// kbit/s of the line, a publication of 100 is told at once. Told again over
	// provideInterval they take 13 a second.
	announceRate  = 500
	announceBurst = 2000

	// maxPerNetwork is how many peers of one public /16 of IPv4 or /32 of IPv6,
	// what one party buys, a bucket takes: half, so that nobody fills a bucket
	// from one hosting account, while a network within one such range works.
	maxPerNetwork = bucketSize / 2
)

// What messages may hold. The Kademlia library lets 4 MiB through.
const (
	// maxKey is the longest key of a message in bytes, the library's own bound
	// where it checks one.
	maxKey = 80

	// maxPeerID is the longest peer id in bytes: a SHA-512 multihash has 66,
	// what is in use 34 to 39.
	maxPeerID = 66

	// maxAddrBytes is the longest address in bytes. One through a relay over
	// IPv6 and QUIC with two peer ids has 111.
	maxAddrBytes = 128

	// maxPeerBytes is the longest peer in a message that passes the guard, with
	// what frames its fields.
	maxPeerBytes = maxPeerID + dht.MaxAddrs*maxAddrBytes + (dht.MaxAddrs+3)*3

	// maxProviders is how many providers of one answer are taken: a random few of
	// those recorded are as good as all, and a liar should not fill a walk.
	maxProviders = 32

	// maxCloser is how many closer peers of one answer are taken; an honest one
	// names bucketSize.
	maxCloser = bucketSize

	// maxFrame is the longest message that is read, in bytes: as the guard of an
	// honest peer would have let it out at its largest.
	maxFrame = maxKey + (maxProviders+maxCloser)*(maxPeerBytes+4) + 64

	// frameRate and frameBurst bound the requests of one peer, in messages a
	// second. In a small network each node is sent everything that a publisher
	// provides: 100,000 keys pass in under two minutes, and the sender waits rather
	// than fail. A request costs some 50 µs.
	frameRate  = 1000
	frameBurst = 4000

	// maxWait is the longest that a request waits for its turn. Whoever has so
	// many waiting is cut.
	maxWait = 5 * time.Second

	// meterBins is how many rates are kept; peers share them by a secret hash.
	meterBins = 4096
)

// What is kept for others. A record takes some 100 bytes on disk.
const (
	// maxRecords is how many records are kept in all: about 100 MiB. Reaching it
	// trims the greediest until keepRecords are left.
	maxRecords  = 1 << 20
	keepRecords = maxRecords / 4 * 3

	// maxPerPeer is how many records one peer may have: a publisher with 100,000
	// paths in a network so small that every node is told all of them.
	maxPerPeer = 1 << 17

	// maxPerKey is how many providers of one key are recorded. An answer names
	// maxProviders of them; who is recorded stays by telling again.
	maxPerKey = 256

	// recordBins is how many counters of records there are. Peers share them by a
	// secret hash: memory is bounded however many peers there are, and nobody can
	// choose whom to share with. At 4 bytes each, 256 KiB.
	recordBins = 1 << 16

	// cleanupInterval is how often expired records are deleted.
	cleanupInterval = time.Hour
)

// What walks and dials may cost.
const (
	// maxWalk is the longest a walk lasts whatever its caller allows.
	maxWalk = time.Minute

	// maxWalks is how many walks for callers run at once; more wait. Each asks up
	// to concurrency peers at a time.
	maxWalks = 8

	// maxFound is how many providers one walk yields: more than anybody asks, and
	// more than the nodes that a walk asks can fill with maxProviders lies each
	// before the honest ones among them have answered.
	maxFound = 1024

	// maxUnaddressed is how many providers without an address a walk looks up.
	maxUnaddressed = 4

	// maxKnown is how many peers are remembered to begin with, over restarts.
	maxKnown = 64

	// enoughPeers is from how many peers in the routing table on a peer that was
	// found elsewhere is not dialled for the DHT's sake.
	enoughPeers = bucketSize

	// dialTimeout bounds one such dial, and maxDials how many run at once.
	dialTimeout = 5 * time.Second
	maxDials    = 4

	// lonelyInterval is how often a node that knows others looks whether it still
	// does.
	lonelyInterval = time.Minute

	// saveInterval is how often the peers to begin with are saved.
	saveInterval = 15 * time.Minute

	// retryInterval is how often keys that nobody was told about are tried again,
	// the interval of the library for what failed.
	retryInterval = 5 * time.Minute

	// moveInterval is how often everything is announced again, at most, because
	// this node's addresses have changed.
	moveInterval = time.Hour

	// watchInterval is how often a node that has keys to tell, and nobody to tell
	// or no address to tell, looks whether that has changed.
	watchInterval = time.Second

	// keyBatch is how many keys are written or handed on in one step.
	keyBatch = 4096
)

// What the store of keys and records may take of memory: a node at rest is to
// stay small, and records are asked for at random, so that caches help little.
const (
	cacheBytes    = 1 << 20
	memTableBytes = 1 << 20
	maxOpenFiles  = 64
)
