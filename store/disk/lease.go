package disk

import (
	"hash/maphash"
	"sync"

	"github.com/flurry-nix/flurry/store"
)

// leases is which content batches hold: what each has put or found, and, while a collection is under way, what those have
// that ended since it began. Keys are remembered by a 64-bit hash under the store's own random seed: two that fall together
// cost a little room until the next collection, and nobody can make them do so.
type leases struct {
	seed maphash.Seed

	// sweeping is held for reading over each "is it here? then it is held", and for writing over each "is it held? else it
	// goes", so that neither comes between the other's two steps.
	sweeping sync.RWMutex

	mu         sync.Mutex
	open       map[*batch]struct{}
	collecting bool
	ended      []map[uint64]struct{} // of batches that ended while collecting
}

func newLeases(seed maphash.Seed) *leases {
	return &leases{seed: seed, open: make(map[*batch]struct{})}
}

func (l *leases) hash(k store.Key) uint64 { return maphash.Comparable(l.seed, k) }

// begin notes a new batch.
func (l *leases) begin(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[b] = struct{}{}
}

// end forgets a batch that held held.
func (l *leases) end(b *batch, held map[uint64]struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, b)
	if l.collecting {
		l.ended = append(l.ended, held)
	}
}

// start makes the leases outlive their batches until stop. It is false when they do already.
func (l *leases) start() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.collecting {
		return false
	}
	l.collecting = true
	return true
}

func (l *leases) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.collecting, l.ended = false, nil
}

// held is a function that tells whether a batch holds a key. The caller has sweeping for writing for as long as it uses
// that: what batches hold changes under sweeping for reading alone.
func (l *leases) held() func(store.Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	sets := append([]map[uint64]struct{}(nil), l.ended...)
	for b := range l.open {
		if len(b.held) > 0 {
			sets = append(sets, b.held)
		}
	}
	return func(k store.Key) bool {
		h := l.hash(k)
		for _, s := range sets {
			if _, ok := s[h]; ok {
				return true
			}
		}
		return false
	}
}
