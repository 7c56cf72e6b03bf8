package disk

import (
	"sync"

	"github.com/flurry-nix/flurry/store"
)

// entry is a record that lies in a pack and is not yet in the index.
type entry struct {
	key store.Key
	at  location
}

// pending finds the records that are written and not yet indexed, of all
// packs. What is in it is bounded by the backlog of the packs.
type pending struct {
	mu sync.RWMutex
	m  map[store.Key]location
}

func newPending() *pending { return &pending{m: make(map[store.Key]location)} }

func (p *pending) find(k store.Key) (location, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	at, ok := p.m[k]
	return at, ok
}

func (p *pending) add(e entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.m[e.key] = e.at
}

// drop forgets entries. One that meanwhile lies elsewhere stays.
func (p *pending) drop(entries []entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		if p.m[e.key] == e.at {
			delete(p.m, e.key)
		}
	}
}
