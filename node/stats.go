package node

import "sync/atomic"

// stats are the node's counters since its start.
type stats struct {
	fetched atomic.Uint64 // raw bytes of chunks taken from peers
	bans    atomic.Uint64
}
