package catalog

import (
	"context"
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// Complete reports whether everything that an entry refers to, transitively, can
// be had: each reference is an acceptable entry of the namespace that is
// complete itself, or the publication of the entry that refers to it declares it
// as an extern of a key, for which extern answers true, or as a hole, for which
// hole does. If not, missing is a path that stands in the way. An upstream
// namespace answers for its own closures: there every entry is complete.
//
// What was found is remembered until something in the namespace, or an answer of
// extern or hole, changes; asking for each path of a closure costs little more
// than asking once. extern and hole must not call Complete. References that go
// round in a circle complete each other.
func (c *Catalog) Complete(ctx context.Context, v trust.Verified, extern func(nix.PublicKey) bool, hole func(nix.StorePath) bool) (complete bool, missing nix.StorePath, err error) {
	if v.IsZero() {
		return false, nix.StorePath{}, trust.ErrUntrusted
	}
	s, unlock, err := c.reading(v.Address())
	if err != nil {
		return false, nix.StorePath{}, err
	}
	at := moment{version: s.graph.version, losses: s.graph.losses}
	upstream := s.record.upstream
	unlock()
	if upstream {
		return true, nix.StorePath{}, nil
	}
	of := step{v.Publication(), v.Path().Hash()}
	if r, known := s.memo.recall(of, at, extern, hole); known {
		return r.complete(), r.missing, nil
	}
	// One walk at a time: who asks for another path of the same closure
	// meanwhile finds it remembered afterwards.
	select {
	case s.walking <- struct{}{}:
		defer func() { <-s.walking }()
	case <-ctx.Done():
		return false, nix.StorePath{}, ctx.Err()
	}
	if r, known := s.memo.recall(of, at, extern, hole); known {
		return r.complete(), r.missing, nil
	}
	w := newClosureWalk(c, s, at, extern, hole)
	r, err := w.run(ctx, of, v.Path())
	if err != nil {
		return false, nix.StorePath{}, fmt.Errorf("closure of %s: %w", v.Path().Base(), err)
	}
	return r.complete(), r.missing, nil
}

// step names an entry: a path in a publication.
type step struct {
	id   namespace.ID
	path nix.PathHash
}

// closureWalk looks at everything that one entry refers to. First it opens every
// entry once, taking all to be complete; then what lacks something fails, and
// with it what needs it. Circles need no care that way.
type closureWalk struct {
	c     *Catalog
	s     *space
	at    moment
	rests rests

	goals map[nix.StorePath]*goal
	todo  []*goal // not opened yet
	nodes []*node
}

// goal is a path that something refers to.
type goal struct {
	path    nix.StorePath
	open    int // entries for it that have not failed
	users   []*node
	missing nix.StorePath // why it failed
}

// node is an entry on the walk.
type node struct {
	step
	goal    *goal         // that it is an entry for; nil: where the walk began
	missing nix.StorePath // why it failed; zero: it has not
}

func newClosureWalk(c *Catalog, s *space, at moment, extern func(nix.PublicKey) bool, hole func(nix.StorePath) bool) *closureWalk {
	return &closureWalk{
		c:     c,
		s:     s,
		at:    at,
		rests: newRests(extern, hole),
		goals: make(map[nix.StorePath]*goal),
	}
}

func (w *closureWalk) run(ctx context.Context, of step, path nix.StorePath) (result, error) {
	root := &node{step: of}
	w.nodes = append(w.nodes, root)
	l, err := w.c.listed(w.s, of.id, of.path)
	if err != nil {
		return result{}, err
	}
	if l == nil {
		return result{missing: path}, nil // it went meanwhile
	}
	w.need(root, l)
	for len(w.todo) > 0 {
		if err := ctx.Err(); err != nil {
			return result{}, err
		}
		if len(w.goals) > maxClosure {
			return result{}, fmt.Errorf("%w: more than %d paths", ErrLimit, maxClosure)
		}
		g := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.openGoal(g); err != nil {
			return result{}, err
		}
	}
	w.fail()
	w.s.memo.remember(w.nodes, w.at, &w.rests)
	return result{missing: root.missing}, nil
}

// need notes what an entry refers to, unless it can be had elsewhere.
func (w *closureWalk) need(n *node, l *listed) {
	present := make(map[int]bool, len(l.elsewhere))
	for _, x := range l.elsewhere {
		if !present[x.ref] {
			present[x.ref] = w.rests.present(x.key, l.entry.References[x.ref])
		}
	}
	for i, ref := range l.entry.References {
		if ref == l.entry.Path || present[i] {
			continue
		}
		g := w.goals[ref]
		if g == nil {
			g = &goal{path: ref}
			w.goals[ref] = g
			w.todo = append(w.todo, g)
		}
		g.users = append(g.users, n)
	}
}

// openGoal finds the entries for a path.
func (w *closureWalk) openGoal(g *goal) error {
	h := g.path.Hash()
	ids, err := w.c.aliveListers(w.s, h)
	if err != nil {
		return err
	}
	for _, id := range ids {
		n := &node{step: step{id, h}, goal: g}
		if r, known := w.s.memo.get(n.step, w.at); known {
			if r.complete() {
				g.open++
			} else {
				g.missing = r.missing
			}
			continue
		}
		l, err := w.c.usable(w.s, id, h)
		if err != nil {
			return err
		}
		if l == nil || l.entry.Path != g.path {
			continue
		}
		g.open++
		w.nodes = append(w.nodes, n)
		w.need(n, l)
	}
	return nil
}

// fail carries on that paths without an entry are missing.
func (w *closureWalk) fail() {
	var failed []*goal
	for _, g := range w.goals {
		if g.open == 0 {
			failed = append(failed, g)
		}
	}
	for len(failed) > 0 {
		g := failed[len(failed)-1]
		failed = failed[:len(failed)-1]
		if g.missing.IsZero() {
			g.missing = g.path
		}
		for _, n := range g.users {
			if !n.missing.IsZero() {
				continue
			}
			n.missing = g.missing
			if n.goal == nil {
				continue
			}
			if n.goal.open--; n.goal.open == 0 {
				n.goal.missing = n.missing
				failed = append(failed, n.goal)
			}
		}
	}
}

// aliveListers returns the publications alive that list a path.
func (c *Catalog) aliveListers(s *space, h nix.PathHash) ([]namespace.ID, error) {
	ids, err := c.listers(s, h)
	if err != nil {
		return nil, err
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	alive := ids[:0]
	for _, id := range ids {
		if s.lives(id) {
			alive = append(alive, id)
		}
	}
	return alive, nil
}

// usable returns the entry for a path in a publication that is alive, or nil if
// it is denied or distrusted. Its signature was checked when it came, and will
// be when it is served.
func (c *Catalog) usable(s *space, id namespace.ID, h nix.PathHash) (*listed, error) {
	l, err := c.listed(s, id, h)
	if err != nil || l == nil {
		return nil, err
	}
	c.mu.RLock()
	denied := s.denied[denial{h, l.entry.NarHash}]
	c.mu.RUnlock()
	if denied {
		return nil, nil
	}
	distrusted, err := c.distrusted(s, id, h, factOf(l.entry))
	if err != nil || distrusted {
		return nil, err
	}
	return l, nil
}
