package catalog

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// Catalog is the namespaces of one node. All methods are safe for concurrent
// use; readers never wait for the disk that a writer writes to.
type Catalog struct {
	kv     KV
	texts  Texts
	clock  func() time.Time
	log    *slog.Logger
	limits limits
	epoch  [16]byte // of the order of arrival, which a restart makes anew

	// writing is held by whoever changes the index, from its decision until
	// memory follows: changes happen one after the other.
	writing chan struct{}

	mu     sync.RWMutex // guards what follows, and the spaces; no I/O under it
	spaces map[namespace.Address]*space
	left   map[namespace.Address]namespaceRecord // what is remembered of those that were forgotten
	born   chan struct{}                         // closed when there is another namespace

	cache *answerCache

	// unsynced is set while something of the index may not be on the disk that
	// memory has: what is added again must not pass for durable.
	unsynced atomic.Bool

	generation atomic.Uint64
	// from and until are the seconds of the clock between which what is in
	// memory stands, until excluded.
	from, until atomic.Int64
}

// Now and then time alone changes an answer. Instead of a goroutine that waits
// for it, every question begins here.
func (c *Catalog) tick() {
	now := c.clock()
	if sec := now.Unix(); sec >= c.from.Load() && sec < c.until.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tickLocked(now)
}

func (c *Catalog) tickLocked(now time.Time) {
	for _, s := range c.spaces {
		before := s.graph.version
		s.tick(now)
		if s.graph.version != before {
			c.changed(s)
		}
	}
	c.from.Store(now.Unix())
	c.bound(now)
}

// bound sets between which times what is in memory stands, after something was
// judged that was not there before.
func (c *Catalog) bound(now time.Time) {
	c.from.Store(max(c.from.Load(), now.Unix()))
	until := int64(math.MaxInt64)
	for _, s := range c.spaces {
		until = min(until, s.graph.line.first())
	}
	c.until.Store(until)
}

// changed is told of each change that may alter an answer about s.
func (c *Catalog) changed(s *space) {
	c.generation.Add(1)
	s.announce()
}

// Generation returns a number that grows with every change that may alter an
// answer, also when time alone makes one. It takes nanoseconds.
func (c *Catalog) Generation() uint64 {
	c.tick()
	return c.generation.Load()
}

// lockWriting waits for its turn to change the index; unlock ends it.
func (c *Catalog) lockWriting(ctx context.Context) (unlock func(), err error) {
	select {
	case c.writing <- struct{}{}:
		return func() { <-c.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reading returns the space of a, with the catalog read-locked, at the present
// time. When there is none it returns an error, and nothing is locked.
func (c *Catalog) reading(a namespace.Address) (s *space, unlock func(), err error) {
	c.tick()
	c.mu.RLock()
	s = c.spaces[a]
	if s == nil {
		c.mu.RUnlock()
		return nil, nil, errNoNamespace(a)
	}
	return s, c.mu.RUnlock, nil
}

func errNoNamespace(a namespace.Address) error {
	return fmt.Errorf("namespace %s: %w", a, ErrNotFound)
}

func errNoDocument(a namespace.Address) error {
	return fmt.Errorf("namespace %s: %w: no document", a, trust.ErrUntrusted)
}

// Namespaces returns the namespaces of which there is a document, or that are
// upstream ones with entries here, sorted by their texts.
func (c *Catalog) Namespaces() []namespace.Address {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]namespace.Address, 0, len(c.spaces))
	for a := range c.spaces {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b namespace.Address) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// Policy returns what a namespace is judged by.
func (c *Catalog) Policy(a namespace.Address) (*trust.Policy, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.spaces[a]
	if s == nil || s.policy == nil {
		return nil, false
	}
	return s.policy, true
}

// Changed returns a channel that is closed at the next change of a namespace: of
// its document or of what is alive in it. For a namespace that is not here it is
// closed when one is added. What time changes is noticed at the next question to
// the catalog, whichever.
func (c *Catalog) Changed(a namespace.Address) <-chan struct{} {
	c.tick()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.spaces[a]
	if s == nil {
		return c.born
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}
