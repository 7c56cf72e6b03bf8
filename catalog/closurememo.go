package catalog

import (
	"sync"

	"github.com/flurry-nix/flurry/nix"
)

// closureMemo is what walks found out about one namespace.
type closureMemo struct {
	mu    sync.Mutex
	at    moment // when the results were found; of what is complete its version says nothing
	found map[step]result
	rests []rest
}

// moment says what of a namespace has changed between two: see graph. Where more
// builders are asked for, it is another namespace.
type moment struct {
	version, losses uint64
	builders        int
}

// lasts reports whether what was complete at m still is at another moment.
func (m moment) lasts(later moment) bool {
	return m.losses == later.losses && m.builders == later.builders
}

// result is what a walk found out about one entry.
type result struct {
	missing nix.StorePath // zero: the closure is complete
	version uint64        // of the moment when something was missing
}

func (r result) complete() bool { return r.missing.IsZero() }

// rest is an answer of the caller's that results rest on.
type rest struct {
	key     nix.PublicKey // zero: a hole
	path    nix.StorePath // of a hole
	present bool
}

// rests collects such answers, asking each question once.
type rests struct {
	extern func(nix.PublicKey) bool
	hole   func(nix.StorePath) bool

	externs map[nix.PublicKey]bool
	holes   map[nix.StorePath]bool
}

func newRests(extern func(nix.PublicKey) bool, hole func(nix.StorePath) bool) rests {
	return rests{extern: extern, hole: hole, externs: make(map[nix.PublicKey]bool), holes: make(map[nix.StorePath]bool)}
}

// presentElsewhere is present for a reference.
func (r *rests) presentElsewhere(key nix.PublicKey, ref reference) (bool, error) {
	if key != (nix.PublicKey{}) {
		return r.present(key, nix.StorePath{}), nil
	}
	path, err := ref.storePath()
	if err != nil {
		return false, err
	}
	return r.present(key, path), nil
}

// present asks for an extern of key or, when key is zero, for a hole.
func (r *rests) present(key nix.PublicKey, path nix.StorePath) bool {
	if key != (nix.PublicKey{}) {
		answer, asked := r.externs[key]
		if !asked {
			answer = r.extern(key)
			r.externs[key] = answer
		}
		return answer
	}
	answer, asked := r.holes[path]
	if !asked {
		answer = r.hole(path)
		r.holes[path] = answer
	}
	return answer
}

func (r *rests) all() []rest {
	all := make([]rest, 0, len(r.externs)+len(r.holes))
	for key, present := range r.externs {
		all = append(all, rest{key: key, present: present})
	}
	for path, present := range r.holes {
		all = append(all, rest{path: path, present: present})
	}
	return all
}

// recall returns what is remembered of an entry, if that still holds; what does
// not it forgets.
func (m *closureMemo) recall(of step, at moment, extern func(nix.PublicKey) bool, hole func(nix.StorePath) bool) (result, bool) {
	m.mu.Lock()
	if !m.at.lasts(at) {
		m.reset(at)
	}
	rests := m.rests // not altered, only replaced
	m.mu.Unlock()
	now := newRests(extern, hole)
	for _, r := range rests {
		if now.present(r.key, r.path) != r.present {
			m.mu.Lock()
			m.reset(at)
			m.mu.Unlock()
			return result{}, false
		}
	}
	return m.get(of, at)
}

// get returns what is remembered of an entry. What was complete stays so while
// nothing goes; what was not may be so as soon as anything comes.
func (m *closureMemo) get(of step, at moment) (result, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, known := m.found[of]
	if !known || !m.at.lasts(at) || !r.complete() && r.version != at.version {
		return result{}, false
	}
	return r, true
}

// remember takes in what a walk found.
func (m *closureMemo) remember(nodes []*node, at moment, r *rests, l limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.at.lasts(at) {
		return
	}
	for _, old := range m.rests {
		if old.key != (nix.PublicKey{}) {
			r.externs[old.key] = old.present
		} else {
			r.holes[old.path] = old.present
		}
	}
	rests := r.all()
	if len(m.found)+len(nodes) > l.memo || len(rests) > l.rests {
		m.reset(at)
		return
	}
	m.rests = rests
	for _, n := range nodes {
		m.found[n.step] = result{missing: n.missing, version: at.version}
	}
}

func (m *closureMemo) reset(at moment) {
	m.at = at
	m.found = make(map[step]result)
	m.rests = nil
}
