package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// Complete reports whether everything that an entry refers to, transitively, can
// be had: each reference is an acceptable entry of the namespace that is
// complete itself, or the publication of the entry that refers to it declares it
// as an extern of a key, for which extern answers true, or as a hole, for which
// hole does. Where builders is more than one, an entry of a reference counts only
// if as many say the same: see [Catalog.Builds]; whether that is so of v is for
// the caller to look at. If not, missing is a path that stands in the way. An
// upstream namespace answers for its own closures: there every entry is complete.
//
// What was found is remembered until something in the namespace, builders, or an
// answer of extern or hole changes; asking for each path of a closure costs little more
// than asking once. extern and hole must not call Complete. References that go
// round in a circle complete each other.
func (c *Catalog) Complete(ctx context.Context, v trust.Verified, builders int, extern func(nix.PublicKey) bool, hole func(nix.StorePath) bool) (complete bool, missing nix.StorePath, err error) {
	if v.IsZero() {
		return false, nix.StorePath{}, trust.ErrUntrusted
	}
	s, unlock, err := c.reading(v.Address())
	if err != nil {
		return false, nix.StorePath{}, err
	}
	at := moment{version: s.graph.version, losses: s.graph.losses, builders: max(builders, 1)}
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
	r, err := w.run(of, v.Path())
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

	goals map[reference]*goal
	todo  []*goal // not opened yet
	nodes []*node
}

// goal is a path that something refers to.
type goal struct {
	path    reference
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
		goals: make(map[reference]*goal),
	}
}

// run does not stop when its caller loses patience: it takes some milliseconds
// for each thousand paths, and whoever asks again would begin anew.
func (w *closureWalk) run(of step, path nix.StorePath) (result, error) {
	root := &node{step: of}
	w.nodes = append(w.nodes, root)
	listings, err := w.c.listings(w.s, of.path)
	if err != nil {
		return result{}, err
	}
	i := slices.IndexFunc(listings, func(l listing) bool { return l.id == of.id })
	if i < 0 {
		return result{missing: path}, nil // it went meanwhile
	}
	if err := w.need(root, &listings[i]); err != nil {
		return result{}, err
	}
	for len(w.todo) > 0 {
		if len(w.goals) > w.c.limits.closure {
			return result{}, fmt.Errorf("%w: more than %d paths", ErrLimit, w.c.limits.closure)
		}
		g := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.openGoal(g); err != nil {
			return result{}, err
		}
	}
	if err := w.fail(); err != nil {
		return result{}, err
	}
	w.s.memo.remember(w.nodes, w.at, &w.rests, w.c.limits)
	return result{missing: root.missing}, nil
}

// need notes what an entry refers to, unless it can be had elsewhere.
func (w *closureWalk) need(n *node, l *listing) error {
	present := make(map[int]bool, len(l.elsewhere))
	for _, x := range l.elsewhere {
		if present[x.ref] {
			continue
		}
		var err error
		if present[x.ref], err = w.rests.presentElsewhere(x.key, l.refs[x.ref]); err != nil {
			return err
		}
	}
	for i, ref := range l.refs {
		if ref == (reference{l.path, l.name}) || present[i] {
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
	return nil
}

// openGoal finds the entries for a path.
func (w *closureWalk) openGoal(g *goal) error {
	listings, err := w.c.listings(w.s, g.path.hash)
	if err != nil {
		return err
	}
	listings = slices.DeleteFunc(listings, func(l listing) bool { return l.name != g.path.name })
	if w.at.builders > 1 {
		builds, err := w.c.builds(w.s, listings)
		if err != nil {
			return err
		}
		listings = slices.DeleteFunc(listings, func(l listing) bool {
			return !slices.ContainsFunc(builds, func(b Build) bool { return b.of(&l) && b.Agreed(w.at.builders) })
		})
	}
	for i := range listings {
		l := &listings[i]
		n := &node{step: step{l.id, l.path}, goal: g}
		if r, known := w.s.memo.get(n.step, w.at); known {
			if r.complete() {
				g.open++
			} else {
				g.missing = r.missing
			}
			continue
		}
		if usable, err := w.c.usable(w.s, l); err != nil || !usable {
			if err != nil {
				return err
			}
			continue
		}
		g.open++
		w.nodes = append(w.nodes, n)
		if err := w.need(n, l); err != nil {
			return err
		}
	}
	return nil
}

// fail carries on that paths without an entry are missing.
func (w *closureWalk) fail() error {
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
			var err error
			if g.missing, err = g.path.storePath(); err != nil {
				return err
			}
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
	return nil
}
