package catalog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// Open reads the index: the documents and a hundred bytes of each publication,
// not the publications themselves. A namespace whose document cannot be read or
// verified is there without one: nothing in it counts until Adopt brings it
// again. Neither kv nor texts is closed with the catalog.
//
// An index that cannot be read is ErrDamaged: a new one can be made from the
// texts, see Rebuild. One of a later version is ErrNewer.
func Open(ctx context.Context, kv KV, texts Texts, now func() time.Time, log *slog.Logger) (*Catalog, error) {
	return open(ctx, kv, texts, now, log, defaultLimits())
}

func open(ctx context.Context, kv KV, texts Texts, now func() time.Time, log *slog.Logger, l limits) (*Catalog, error) {
	c := &Catalog{
		kv:      kv,
		texts:   texts,
		clock:   now,
		log:     log,
		limits:  l,
		writing: make(chan struct{}, 1),
		spaces:  make(map[namespace.Address]*space),
		left:    make(map[namespace.Address]namespaceRecord),
		born:    make(chan struct{}),
		cache:   newAnswerCache(cacheBytes),
	}
	rand.Read(c.epoch[:])
	if err := c.checkFormat(); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	if err := c.load(ctx); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	return c, nil
}

// checkFormat writes the format's version into an empty index, and refuses a
// later one.
func (c *Catalog) checkFormat() error {
	v, err := c.kv.Get(makeKey(keyFormat))
	if errors.Is(err, ErrNotFound) {
		var w writer
		w.uint(indexFormat)
		return c.kv.Apply([]Op{put(makeKey(keyFormat), w)}, true)
	}
	if err != nil {
		return err
	}
	r := reader{rest: v}
	format := r.uint()
	if err := r.end(); err != nil {
		return err
	}
	if format > indexFormat {
		return fmt.Errorf("%w: format %d, this version reads %d", ErrNewer, format, indexFormat)
	}
	return nil
}

func (c *Catalog) load(ctx context.Context) error {
	var records []namespaceRecord
	err := c.kv.Scan(makeKey(keyNamespace), nil, func(k, v []byte) (bool, error) {
		r, err := decodeNamespace(v)
		records = append(records, r)
		return true, err
	})
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.left {
			c.left[r.address] = r
			continue
		}
		if err := c.loadSpace(ctx, r); err != nil {
			return fmt.Errorf("namespace %s: %w", r.address, err)
		}
	}
	c.bound(c.clock())
	return nil
}

func (c *Catalog) loadSpace(ctx context.Context, r namespaceRecord) error {
	s := newSpace(r)
	if err := c.loadPublications(s); err != nil {
		return err
	}
	if err := errors.Join(c.loadUnlisted(s), c.loadReceived(s)); err != nil {
		return err
	}
	if err := c.loadSketch(s); err != nil {
		return err
	}
	policy, err := c.loadPolicy(ctx, r)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		c.log.Error("document unreadable: nothing is served of this namespace until it is fetched again",
			"namespace", r.address.String(), "document", r.document.Short(), "err", err)
	} else {
		s.follow(policy, r, c.clock())
	}
	c.spaces[r.address] = s
	return nil
}

func (c *Catalog) loadPublications(s *space) error {
	return c.kv.Scan(s.id.key(keyFacts), nil, func(k, v []byte) (bool, error) {
		var id namespace.ID
		if err := fields(k, id[:]); err != nil {
			return false, err
		}
		f, err := decodeFacts(id, v)
		if err != nil {
			return false, err
		}
		s.graph.insert(f)
		return true, nil
	})
}

func (c *Catalog) loadPolicy(ctx context.Context, r namespaceRecord) (*trust.Policy, error) {
	if r.upstream {
		return trust.NewUpstreamPolicy(r.address), nil
	}
	raw, err := c.texts.Text(ctx, TextDocument, r.document)
	if err != nil {
		return nil, err
	}
	d, err := trust.VerifyDocument(r.address, raw)
	if err != nil {
		return nil, err
	}
	if d.ID() != r.document {
		return nil, fmt.Errorf("%w: document %s is kept as %s", ErrDamaged, d.ID().Short(), r.document.Short())
	}
	lists := make([]*namespace.KeepList, 0, len(r.lists))
	for _, id := range r.lists {
		raw, err := c.texts.Text(ctx, TextKeepList, id)
		if err != nil {
			return nil, err
		}
		list, err := namespace.ParseKeepList(raw)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return trust.NewPolicy(d, lists)
}
