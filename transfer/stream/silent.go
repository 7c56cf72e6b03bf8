package stream

import (
	"container/list"
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	manet "github.com/multiformats/go-multiaddr/net"
)

// silents are the inbound connections that have not shown yet whose they are. libp2p waits 15 s for each, and takes no more when there
// are too many: strangers who open connections and say nothing would keep everybody else out. So when there are too many of one
// address, or at all, the one that has said nothing for longest makes way for who comes.
type silents struct {
	mu      sync.Mutex
	order   list.List // of *silent, the oldest first
	byEnds  map[string]*list.Element
	byPlace map[netip.Prefix]*list.List // of *silent, the oldest first
}

// silent is one of them.
type silent struct {
	ends  string // both addresses
	place netip.Prefix
	conn  io.Closer // nil: it cannot be closed from here
	since time.Time
	of    *list.Element // in byPlace
}

// accept notes a connection, and closes the one that makes way for it.
func (s *silents) accept(c network.ConnMultiaddrs, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.order.Front(); e != nil && now.Sub(e.Value.(*silent).since).Abs() > silentTime; e = s.order.Front() {
		s.drop(e.Value.(*silent)) // libp2p has closed it
	}
	place := placeOf(c)
	if of := s.byPlace[place]; of != nil && of.Len() >= silentPerAddress {
		s.close(of.Front().Value.(*silent))
	}
	if s.order.Len() >= silentInAll {
		s.close(s.order.Front().Value.(*silent))
	}
	conn, _ := c.(io.Closer)
	one := &silent{ends: endsOf(c), place: place, conn: conn, since: now}
	if e := s.byEnds[one.ends]; e != nil { // libp2p has closed that long ago
		s.drop(e.Value.(*silent))
	}
	if s.byEnds == nil {
		s.byEnds, s.byPlace = make(map[string]*list.Element), make(map[netip.Prefix]*list.List)
	}
	s.byEnds[one.ends] = s.order.PushBack(one)
	if s.byPlace[place] == nil {
		s.byPlace[place] = list.New()
	}
	one.of = s.byPlace[place].PushBack(one)
}

// secured notes that a connection has shown whose it is.
func (s *silents) secured(c network.ConnMultiaddrs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byEnds[endsOf(c)]; e != nil {
		s.drop(e.Value.(*silent))
	}
}

// close is called with mu held. libp2p finds its connection closed, and gives up what it held for it.
func (s *silents) close(one *silent) {
	s.drop(one)
	if one.conn != nil {
		one.conn.Close() // of no interest: it was a stranger's
	}
}

// drop is called with mu held.
func (s *silents) drop(one *silent) {
	s.order.Remove(s.byEnds[one.ends])
	delete(s.byEnds, one.ends)
	of := s.byPlace[one.place]
	if of.Remove(one.of); of.Len() == 0 {
		delete(s.byPlace, one.place)
	}
}

func endsOf(c network.ConnMultiaddrs) string {
	return c.RemoteMultiaddr().String() + " " + c.LocalMultiaddr().String()
}

// placeOf is what one customer has: an address of IPv4, a network of IPv6. All that have none are of one place.
func placeOf(c network.ConnMultiaddrs) netip.Prefix {
	ip, err := manet.ToIP(c.RemoteMultiaddr())
	if err != nil {
		return netip.Prefix{}
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}
	}
	bits := 32
	if a = a.Unmap(); a.Is6() {
		bits = addressBits6
	}
	place, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return place
}
