package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// pinHistory is the history of one pin: the publications under its name that count, the newest first. The newest one says
// how much of it stays.
type pinHistory struct {
	name     string
	rule     namespace.Pin // of the newest
	versions []catalog.PublicationInfo
	over     bool // an older publication ended it: what came before is another pin's
}

// kept are the versions that stay at now: none, when the pin was ended.
func (h *pinHistory) kept(now time.Time) []catalog.PublicationInfo {
	if h.rule.For > 0 {
		end := slices.IndexFunc(h.versions, func(v catalog.PublicationInfo) bool { return now.Sub(v.Time) > h.rule.For })
		if end < 0 {
			return h.versions
		}
		return h.versions[:max(end, 1)] // what the name stands for now stays
	}
	return h.versions[:min(h.rule.Last, len(h.versions))]
}

// pinHistories returns the pins of a namespace by name. A publication that ends a pin, or only changes how much stays, has
// no roots, and is no version of it.
func (n *Node) pinHistories(ctx context.Context, a namespace.Address) ([]*pinHistory, error) {
	byName := make(map[string]*pinHistory)
	var all []*pinHistory
	for info, err := range n.Catalog.Publications(ctx, a) { // the newest first
		if errors.Is(err, catalog.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if s := info.Standing.State; s != trust.Live && s != trust.Expired {
			continue
		}
		for _, pin := range info.Pins {
			h := byName[pin.Name]
			if h == nil {
				h = &pinHistory{name: pin.Name, rule: pin}
				byName[pin.Name] = h
				all = append(all, h)
			}
			h.over = h.over || pin.Last == 0 && pin.For == 0
			if len(info.Roots) > 0 && !h.over {
				h.versions = append(h.versions, info)
			}
		}
	}
	slices.SortFunc(all, func(x, y *pinHistory) int { return cmp.Compare(x.name, y.name) })
	return all, nil
}

// pinned returns the publications that a pin keeps, with those that they use.
func (n *Node) pinned(ctx context.Context, a namespace.Address) (map[namespace.ID]bool, error) {
	all, err := n.pinHistories(ctx, a)
	if err != nil {
		return nil, err
	}
	kept := make(map[namespace.ID]bool)
	var todo []namespace.ID
	for _, h := range all {
		for _, v := range h.kept(n.Now()) {
			todo = append(todo, v.ID)
		}
	}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if kept[id] {
			continue
		}
		kept[id] = true
		info, err := n.Catalog.PublicationInfo(ctx, a, id)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		todo = append(todo, info.Uses...)
	}
	return kept, nil
}
