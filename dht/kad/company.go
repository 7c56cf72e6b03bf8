package kad

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/peer"
)

// companyKey is where the peers to begin with stand in the store, as JSON.
const companyKey = "company"

// company is the peers to begin with: those that the node was given, those that
// were found elsewhere, and, over restarts, those of the last routing table. With
// them a node finds its way back when every bootstrap peer is gone.
type company struct {
	db   *db
	self libpeer.ID
	news chan struct{} // holds one token when a peer was added

	mu    sync.Mutex
	fixed []libpeer.AddrInfo // given, never forgotten
	found []libpeer.AddrInfo // the newest last, at most maxKnown
	fresh []libpeer.AddrInfo // those of found that were not dialled yet
}

func openCompany(d *db, self libpeer.ID, bootstrap []peer.Info) (*company, error) {
	c := &company{db: d, self: self, news: make(chan struct{}, 1)}
	for _, b := range bootstrap {
		info, err := addrInfo(b)
		if err != nil {
			return nil, fmt.Errorf("bootstrap peer: %w", err)
		}
		c.fixed = append(c.fixed, info)
	}
	raw, found, err := d.get([]byte(companyKey))
	if err != nil || !found {
		return c, err
	}
	var saved []peer.Info
	if json.Unmarshal(raw, &saved) != nil {
		return c, nil // a memory of hearsay; the next save replaces it
	}
	for _, p := range saved[:min(len(saved), maxKnown)] {
		c.add(p)
	}
	return c, nil
}

// add notes a peer that was found. What is no peer is passed over: it is hearsay.
func (c *company) add(p peer.Info) {
	info, err := addrInfo(p)
	if err != nil || info.ID == c.self || len(info.Addrs) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	same := func(o libpeer.AddrInfo) bool { return o.ID == info.ID }
	c.found = append(slices.DeleteFunc(c.found, same), info)
	c.found = c.found[max(0, len(c.found)-maxKnown):]
	c.fresh = append(slices.DeleteFunc(c.fresh, same), info)
	c.fresh = c.fresh[max(0, len(c.fresh)-maxKnown):]
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// all returns whom to dial when this node is alone.
func (c *company) all() []libpeer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh = nil
	return slices.Concat(c.fixed, c.found)
}

// unmet returns whom to dial since they are new.
func (c *company) unmet() []libpeer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	unmet := c.fresh
	c.fresh = nil
	return unmet
}

// save keeps the peers of the routing table for the next run.
func (c *company) save(d *kaddht.IpfsDHT) error {
	ps := d.Host().Peerstore()
	var infos []peer.Info
	for _, id := range d.RoutingTable().ListPeers() {
		if info := infoOf(ps.PeerInfo(id)); len(info.Addrs) > 0 && len(infos) < maxKnown {
			infos = append(infos, info)
		}
	}
	if len(infos) == 0 {
		return nil // better the old ones than none
	}
	raw, err := json.Marshal(infos)
	if err != nil {
		return err
	}
	if err := c.db.Set([]byte(companyKey), raw, pebble.NoSync); err != nil {
		return fmt.Errorf("save the peers to begin with: %w", err)
	}
	return nil
}

// keepCompany dials peers: everybody known while the routing table is empty, at
// growing intervals, and who is found elsewhere while it is small. Now and then it
// saves whom it knows.
func (s *session) keepCompany(ctx context.Context) {
	c := s.router.company
	save := time.NewTicker(saveInterval)
	defer save.Stop()
	wait := watchInterval
	again := time.NewTimer(wait)
	defer again.Stop()
	s.meet(ctx, c.all())
	for {
		select {
		case <-ctx.Done():
			return
		case <-save.C:
			if err := c.save(s.dht); err != nil {
				s.router.o.Log.Warn("the DHT's store", "err", err)
			}
		case <-c.news:
			if unmet := c.unmet(); s.dht.RoutingTable().Size() < enoughPeers {
				s.meet(ctx, unmet)
			}
		case <-again.C:
			if s.dht.RoutingTable().Size() > 0 {
				wait = watchInterval
				again.Reset(lonelyInterval)
				continue
			}
			s.meet(ctx, c.all())
			again.Reset(wait)
			wait = min(wait*2, retryInterval)
		}
	}
}

// meet dials peers, a few at once. Whoever answers and speaks the DHT's protocol
// finds its way into the routing table through the library.
func (s *session) meet(ctx context.Context, peers []libpeer.AddrInfo) {
	var dials sync.WaitGroup
	defer dials.Wait()
	slots := make(chan struct{}, maxDials)
	for _, p := range peers {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		dials.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			if err := s.router.host.Connect(ctx, p); err != nil {
				s.router.o.Log.Debug("DHT peer not reached", "peer", peer.ID(p.ID.String()).Short(), "err", err)
			}
		})
	}
}

var errNoPeer = errors.New("not a peer id")

// addrInfo is the library's form of a peer. Addresses that cannot be dialled are
// left out.
func addrInfo(p peer.Info) (libpeer.AddrInfo, error) {
	id, err := libpeer.Decode(string(p.ID))
	if err != nil {
		return libpeer.AddrInfo{}, fmt.Errorf("%w: %.64q", errNoPeer, p.ID)
	}
	info := libpeer.AddrInfo{ID: id}
	for _, text := range p.Addrs[:min(len(p.Addrs), 2*dht.MaxAddrs)] {
		if a, err := ma.NewMultiaddr(text); err == nil {
			info.Addrs = append(info.Addrs, a)
		}
	}
	return info, nil
}

// infoOf is our form of a peer, with at most [dht.MaxAddrs] addresses, the public
// ones first.
func infoOf(p libpeer.AddrInfo) peer.Info {
	info := peer.Info{ID: peer.ID(p.ID.String())}
	for _, a := range dialable(p.Addrs) {
		if len(info.Addrs) < dht.MaxAddrs {
			info.Addrs = append(info.Addrs, a.String())
		}
	}
	return info
}
