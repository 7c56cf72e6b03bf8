package kad

import (
	"context"
	"fmt"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"

	"github.com/flurry-nix/flurry/dht"
)

// sweepStore is where the library's provider keeps its schedule in the store.
const sweepStore = "/sweep"

// keepAnnouncing starts the library's provider once there is something to announce
// and somebody to tell, and sees to it that every key is told at least once: the
// provider drops keys that come while it is offline. A node that provides nothing
// never starts it.
func (s *session) keepAnnouncing(ctx context.Context) error {
	if !s.awaitKeys(ctx) || !s.awaitAudience(ctx) {
		return nil
	}
	if err := s.startSweep(); err != nil {
		return fmt.Errorf("announce in the DHT: %w", err)
	}
	wait := watchInterval
	for {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-s.online:
			wait = watchInterval
		case <-t.C:
			wait = min(wait*2, retryInterval)
		}
		t.Stop()
		if err := s.announceUntold(ctx); err != nil && ctx.Err() == nil {
			s.router.o.Log.Warn("keys not announced in the DHT, trying again", "err", err)
		}
	}
}

// awaitKeys waits until this node provides something.
func (s *session) awaitKeys(ctx context.Context) bool {
	for {
		if size, _ := s.router.provided.counts(); size > 0 {
			return true
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return false
		}
	}
}

// awaitAudience waits until there is somebody whom this node can tell an address.
func (s *session) awaitAudience(ctx context.Context) bool {
	t := time.NewTicker(watchInterval)
	defer t.Stop()
	for !s.heard() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (s *session) heard() bool {
	own := s.addrs()
	net := s.router.host.Network()
	for _, p := range s.dht.RoutingTable().ListPeers() {
		from := public
		for _, c := range net.ConnsToPeer(p) {
			from = min(from, connScope(c.RemoteMultiaddr()))
		}
		for _, a := range own {
			if tellable(scopeOf(a), from) {
				return true
			}
		}
	}
	return false
}

// addrs is where this node can be reached, the public addresses first.
func (s *session) addrs() []ma.Multiaddr { return dialable(s.router.host.Addrs()) }

// startSweep makes the library's provider. It announces what was not announced
// within the last interval, a region of the keyspace at a time.
func (s *session) startSweep() error {
	r := s.router
	sweep, err := provider.New(
		provider.WithHost(r.host),
		provider.WithRouter(s.dht),
		provider.WithMessageSender(teller{s.dht.MessageSender(), r.provided}),
		provider.WithSelfAddrs(s.addrs),
		provider.WithAddLocalRecord(s.addLocal),
		provider.WithKeystore(r.provided),
		provider.WithDatastore(namespace.Wrap(r.db.ds, ds.NewKey(sweepStore))),
		provider.WithReplicationFactor(replicas),
		provider.WithReprovideInterval(provideInterval),
		provider.WithMaxReprovideDelay(provideDelay),
		provider.WithConnectivityCallbacks(s.cameOnline, nil, nil),
	)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.sweep = sweep
	return nil
}

func (s *session) cameOnline() {
	select {
	case s.online <- struct{}{}:
	default:
	}
}

// addLocal makes this node name itself when it is asked for a key.
func (s *session) addLocal(m mh.Multihash) error {
	k, ok := dht.KeyOf(m)
	if !ok {
		return nil
	}
	r := s.router
	r.mu.Lock() // so that withdraw does not come between
	defer r.mu.Unlock()
	if _, found, err := r.provided.state(k); err != nil || !found {
		return err
	}
	return s.dht.ProviderStore().AddProvider(s.ctx, m, peer.AddrInfo{ID: r.host.ID()})
}

// announce tells others about new keys. It is called with router.mu held, and does
// not wait.
func (s *session) announce(keys []dht.Key) error {
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if s.sweep == nil {
		return nil // it will read them
	}
	return s.sweep.StartProviding(true, multihashes(keys)...)
}

// renounce drops keys from what is waiting to be told. It is called with router.mu
// held.
func (s *session) renounce(keys []dht.Key) error {
	if s.sweep == nil {
		return nil
	}
	return s.sweep.StopProviding(multihashes(keys)...)
}

// announceUntold hands the provider every key that nobody was told about, unless
// it is busy, perhaps with these.
func (s *session) announceUntold(ctx context.Context) error {
	if _, untold := s.router.provided.counts(); untold == 0 {
		return nil
	}
	if idle, err := s.idle(ctx); err != nil || !idle {
		return err
	}
	var last *dht.Key
	for ctx.Err() == nil {
		keys, err := s.announceSome(last)
		if err != nil || len(keys) == 0 {
			return err
		}
		last = &keys[len(keys)-1]
	}
	return nil
}

// announceSome announces the untold keys after last. It holds the lock meanwhile:
// a key that it has read cannot be withdrawn before it has handed it on.
func (s *session) announceSome(last *dht.Key) ([]dht.Key, error) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	keys, err := r.provided.untoldFrom(last, keyBatch)
	if err != nil {
		return nil, err
	}
	return keys, s.announce(keys)
}

// idle reports whether the provider is online and has nothing to do.
func (s *session) idle(ctx context.Context) (bool, error) {
	st, err := s.sweep.Stats(ctx) // set before, by this goroutine
	if err != nil {
		return false, err
	}
	busy := st.Queues.PendingKeyProvides + st.Queues.PendingRegionReprovides +
		int64(st.Operations.Ongoing.RegionProvides+st.Operations.Ongoing.RegionReprovides)
	return busy == 0 && st.Connectivity.Status == "online", nil
}

// teller sends the provider's messages. It is the last door: a key that is no
// longer provided does not pass it, however long it was queued.
type teller struct {
	pb.MessageSender
	provided *provided
}

// SendMessage implements [pb.MessageSender].
func (t teller) SendMessage(ctx context.Context, to peer.ID, m *pb.Message) error {
	k, ok := dht.KeyOf(m.GetKey())
	if !ok {
		return fmt.Errorf("%x is no key of this DHT", m.GetKey())
	}
	told, found, err := t.provided.state(k)
	if err != nil || !found {
		return err
	}
	if err := t.MessageSender.SendMessage(ctx, to, m); err != nil {
		return err
	}
	if told {
		return nil
	}
	return t.provided.setTold(k)
}
