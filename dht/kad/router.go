package kad

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	mh "github.com/multiformats/go-multihash"
	"golang.org/x/time/rate"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/peer"
)

// ErrRunning says that a router runs already, or cannot be closed because it does.
var ErrRunning = errors.New("the DHT router is running")

// Router is one node's part of the DHT. [Router.Run] makes it speak; before and
// after, Provide and Withdraw are remembered, and Providers finds nobody.
type Router struct {
	host     host.Host
	o        Options
	db       *db
	provided *provided
	records  *records
	company  *company
	walks    chan struct{} // holds a token for each walk
	pace     *rate.Limiter // of records told to others
	sent     atomic.Uint64 // records told to others since the start

	mu      sync.Mutex // of what follows, and of the order in which keys come and go
	session *session   // nil while the router does not run
}

var _ dht.Router = (*Router)(nil)

// New makes a router on h. It starts nothing and sends nothing. The caller closes
// it.
func New(h host.Host, o Options) (*Router, error) {
	o = o.withDefaults()
	d, err := openDB(o.Dir, o.Log)
	if err != nil {
		return nil, err
	}
	r := &Router{
		host:    h,
		o:       o,
		db:      d,
		records: newRecords(d, h.ID(), o.Accept),
		walks:   make(chan struct{}, maxWalks),
		pace:    rate.NewLimiter(announceRate, announceBurst),
	}
	if r.provided, err = openProvided(d); err == nil {
		r.company, err = openCompany(d, h.ID(), o.Bootstrap)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the DHT's store: %w", err), d.close())
	}
	return r, nil
}

// Close closes the store. Run must have returned.
func (r *Router) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		return ErrRunning
	}
	return r.db.close()
}

// Provide implements [dht.Router].
func (r *Router) Provide(ctx context.Context, keys ...dht.Key) error {
	return r.change(ctx, keys, r.provide)
}

// Withdraw implements [dht.Router].
func (r *Router) Withdraw(ctx context.Context, keys ...dht.Key) error {
	return r.change(ctx, keys, r.withdraw)
}

// change applies fn to keys in batches, so that an ended context stops it.
func (r *Router) change(ctx context.Context, keys []dht.Key, fn func(context.Context, []dht.Key) error) error {
	for batch := range slices.Chunk(keys, keyBatch) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

func (r *Router) provide(_ context.Context, keys []dht.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	added, err := r.provided.add(keys)
	if err != nil {
		return fmt.Errorf("provide %d keys: %w", len(keys), err)
	}
	if r.session == nil || len(added) == 0 {
		return nil
	}
	return r.session.announce(added)
}

func (r *Router) withdraw(ctx context.Context, keys []dht.Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.provided.remove(keys); err != nil {
		return fmt.Errorf("withdraw %d keys: %w", len(keys), err)
	}
	for _, k := range keys {
		if err := r.records.forget(ctx, k.Multihash()); err != nil {
			return fmt.Errorf("withdraw %s: %w", k, err)
		}
	}
	if r.session == nil {
		return nil
	}
	return r.session.renounce(keys)
}

// AddPeer tells the router about a peer that was found elsewhere. It is dialled
// when the router runs and knows few others.
func (r *Router) AddPeer(p peer.Info) { r.company.add(p) }

// Stats is what people are shown of a router.
type Stats struct {
	// Running is whether the router takes part.
	Running bool
	// Server is whether it answers others.
	Server bool
	// Peers is how many others are in the routing table.
	Peers int
	// Provided is how many keys this node provides, and Untold how many of them
	// no other node has taken yet.
	Provided, Untold int
	// Sent is how many records were told to others since the start.
	Sent uint64
	// Replicas is how many nodes are told of each key, Interval how often, and
	// Rate how many records a second this node tells at most.
	Replicas int
	Interval time.Duration
	Rate     int
	// Records is how many records are kept for others, and Refused for how many
	// there was no room, since the start.
	Records int
	Refused uint64
}

// Stats returns what the router does now.
func (r *Router) Stats() Stats {
	s := Stats{Sent: r.sent.Load(), Replicas: replicas, Interval: provideInterval, Rate: announceRate}
	s.Provided, s.Untold = r.provided.counts()
	s.Records, s.Refused = r.records.counts()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		s.Running = true
		s.Peers = r.session.dht.RoutingTable().Size()
		s.Server = slices.Contains(r.host.Mux().Protocols(), protocolID)
	}
	return s
}

func multihashes(keys []dht.Key) []mh.Multihash {
	out := make([]mh.Multihash, len(keys))
	for i, k := range keys {
		out[i] = k.Multihash()
	}
	return out
}
