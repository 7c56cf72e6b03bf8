package static

import "time"

// Bounds of asking after one hint, each with its reason.
const (
	// defaultEvery is how often a peer is looked for again, found or not.
	defaultEvery = time.Minute

	// firstRetry is how long the first failure is waited out; each further one
	// takes twice as long, up to every. A daemon often starts before its
	// network.
	firstRetry = 2 * time.Second

	// resolveTimeout is how long a name may take: two tries of a resolver that
	// has lost a packet.
	resolveTimeout = 6 * time.Second

	// dialTimeout is how long all addresses of a hint may take over one
	// transport.
	dialTimeout = 3 * time.Second

	// probeTimeout is how long somebody who is no libp2p node may take to show
	// what it is.
	probeTimeout = time.Second

	// maxIPs is how many addresses of a name are tried: a list of seeds behind
	// one name.
	maxIPs = 8

	// maxTXT is how many entries of a dnsaddr are read, and maxDepth how often
	// one may lead to the next.
	maxTXT   = 32
	maxDepth = 2

	// atOnce is how many hints are asked after at a time.
	atOnce = 8
)
