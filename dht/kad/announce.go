package kad

import (
	"context"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/dht"
)

// keepAnnouncing opens the sweep once there is something to announce and somebody
// to tell, and sees to what the library does not: that every key is told at least
// once, also those that came while the node was offline, and that everything is
// told again when the node's addresses have changed. A node that provides nothing
// never opens it.
func (s *session) keepAnnouncing(ctx context.Context) error {
	if !s.awaitKeys(ctx) || !s.awaitAudience(ctx) {
		return nil
	}
	if err := s.openSweep(); err != nil {
		return fmt.Errorf("announce in the DHT: %w", err)
	}
	wait, face := watchInterval, s.face()
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
		last := face
		if face = s.face(); s.sweep.outdated(last, face, time.Now()) {
			if err := s.move(); err != nil {
				return fmt.Errorf("announce in the DHT: %w", err)
			}
		}
		if err := s.announceUntold(ctx); err != nil && ctx.Err() == nil {
			s.router.o.Log.Warn("keys not announced in the DHT, trying again", "err", err)
		}
	}
}

// move announces everything anew, at new addresses.
func (s *session) move() error {
	s.router.o.Log.Info("addresses changed, announcing again in the DHT")
	if err := s.closeSweep(); err != nil {
		return err
	}
	return s.openSweep()
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
	for wait := watchInterval / 64; !s.heard(); wait = min(2*wait, watchInterval) {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return false
		}
	}
	return true
}

// heard reports whether a peer in the routing table can be told an address.
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

// announceUntold hands the sweep every key that nobody was told about, unless it
// is busy, perhaps with these.
func (s *session) announceUntold(ctx context.Context) error {
	if _, untold := s.router.provided.counts(); untold == 0 {
		return nil
	}
	if idle, err := s.sweep.idle(ctx); err != nil || !idle {
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
