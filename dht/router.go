package dht

import (
	"context"
	"iter"

	"github.com/flurry-nix/flurry/peer"
)

// Router announces this node and finds others. All methods are safe for
// concurrent use.
type Router interface {
	// Provide makes this node a provider of keys: now, or as soon as there is
	// anybody to tell, and again before the records expire, until Withdraw, over
	// restarts. When it returns without an error the wish is durable; telling
	// others goes on in the background. Keys provided already are not told again
	// out of turn.
	Provide(ctx context.Context, keys ...Key) error

	// Withdraw ends providing keys. When it returns without an error that is
	// durable, and nobody will be told about them again; what others were told
	// before is forgotten only when it expires, up to two days later. Keys that
	// are not provided are passed over.
	Withdraw(ctx context.Context, keys ...Key) error

	// Providers walks the DHT and yields who is said to provide k, as they are
	// found, until the walk is done or ctx ends. It never yields this node, yields
	// each peer once, and yields at most [MaxAddrs] addresses of a peer, perhaps
	// none. It waits for the network: the caller sets the deadline.
	Providers(ctx context.Context, k Key) iter.Seq[peer.Info]
}
