package catalog

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Build is what some builders say that a path is.
type Build struct {
	NarHash  nix.NarHash
	Builders []nix.PublicKey // sorted by name; each key once, whatever it calls itself
	says     listing
}

// Of reports whether an entry says the same: of the path, its content, and what
// that refers to.
func (b Build) Of(e *namespace.Entry) bool {
	return b.NarHash == e.NarHash && b.says.size == e.NarSize && b.says.path == e.Path.Hash() && b.says.name == e.Path.Name() &&
		slices.EqualFunc(b.says.refs, e.References, func(r reference, p nix.StorePath) bool { return r == referenceTo(p) })
}

// of is Of, of what is listed.
func (b Build) of(l *listing) bool {
	return b.NarHash == l.hash && b.says.size == l.size && b.says.path == l.path && b.says.name == l.name && slices.Equal(b.says.refs, l.refs)
}

// Agreed reports whether as many builders as that say so.
func (b Build) Agreed(builders int) bool { return len(b.Builders) >= builders }

// Builds returns what the acceptable publications of a namespace say of a path,
// and who signed them: what most say comes first. A builder is a key that signed
// a publication which lists the path. What the root signs to vouch for a writer's
// publication is no build of its own, and what merely has the form of that
// counts for nobody (see countersigns). There may be none.
func (c *Catalog) Builds(ctx context.Context, a namespace.Address, h nix.PathHash) ([]Build, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, unlock, err := c.reading(a)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	unlock()
	listings, err := c.listings(s, h)
	if err != nil {
		return nil, err
	}
	return c.builds(s, listings)
}

// builds is Builds, of what is listed.
func (c *Catalog) builds(s *space, listings []listing) ([]Build, error) {
	var all []Build
	for i := range listings {
		l := &listings[i]
		if usable, err := c.usable(s, l); err != nil {
			return nil, err
		} else if !usable {
			continue
		}
		builder, err := c.builder(s, l.id)
		if err != nil {
			return nil, err
		}
		if builder == (nix.PublicKey{}) {
			continue
		}
		at := slices.IndexFunc(all, func(b Build) bool { return b.of(l) })
		if at < 0 {
			at = len(all)
			all = append(all, Build{NarHash: l.hash, says: *l})
		}
		if b := &all[at]; !slices.ContainsFunc(b.Builders, func(k nix.PublicKey) bool { return k.Key == builder.Key }) {
			b.Builders = append(b.Builders, builder)
		}
	}
	for _, b := range all {
		slices.SortFunc(b.Builders, func(x, y nix.PublicKey) int {
			return cmp.Or(cmp.Compare(x.Name, y.Name), slices.Compare(x.Key[:], y.Key[:]))
		})
	}
	slices.SortStableFunc(all, func(x, y Build) int {
		return cmp.Or(cmp.Compare(len(y.Builders), len(x.Builders)), slices.Compare(x.NarHash[:], y.NarHash[:]))
	})
	return all, nil
}

// builder is whose build a publication's entries are; zero: nobody's, or it is not
// here.
func (c *Catalog) builder(s *space, id namespace.ID) (nix.PublicKey, error) {
	c.mu.RLock()
	p := s.graph.pubs[id]
	if p == nil || !p.here() {
		c.mu.RUnlock()
		return nix.PublicKey{}, nil
	}
	key, may := p.signer.key, p.mayCountersign(s.address.Key())
	c.mu.RUnlock()
	if !may {
		return key, nil
	}
	if yes, err := c.countersigns(s, id); err != nil || yes {
		return nix.PublicKey{}, err
	}
	return key, nil
}

// mayCountersign reports whether a publication is the root's and uses one alone,
// of somebody else or not known. The caller holds Catalog.mu.
func (p *publication) mayCountersign(root nix.PublicKey) bool {
	if p.signer.key != root || len(p.uses) != 1 {
		return false
	}
	used := p.uses[0]
	return !used.here() || used.signer.key != root
}

// countersigns reports whether a publication that may countersign has the form of
// one that does: no roots and no pins. What somebody publishes who has built it
// has roots, but for the first parts of a closure of thousands of paths: where
// such a part is the root's and uses one publication of somebody else, it is
// taken for a countersignature, and does not count.
func (c *Catalog) countersigns(s *space, id namespace.ID) (bool, error) {
	v, err := c.kv.Get(s.id.detailsKey(id))
	if errors.Is(err, ErrNotFound) {
		return true, nil // it went meanwhile
	}
	if err != nil {
		return false, err
	}
	d, err := decodeDetails(v)
	return len(d.roots)+len(d.pins) == 0, err
}

// Disagreements returns of how many paths of a namespace builders say that their
// contents differ, and one of these paths. It reads the whole list of paths: about
// a microsecond for each, and some tens for each that several publications list.
func (c *Catalog) Disagreements(ctx context.Context, a namespace.Address) (paths int, one nix.StorePath, err error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return 0, one, err
	}
	unlock()
	var path nix.PathHash
	listed := 0
	look := func() error {
		if listed < 2 {
			return nil
		}
		listings, err := c.listings(s, path)
		if err != nil {
			return err
		}
		builds, err := c.builds(s, listings)
		if err != nil || !slices.ContainsFunc(builds, func(b Build) bool { return b.NarHash != builds[0].NarHash }) {
			return err
		}
		paths++
		one, err = reference{path, builds[0].says.name}.storePath()
		return err
	}
	for from := []byte(nil); ; {
		if err := ctx.Err(); err != nil {
			return 0, one, err
		}
		page, next, err := c.listerPage(s, from)
		if err != nil {
			return 0, one, err
		}
		for _, l := range page {
			if l.path == path {
				listed++
				continue
			}
			if err := look(); err != nil {
				return 0, one, err
			}
			path, listed = l.path, 1
		}
		if next == nil {
			return paths, one, look()
		}
		from = next
	}
}
