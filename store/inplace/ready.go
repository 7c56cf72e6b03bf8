package inplace

import (
	"container/list"
	"context"
	"errors"
	"fmt"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
)

// opened is a path that can be read. It never changes.
type opened struct {
	place    *place
	nar      *nix.NarFile
	body     *content.Body
	index    *content.Index
	rewriter *content.Rewriter
}

func (o *opened) cost() int {
	return o.nar.Cost() + 56*len(o.body.Chunks) + 28*len(o.body.Rewrites) + 512
}

// ready keeps the places that were read last, within openBytes.
type ready struct {
	cost    int
	order   *list.List // of *opened, last used first
	byPlace map[placeKey]*list.Element
}

func newReady() *ready {
	return &ready{order: list.New(), byPlace: make(map[placeKey]*list.Element)}
}

func (r *ready) get(p *place) *opened {
	e, ok := r.byPlace[p.placeKey]
	if !ok || e.Value.(*opened).place != p {
		return nil
	}
	r.order.MoveToFront(e)
	return e.Value.(*opened)
}

func (r *ready) put(o *opened) {
	r.drop(o.place.placeKey)
	r.byPlace[o.place.placeKey] = r.order.PushFront(o)
	r.cost += o.cost()
	for r.cost > openBytes && r.order.Len() > 1 {
		r.drop(r.order.Back().Value.(*opened).place.placeKey)
	}
}

func (r *ready) drop(k placeKey) {
	if e, ok := r.byPlace[k]; ok {
		r.cost -= r.order.Remove(e).(*opened).cost()
		delete(r.byPlace, k)
	}
}

// open makes a place readable.
func (s *Store) open(ctx context.Context, p *place) (*opened, error) {
	s.mu.Lock()
	o := s.ready.get(p)
	s.mu.Unlock()
	if o != nil {
		return o, nil
	}
	raw, err := store.Get(ctx, s.Collector, s.codec, store.BodyKey(p.body))
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrCorrupt):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBelow, err)
	}
	body, err := content.ParseBody(raw)
	if err != nil {
		return nil, err
	}
	nar, err := s.paths.Nar(p.path)
	if err != nil {
		return nil, err
	}
	if uint64(nar.Size()) != body.Size {
		return nil, fmt.Errorf("the NAR of %s has %d bytes, and had %d", p.path.Base(), nar.Size(), body.Size)
	}
	rewriter, err := content.NewRewriter(body, make([]nix.PathHash, body.Slots())) // which hashes there are does not matter
	if err != nil {
		return nil, err
	}
	o = &opened{p, nar, body, body.Index(), rewriter}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table.places[p.placeKey] == p {
		s.ready.put(o)
	}
	return o, nil
}
