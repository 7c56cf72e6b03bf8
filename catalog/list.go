package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// Paths yields the hashes of all paths with an acceptable publication, in no
// particular order. It is the cheap way through a namespace: nothing is verified.
func (c *Catalog) Paths(ctx context.Context, a namespace.Address) iter.Seq2[nix.PathHash, error] {
	return func(yield func(nix.PathHash, error) bool) {
		s, unlock, err := c.reading(a)
		if err != nil {
			yield(nix.PathHash{}, err)
			return
		}
		unlock()
		for l, err := range c.paths(s) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(l.path, err) || err != nil {
				return
			}
		}
	}
}

// Entries yields the acceptable entries of all paths whose name (what follows
// the hash and a dash) matches glob, as [path.Match] understands it; an empty
// glob matches all. The entries of one path come together, as Lookup gives them.
// Each is verified when it is yielded. An error ends the sequence.
func (c *Catalog) Entries(ctx context.Context, a namespace.Address, glob string) iter.Seq2[trust.Verified, error] {
	return func(yield func(trust.Verified, error) bool) {
		if _, err := path.Match(glob, ""); err != nil {
			yield(trust.Verified{}, fmt.Errorf("entries like %q: %w", glob, err))
			return
		}
		s, unlock, err := c.reading(a)
		if err != nil {
			yield(trust.Verified{}, err)
			return
		}
		unlock()
		for h, err := range c.Paths(ctx, a) {
			if err == nil && glob != "" {
				var match bool
				if match, err = c.nameMatches(s, h, glob); err == nil && !match {
					continue
				}
			}
			if err != nil {
				yield(trust.Verified{}, err)
				return
			}
			if !c.yieldPath(s, h, yield) {
				return
			}
		}
	}
}

// yieldPath yields the entries of one path, past the cache, so that walking a
// namespace does not push out what is being asked for.
func (c *Catalog) yieldPath(s *space, h nix.PathHash, yield func(trust.Verified, error) bool) bool {
	found, err := c.answer(s, h)
	if err != nil {
		yield(trust.Verified{}, err)
		return false
	}
	for _, v := range found.entries {
		if !yield(v, nil) {
			return false
		}
	}
	return true
}

// nameMatches looks at the name that any of a path's listers gives it, before
// signatures are checked for nothing.
func (c *Catalog) nameMatches(s *space, h nix.PathHash, glob string) (bool, error) {
	listings, err := c.listings(s, h)
	if err != nil {
		return false, err
	}
	for _, l := range listings {
		if match, _ := path.Match(glob, l.name); match {
			return true, nil
		}
	}
	return false, nil
}

// PublicationInfo is a publication as people are shown it.
type PublicationInfo struct {
	ID       namespace.ID
	Signer   nix.PublicKey
	Time     time.Time
	Received time.Time // when its text first came here; zero: before that was noted, or the index was made anew since
	Listed   bool      // others are told of it while it is alive
	Expires  time.Time // its own
	Lives    time.Time // with those that use it; zero unless the policy accepts it
	Standing trust.Standing
	Roots    []nix.StorePath
	Pins     []namespace.Pin
	Uses     []namespace.ID
	Entries  int
	NarBytes uint64 // sum of NarSize of its entries
}

// Publications yields all publications that are here, dead ones too, the newest
// first. An error ends the sequence.
func (c *Catalog) Publications(ctx context.Context, a namespace.Address) iter.Seq2[PublicationInfo, error] {
	return func(yield func(PublicationInfo, error) bool) {
		s, unlock, err := c.reading(a)
		if err != nil {
			yield(PublicationInfo{}, err)
			return
		}
		all := s.infos()
		unlock()
		for _, info := range all {
			err := ctx.Err()
			if err == nil {
				err = c.addDetails(s, &info)
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// PublicationInfo returns one of them, or ErrNotFound.
func (c *Catalog) PublicationInfo(ctx context.Context, a namespace.Address, id namespace.ID) (PublicationInfo, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return PublicationInfo{}, err
	}
	p := s.graph.pubs[id]
	if p == nil || !p.here() {
		unlock()
		return PublicationInfo{}, fmt.Errorf("publication %s: %w", id.Short(), ErrNotFound)
	}
	info := s.info(p)
	unlock()
	return info, c.addDetails(s, &info)
}

// Listing returns the publications here that list a path, the newest first, whatever they count for: of a path that is not
// acceptable it says why not.
func (c *Catalog) Listing(ctx context.Context, a namespace.Address, h nix.PathHash) ([]PublicationInfo, error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return nil, err
	}
	unlock()
	ids, err := c.listers(s, h)
	if err != nil {
		return nil, fmt.Errorf("publications that list %s: %w", h, err)
	}
	var infos []PublicationInfo
	for _, id := range ids {
		info, err := c.PublicationInfo(ctx, a, id)
		if errors.Is(err, ErrNotFound) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b PublicationInfo) int { return cmp.Or(b.Time.Compare(a.Time), a.ID.Compare(b.ID)) })
	return infos, nil
}

// infos returns what memory knows of all publications, the newest first.
func (s *space) infos() []PublicationInfo {
	all := make([]PublicationInfo, 0, len(s.graph.pubs))
	for _, p := range s.graph.pubs {
		if !p.here() {
			continue
		}
		all = append(all, s.info(p))
	}
	slices.SortFunc(all, func(a, b PublicationInfo) int {
		return cmp.Or(b.Time.Compare(a.Time), a.ID.Compare(b.ID))
	})
	return all
}

func (s *space) info(p *publication) PublicationInfo {
	info := PublicationInfo{
		ID:       p.id,
		Signer:   p.signer.key,
		Time:     time.Unix(p.time, 0).UTC(),
		Expires:  time.Unix(p.expires, 0).UTC(),
		Standing: s.standing(p),
		Listed:   !p.quiet,
		Entries:  int(p.entries),
		NarBytes: p.nar,
	}
	for _, used := range p.uses {
		info.Uses = append(info.Uses, used.id)
	}
	if p.received > 0 {
		info.Received = time.Unix(p.received, 0).UTC()
	}
	if p.life > 0 {
		info.Lives = time.Unix(p.life, 0).UTC()
	}
	return info
}

func (c *Catalog) addDetails(s *space, info *PublicationInfo) error {
	v, err := c.kv.Get(s.id.detailsKey(info.ID))
	if err != nil {
		return fmt.Errorf("publication %s: %w", info.ID.Short(), err)
	}
	d, err := decodeDetails(v)
	info.Roots, info.Pins = d.roots, d.pins
	return err
}
