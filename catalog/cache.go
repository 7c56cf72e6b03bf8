package catalog

import (
	"container/list"
	"sync"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// answerCache keeps what Lookup found for the paths asked for last, within a
// bound of memory. It holds nothing that is not in the index.
type answerCache struct {
	limit int

	mu     sync.Mutex
	used   int
	order  list.List // of *cached, the latest first
	byPath map[cacheKey]*list.Element
	drops  uint64 // grows with every drop
}

type cacheKey struct {
	space spaceID
	path  nix.PathHash
}

type cached struct {
	key    cacheKey
	answer *answer
}

// answer is what Lookup found, and what it depends on. It does not change.
type answer struct {
	policy  *trust.Policy
	listers []lister         // who lists the path, dead or alive
	entries []trust.Verified // in the order of Lookup
	size    int              // of memory, in bytes, about
}

// lister is a publication and whether it was alive when the answer was made.
type lister struct {
	p     *publication
	alive bool
}

// stands reports whether a was made under this policy of what is alive now. The
// caller holds Catalog.mu.
func (a *answer) stands(policy *trust.Policy) bool {
	if a.policy != policy {
		return false
	}
	for _, l := range a.listers {
		if l.p.alive != l.alive {
			return false
		}
	}
	return true
}

func newAnswerCache(limit int) *answerCache {
	return &answerCache{limit: limit, byPath: make(map[cacheKey]*list.Element)}
}

// get returns the answer for a path, or nil and a ticket to put one.
func (c *answerCache) get(key cacheKey) (a *answer, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byPath[key]; e != nil {
		c.order.MoveToFront(e)
		return e.Value.(*cached).answer, c.drops
	}
	return nil, c.drops
}

// put keeps an answer, unless anything was dropped since the ticket was given:
// the answer may have been read before that.
func (c *answerCache) put(key cacheKey, a *answer, ticket uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drops != ticket || a.size > c.limit {
		return
	}
	c.forget(key)
	c.byPath[key] = c.order.PushFront(&cached{key, a})
	c.used += a.size
	for c.used > c.limit {
		c.forget(c.order.Back().Value.(*cached).key)
	}
}

// drop forgets one path, because what the index says of it changed.
func (c *answerCache) drop(space spaceID, path nix.PathHash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drops++
	c.forget(cacheKey{space, path})
}

func (c *answerCache) forget(key cacheKey) {
	if e := c.byPath[key]; e != nil {
		c.used -= c.order.Remove(e).(*cached).answer.size
		delete(c.byPath, key)
	}
}
