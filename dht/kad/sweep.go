package kad

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/namespace"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
	"golang.org/x/time/rate"

	"github.com/flurry-nix/flurry/dht"
)

// In the store, sweepStore is where the library's provider keeps its schedule, and
// faceKey the addresses that it announces.
const (
	sweepStore = "/sweep"
	faceKey    = "face"
)

// sweep is the library's provider: it announces the keys of one region of the
// keyspace after the other, each region once an interval.
type sweep struct {
	*provider.SweepingProvider
	face  string // the addresses that it announces
	begun time.Time
}

// addrs is where this node can be reached, the public addresses first.
func (s *session) addrs() []ma.Multiaddr { return dialable(s.router.host.Addrs()) }

// face is the addresses by which this node is found: those of the widest scope
// that it has.
func (s *session) face() string {
	var face []string
	addrs := s.addrs()
	for _, a := range addrs {
		if scopeOf(a) == scopeOf(addrs[0]) {
			face = append(face, a.String())
		}
	}
	slices.Sort(face)
	return strings.Join(face, " ")
}

// openSweep starts the library's provider. It goes on where the last one was, over
// restarts, unless this node's addresses are others since: then everything is
// announced anew, since whoever keeps its records would send others astray.
func (s *session) openSweep() error {
	r := s.router
	face := s.face()
	last, _, err := r.db.get([]byte(faceKey))
	if err != nil {
		return err
	}
	if err := r.db.Set([]byte(faceKey), []byte(face), pebble.NoSync); err != nil {
		return err
	}
	p, err := provider.New(
		provider.WithHost(r.host),
		provider.WithRouter(s.dht),
		provider.WithMessageSender(&teller{s.dht.MessageSender(), r.provided, r.pace, &r.sent}),
		provider.WithSelfAddrs(s.addrs),
		provider.WithAddLocalRecord(s.addLocal),
		provider.WithKeystore(r.provided),
		provider.WithDatastore(namespace.Wrap(r.db.ds, ds.NewKey(sweepStore))),
		provider.WithReplicationFactor(replicas),
		provider.WithReprovideInterval(provideInterval),
		provider.WithMaxReprovideDelay(provideDelay),
		provider.WithResumeCycle(string(last) == face),
		provider.WithConnectivityCallbacks(s.cameOnline, nil, nil),
	)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.sweep = &sweep{SweepingProvider: p, face: face, begun: time.Now()}
	return nil
}

// closeSweep stops the library's provider, if there is one, and waits for it.
func (s *session) closeSweep() error {
	s.router.mu.Lock()
	old := s.sweep
	s.sweep = nil
	s.router.mu.Unlock()
	if old == nil {
		return nil
	}
	return old.Close()
}

// outdated reports whether everything is to be announced again: the node has other
// addresses than those announced, the same twice in a row, since they come and go
// while a node learns its own, and it has not just been done.
func (w *sweep) outdated(last, now string, at time.Time) bool {
	return now != "" && now == last && now != w.face && at.Sub(w.begun) >= moveInterval
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

// idle reports whether the provider is online and has nothing to do.
func (w *sweep) idle(ctx context.Context) (bool, error) {
	st, err := w.Stats(ctx)
	if err != nil {
		return false, err
	}
	busy := st.Queues.PendingKeyProvides + st.Queues.PendingRegionReprovides +
		int64(st.Operations.Ongoing.RegionProvides+st.Operations.Ongoing.RegionReprovides)
	return busy == 0 && st.Connectivity.Status == "online", nil
}

// teller sends the provider's messages. It is the last door: a key that is no
// longer provided does not pass it, however long it was queued, and the rest pass at
// announceRate.
type teller struct {
	pb.MessageSender
	provided *provided
	pace     *rate.Limiter
	sent     *atomic.Uint64
}

// SendMessage implements [pb.MessageSender].
func (t *teller) SendMessage(ctx context.Context, to peer.ID, m *pb.Message) error {
	k, ok := dht.KeyOf(m.GetKey())
	if !ok {
		return fmt.Errorf("%x is no key of this DHT", m.GetKey())
	}
	if err := t.pace.Wait(ctx); err != nil {
		return err
	}
	told, found, err := t.provided.state(k)
	if err != nil || !found {
		return err
	}
	if err := t.MessageSender.SendMessage(ctx, to, m); err != nil {
		return err
	}
	t.sent.Add(1)
	if told {
		return nil
	}
	return t.provided.setTold(k)
}
