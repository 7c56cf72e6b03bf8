package kad

import (
	"context"
	"errors"
	"fmt"
	"sync"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	kadrecords "github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// prefix is that of the DHT's protocol, and protocolID what the library makes of
// it.
const (
	prefix     protocol.ID = "/flurry"
	protocolID protocol.ID = prefix + "/kad/1.0.0"
)

// session is one running of a router.
type session struct {
	router *Router
	ctx    context.Context // ends before anything of the session is closed
	dht    *kaddht.IpfsDHT
	wake   chan struct{} // holds one token when keys were provided
	online chan struct{} // holds one token when the provider came online

	walks sync.WaitGroup // of callers

	// sweep is nil until there is something to announce. Only keepAnnouncing sets
	// it, with router.mu held; others read it with router.mu held.
	sweep *sweep
}

// Run takes part in the DHT until ctx ends, which is no error: it finds peers,
// answers them, and announces what is provided. It may be called again after it
// has returned.
func (r *Router) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := r.begin(ctx)
	if err != nil {
		return err
	}
	var loops sync.WaitGroup
	loops.Go(func() {
		if err = s.keepAnnouncing(ctx); err != nil {
			cancel()
		}
	})
	loops.Go(func() { s.keepCompany(ctx) })
	loops.Go(func() { s.keepRoom(ctx) })
	loops.Wait()
	return errors.Join(err, r.end(s))
}

// begin makes the session the router's.
func (r *Router) begin(ctx context.Context) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != nil {
		return nil, ErrRunning
	}
	if err := r.records.count(ctx); err != nil {
		return nil, fmt.Errorf("count the DHT's records: %w", err)
	}
	s := &session{router: r, ctx: ctx, wake: make(chan struct{}, 1), online: make(chan struct{}, 1)}
	d, err := kaddht.New(&guard{Host: r.host, meter: newMeter(ctx.Done())}, s.options()...)
	if err != nil {
		return nil, fmt.Errorf("start the DHT: %w", err)
	}
	s.dht, r.session = d, s
	return s, nil
}

func (s *session) options() []kaddht.Option {
	r := s.router
	return []kaddht.Option{
		kaddht.ProtocolPrefix(prefix),
		r.o.Mode.option(),
		// A peer can crash a node that sends it values (protocol_messenger.go,
		// PutValue), and nothing here needs them.
		kaddht.DisableValues(),
		kaddht.BucketSize(bucketSize),
		kaddht.Concurrency(concurrency),
		kaddht.RoutingTableRefreshPeriod(refreshInterval),
		kaddht.RoutingTablePeerDiversityFilter(newDiversity(r.host)),
		kaddht.AddressFilter(dialable),
		kaddht.ProviderDatastore(r.records),
		kaddht.ProviderManagerOpts(
			kadrecords.ProvideValidity(validity),
			kadrecords.ProviderAddrTTL(addrTTL),
			kadrecords.CleanupInterval(cleanupInterval),
			kadrecords.Cache(noCache{}),
		),
	}
}

// end closes what begin opened. Nobody uses the store when it returns, save the
// Run that may follow.
func (r *Router) end(s *session) error {
	r.mu.Lock()
	r.session = nil
	r.mu.Unlock()

	s.walks.Wait()
	err := errors.Join(r.company.save(s.dht), s.closeSweep())
	r.host.RemoveStreamHandler(protocolID)
	err = errors.Join(err, s.dht.Close())
	hangUp(r.host.Network())
	if err != nil {
		return fmt.Errorf("stop the DHT: %w", err)
	}
	return nil
}

// hangUp resets the streams of the DHT, which the library leaves open.
func hangUp(n network.Network) {
	for _, c := range n.Conns() {
		for _, s := range c.GetStreams() {
			if s.Protocol() == protocolID {
				_ = s.Reset() // it is gone either way
			}
		}
	}
}

// current returns the session, if the router runs, with a walk counted in it.
func (r *Router) current() (s *session, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session == nil {
		return nil, nil
	}
	r.session.walks.Add(1)
	return r.session, r.session.walks.Done
}

// keepRoom trims the records of others when there are too many.
func (s *session) keepRoom(ctx context.Context) {
	r := s.router
	for {
		select {
		case <-r.records.full:
			err := r.records.trim(ctx)
			if err != nil && ctx.Err() == nil {
				r.o.Log.Warn("DHT records not trimmed", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// dialable leaves out what cannot be dialled, and puts what more can dial first.
func dialable(addrs []ma.Multiaddr) []ma.Multiaddr {
	out := make([]ma.Multiaddr, 0, len(addrs))
	for want := public; want > nowhere; want-- {
		for _, a := range addrs {
			if scopeOf(a) == want {
				out = append(out, a)
			}
		}
	}
	return out
}
