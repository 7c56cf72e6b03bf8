package ledger

import (
	"sync"
	"sync/atomic"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// Meter counts bytes. Its zero value is ready.
type Meter struct {
	total account

	mu    sync.Mutex
	peers map[peer.ID]*account
	clock uint64 // grows with each use of an account
}

var _ transfer.Meter = (*Meter)(nil)

// account is the traffic with one peer, or with all.
type account struct {
	by   [wire.Protocols]counter
	lan  counter
	used uint64 // Meter.clock when it was asked for last
}

type counter struct {
	sent, received atomic.Uint64
}

func (c *counter) bytes() transfer.Bytes {
	return transfer.Bytes{Sent: c.sent.Load(), Received: c.received.Load()}
}

func (a *account) traffic() transfer.Traffic {
	return transfer.Traffic{
		Lookup: a.by[wire.Lookup].bytes(),
		Fetch:  a.by[wire.Fetch].bytes(),
		Sync:   a.by[wire.Sync].bytes(),
		Offer:  a.by[wire.Offer].bytes(),
		LAN:    a.lan.bytes(),
	}
}

// Traffic implements [transfer.Meter].
func (m *Meter) Traffic() transfer.Traffic { return m.total.traffic() }

// PeerTraffic implements [transfer.Meter].
func (m *Meter) PeerTraffic() map[peer.ID]transfer.Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[peer.ID]transfer.Traffic, len(m.peers))
	for p, a := range m.peers {
		all[p] = a.traffic()
	}
	return all
}

// Tap is where the bytes of one stream are counted.
type Tap struct {
	counters [4]*counter
	n        int
}

// Tap returns what to tell of the bytes of one stream.
func (m *Meter) Tap(p peer.ID, by wire.Protocol, lan bool) *Tap {
	a := m.account(p)
	t := &Tap{counters: [4]*counter{&m.total.by[by], &a.by[by]}, n: 2}
	if lan {
		t.counters[2], t.counters[3], t.n = &m.total.lan, &a.lan, 4
	}
	return t
}

// Sent counts n bytes that the transport took.
func (t *Tap) Sent(n int) {
	for _, c := range t.counters[:t.n] {
		c.sent.Add(uint64(n))
	}
}

// Received counts n bytes that the transport gave.
func (t *Tap) Received(n int) {
	for _, c := range t.counters[:t.n] {
		c.received.Add(uint64(n))
	}
}

func (m *Meter) account(p peer.ID) *account {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.peers[p]
	if a == nil {
		if m.peers == nil {
			m.peers = make(map[peer.ID]*account)
		}
		if len(m.peers) >= MaxAccounts {
			m.forgetOldest()
		}
		a = new(account)
		m.peers[p] = a
	}
	m.clock++
	a.used = m.clock
	return a
}

// forgetOldest drops the account that was asked for longest ago. The totals keep
// what it had.
func (m *Meter) forgetOldest() {
	var oldest peer.ID
	least := m.clock + 1
	for p, a := range m.peers {
		if a.used < least {
			oldest, least = p, a.used
		}
	}
	delete(m.peers, oldest)
}
