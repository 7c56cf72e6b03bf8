package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// MarkProven records that an entry's body and slots gave its NarHash here, and
// that it may have been served: from now on it is preferred to other entries for
// its path. It may be lost in a crash, and is proven again then.
func (c *Catalog) MarkProven(ctx context.Context, v trust.Verified) error {
	s, err := c.spaceFor(v)
	if err != nil {
		return fmt.Errorf("mark proven: %w", err)
	}
	h, fact := v.Path().Hash(), factOf(v.Entry())
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	key := s.id.provenKey(h, fact)
	if _, err := c.kv.Get(key); !errors.Is(err, ErrNotFound) {
		return err // the first proof counts
	}
	var w writer
	w.uint(uint64(c.clock().UnixNano()))
	if err := c.kv.Apply([]Op{put(key, w)}, false); err != nil {
		return fmt.Errorf("mark %s proven: %w", v.Path().Base(), err)
	}
	listers, err := c.listers(s, h)
	if err != nil {
		return err
	}
	if len(listers) > 1 { // else there is no order to change
		c.cache.drop(s.id, h)
		c.generation.Add(1)
	}
	return nil
}

// Proven reports whether an entry's body and slots gave its NarHash here.
func (c *Catalog) Proven(ctx context.Context, v trust.Verified) (bool, error) {
	s, err := c.spaceFor(v)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return c.has(s.id.provenKey(v.Path().Hash(), factOf(v.Entry())))
}

// Distrust records, durably, that an entry's body did not give its NarHash: it
// is not answered with again, from that publication. why is for people.
func (c *Catalog) Distrust(ctx context.Context, v trust.Verified, why string) error {
	s, err := c.spaceFor(v)
	if err != nil {
		return fmt.Errorf("distrust: %w", err)
	}
	h := v.Path().Hash()
	unlock, err := c.lockWriting(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	key := s.id.distrustKey(v.Publication(), h, factOf(v.Entry()))
	if err := c.kv.Apply([]Op{put(key, []byte(why[:min(len(why), maxReason)]))}, true); err != nil {
		return fmt.Errorf("distrust %s: %w", v.Path().Base(), err)
	}
	c.log.Warn("entry distrusted", "namespace", s.address.String(), "path", v.Path().Base(),
		"publication", v.Publication().Short(), "signer", v.Signer().Name, "why", why)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.graph.version++
	s.graph.losses++
	c.cache.drop(s.id, h)
	c.changed(s)
	return nil
}

// DistrustOf returns why the entry of a publication for a path is distrusted, in
// words for people; empty: it is not.
func (c *Catalog) DistrustOf(ctx context.Context, a namespace.Address, id namespace.ID, h nix.PathHash) (why string, err error) {
	s, unlock, err := c.reading(a)
	if err != nil {
		return "", err
	}
	unlock()
	err = c.kv.Scan(makeKey(keyDistrust, s.id[:], id[:], h[:]), nil, func(_, reason []byte) (bool, error) {
		why = string(reason)
		return false, ctx.Err()
	})
	return why, err
}

func (c *Catalog) distrusted(s *space, id namespace.ID, h nix.PathHash, fact factID) (bool, error) {
	return c.has(s.id.distrustKey(id, h, fact))
}

// has reports whether the index has a key.
func (c *Catalog) has(key []byte) (bool, error) {
	_, err := c.kv.Get(key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// spaceFor returns the space of a verified entry.
func (c *Catalog) spaceFor(v trust.Verified) (*space, error) {
	if v.IsZero() {
		return nil, trust.ErrUntrusted
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := c.spaces[v.Address()]
	if s == nil {
		return nil, errNoNamespace(v.Address())
	}
	return s, nil
}
