package transfer

import (
	"context"
	"time"

	"github.com/flurry-nix/flurry/peer"
)

// Network is this node's connections.
type Network interface {
	Dialer
	Bans
	Meter
}

// Dialer finds out who is connected, and connects.
type Dialer interface {
	// Self is this node's id, and where it can be reached.
	Self() peer.Info

	// Connect returns the connection to a peer, made now if there is none. It
	// gives up after a few seconds. Errors: ErrBanned, ErrNotFlurry, ErrClosed,
	// or the transport's.
	Connect(ctx context.Context, p peer.Info) (Conn, error)

	// Connected returns the connections to all peers that speak flurry.
	Connected() []Conn

	// Events tells who is connected: first everybody who is, then every change.
	// Changes that a slow reader missed are told by their outcome. The channel
	// is closed when ctx ends or the network is closed.
	Events(ctx context.Context) <-chan Event
}

// Event is that a peer that speaks flurry is connected, or is no more.
type Event struct {
	Peer peer.ID
	// Conn is the connection; nil when the peer is no longer connected.
	Conn Conn
}

// Bans is who is not talked to.
type Bans interface {
	// Ban closes all connections to p and makes none for d. A ban that ends
	// later than the new one stays.
	Ban(p peer.ID, d time.Duration, why string)

	// Banned lists the bans that hold, by peer.
	Banned() []Ban
}

// Ban is one peer that is not talked to.
type Ban struct {
	Peer  peer.ID
	Until time.Time
	Why   string
}

// Meter counts payload: the bytes of requests and answers as they were given to
// the transport and came from it, frame lengths included, without what
// encryption, multiplexing and negotiation add. It counts what was cut off too.
type Meter interface {
	// Traffic is the sum over all peers since the start.
	Traffic() Traffic

	// PeerTraffic is the traffic with each peer that is connected, and with
	// some that were lately.
	PeerTraffic() map[peer.ID]Traffic
}

// Traffic counts bytes by protocol.
type Traffic struct {
	Lookup, Fetch, Sync, Offer Bytes
	// LAN is the part of all four that went over connections for which
	// Remote.LAN holds.
	LAN Bytes
}

// Bytes is how many bytes were sent and received.
type Bytes struct {
	Sent, Received uint64
}

// Total is the sum over the protocols.
func (t Traffic) Total() Bytes {
	return Bytes{
		Sent:     t.Lookup.Sent + t.Fetch.Sent + t.Sync.Sent + t.Offer.Sent,
		Received: t.Lookup.Received + t.Fetch.Received + t.Sync.Received + t.Offer.Received,
	}
}
