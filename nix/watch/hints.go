package watch

import "sync"

// hints are what the kernel said since it was last taken. It is safe for concurrent use.
type hints struct {
	wake chan struct{} // has one when there is something to take

	mu   sync.Mutex
	seen seen
}

// seen is what the kernel said.
type seen struct {
	names map[string]bool // in the store directory: whether it went last
	lost  bool            // it said less than happened, or what it said it of is not there any more
}

func newHints() *hints {
	return &hints{wake: make(chan struct{}, 1), seen: seen{names: make(map[string]bool)}}
}

// name notes a name that came or went.
func (h *hints) name(name string, gone bool) {
	h.change(func(s *seen) {
		if s.names[name] = gone; len(s.names) > maxNames {
			s.lost = true
			clear(s.names)
		}
	})
}

// database notes that something became valid, or ceased to be.
func (h *hints) database() { h.change(func(*seen) {}) }

// lose notes that everything has to be looked at.
func (h *hints) lose() { h.change(func(s *seen) { s.lost = true }) }

func (h *hints) change(f func(*seen)) {
	h.mu.Lock()
	f(&h.seen)
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take returns what was said, and forgets it.
func (h *hints) take() seen {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.seen
	h.seen = seen{names: make(map[string]bool)}
	return s
}
