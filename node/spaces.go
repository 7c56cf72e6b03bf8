package node

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
)

// Share says who is given content.
type Share byte

const (
	// ShareDefault: what the node's settings say, or all for what is published or seeded here.
	ShareDefault Share = iota
	ShareNone
	ShareLAN
	ShareAll
)

// String is the word of the configuration file.
func (s Share) String() string {
	switch s {
	case ShareNone:
		return "none"
	case ShareLAN:
		return "lan"
	case ShareAll:
		return "all"
	}
	return ""
}

// ParseShare reads none, lan, all or the empty word.
func ParseShare(s string) (Share, error) {
	for _, v := range []Share{ShareDefault, ShareNone, ShareLAN, ShareAll} {
		if v.String() == s {
			return v, nil
		}
	}
	return ShareDefault, fmt.Errorf("%q is not a way to share: none, lan or all", s)
}

// Space is what this node does with one namespace.
type Space struct {
	Alias   string
	Address namespace.Address
	// Use: this machine's Nix may be given it.
	Use bool
	// Publish: a key that may publish to it is here.
	Publish bool
	// Seed: all of it is mirrored for others, without trusting it.
	Seed bool
	// Quota is how many bytes of chunks a seed keeps of it; 0: DefaultSeedQuota. Promise is how long it keeps them at least.
	Quota   uint64
	Promise time.Duration
	// StopAfter ends the mirroring when connected seeds have so many copies of all of it; 0: nobody said so.
	StopAfter int
	// Until is how long what is here is given to all although it is mirrored no more; zero: it is not.
	Until time.Time
	// Only are globs on the name after the hash: paths of other names are never taken from it. None: all are.
	Only []string
	// Threshold is how many builders have to say the same of a path before it is taken from the namespace: 1, or 0, is anyone.
	Threshold int
	// Origin is the URL of the HTTP cache that this namespace is; "": none.
	Origin string
	// Share overrides the node's setting.
	Share Share
	// Automatic is what is published to it without being named.
	Automatic Automatic
	// Peers are places to ask for it first.
	Peers []peer.Hint
	// Declared says where the configuration file names it; empty for what commands added.
	Declared string
}

// nearby reports whether the namespace was marked as no business of anybody beyond the LAN: then nobody there learns that
// this node cares about it.
func (sp Space) nearby() bool { return sp.Share == ShareLAN || sp.Share == ShareNone }

// spaces is the ordered list of namespaces this node knows. The order is the order of preference.
type spaces struct {
	changed func()

	mu     sync.RWMutex
	list   []Space
	synced map[namespace.Address]time.Time // when this node last held exactly what a peer held
	wake   chan struct{}                   // closed and replaced on change
}

func newSpaces(changed func()) *spaces {
	return &spaces{changed: changed, synced: make(map[namespace.Address]time.Time), wake: make(chan struct{})}
}

// put adds s or replaces the space of the same address.
func (s *spaces) put(sp Space) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := -1
	for i, have := range s.list {
		if have.Address == sp.Address {
			at = i
		} else if have.Alias == sp.Alias {
			return fmt.Errorf("%w: %q means %s here", ErrAliasTaken, sp.Alias, have.Address)
		}
	}
	if at >= 0 {
		s.list[at] = sp
	} else {
		s.list = append(s.list, sp)
	}
	s.tell()
	return nil
}

func (s *spaces) remove(a namespace.Address) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.list)
	s.list = slices.DeleteFunc(slices.Clone(s.list), func(sp Space) bool { return sp.Address == a })
	delete(s.synced, a)
	s.tell()
	return len(s.list) < before
}

// tell is called with mu held.
func (s *spaces) tell() {
	close(s.wake)
	s.wake = make(chan struct{})
	s.changed()
}

func (s *spaces) all() []Space {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.list)
}

// inUse returns the spaces of a view that Nix may be given: all in use for "", else the one called view.
func (s *spaces) inUse(view string) []Space {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Space, 0, len(s.list))
	for _, sp := range s.list {
		if sp.Use && (view == "" || sp.Alias == view) {
			out = append(out, sp)
		}
	}
	return out
}

// everyInUse reports whether ok holds for all spaces of a view. It allocates nothing.
func (s *spaces) everyInUse(view string, ok func(sp Space, synced bool) bool) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range s.list {
		sp := &s.list[i]
		if !sp.Use || view != "" && sp.Alias != view {
			continue
		}
		if _, synced := s.synced[sp.Address]; !ok(*sp, synced) {
			return false
		}
	}
	return true
}

func (s *spaces) get(a namespace.Address) (Space, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sp := range s.list {
		if sp.Address == a {
			return sp, true
		}
	}
	return Space{}, false
}

func (s *spaces) byAlias(alias string) (Space, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sp := range s.list {
		if sp.Alias == alias {
			return sp, true
		}
	}
	return Space{}, false
}

// markSynced notes that what this node holds of a equalled what a peer holds, at t.
func (s *spaces) markSynced(a namespace.Address, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, before := s.synced[a]
	s.synced[a] = t
	if !before {
		s.tell()
	}
}

func (s *spaces) syncedAt(a namespace.Address) (time.Time, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.synced[a]
	return t, ok
}

// changes returns a channel that is closed at the next change.
func (s *spaces) changes() <-chan struct{} {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.wake
}

// Put makes the node know a namespace, or changes what it does with it. The caller keeps the list across restarts.
func (n *Node) Put(sp Space) error {
	defer func() { n.upstreams.forget(sp.Address) }() // what its origin lacked a moment ago, it may have now
	old, known := n.spaces.get(sp.Address)
	if err := n.spaces.put(sp); err != nil {
		return err
	}
	if known && old.Seed && sp.Seed && old.Quota != sp.Quota {
		n.mirrors.reconsider(sp.Address)
	}
	return nil
}

// Drop makes the node forget a namespace. What it holds of it stays in catalog and store.
func (n *Node) Drop(a namespace.Address) bool {
	defer n.upstreams.forget(a)
	return n.spaces.remove(a)
}

// Spaces lists the namespaces the node knows, in order of preference.
func (n *Node) Spaces() []Space { return n.spaces.all() }

// shareOf says who is given what this node holds of sp.
func (n *Node) shareOf(sp Space) Share {
	switch {
	case sp.Share != ShareDefault:
		return sp.Share
	case sp.Publish, sp.Seed, n.Now().Before(sp.Until):
		return ShareAll
	case withPassword(sp.Origin):
		return ShareNone // whoever has no password is not to have it from here
	}
	return n.settings.Share
}

// withPassword reports whether the cache at a URL is asked by name.
func withPassword(at string) bool {
	u, err := url.Parse(at)
	return err == nil && u.User != nil
}

// WaitSynced waits until what this node holds of a was compared with what a peer holds, and reports whether it was
// before ctx ended.
func (n *Node) WaitSynced(ctx context.Context, a namespace.Address) bool {
	for {
		changes := n.spaces.changes()
		if _, ok := n.spaces.syncedAt(a); ok {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changes:
		}
	}
}
