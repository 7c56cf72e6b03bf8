package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// PinRequest names paths that are published, or changes how much of a pin's history stays.
type PinRequest struct {
	Alias string
	Name  string
	Paths []nix.StorePath // none: what the name stands for stays as it is
	Last  int             // so many versions stay; 0, without For: as the pin says already, or one
	For   time.Duration   // versions of so long ago stay
	// Delete ends the pin: what it alone kept lives as long as it says itself.
	Delete bool
	// Key signs instead of what Keys gives; nil: Keys is asked.
	Key *nix.SecretKey
}

// ErrNoPin says that a namespace has no pin of that name.
var ErrNoPin = errors.New("no such pin")

// Pin signs a publication without entries that carries the pin.
func (n *Node) Pin(ctx context.Context, r PinRequest) (report.Pinned, error) {
	sp, err := n.space(r.Alias)
	if err != nil {
		return report.Pinned{}, err
	}
	key, policy, err := n.signer(sp.Address, r.Key)
	if err != nil {
		return report.Pinned{}, err
	}
	rule, err := n.pinRule(ctx, sp.Address, r)
	if err != nil {
		return report.Pinned{}, err
	}
	p := plan{node: n, address: sp.Address, policy: policy, key: key, request: PublishRequest{Alias: sp.Alias, Roots: r.Paths, Pins: []namespace.Pin{rule}}}
	for _, path := range r.Paths {
		l, err := n.published(ctx, sp.Address, path)
		if err != nil {
			return report.Pinned{}, err
		}
		p.all = append(p.all, l)
	}
	if p.after, err = n.lastPinned(ctx, sp.Address, p.request.Pins); err != nil {
		return report.Pinned{}, err
	}
	p.entries = make([]*namespace.Entry, len(p.all))
	if _, err := p.publish(ctx); err != nil {
		return report.Pinned{}, err
	}
	done := report.Pinned{Schema: "flurry/pin/1", Alias: sp.Alias, Name: r.Name, Roots: []string{}, Last: rule.Last, For: rule.For.Seconds(), Deleted: r.Delete}
	for _, path := range r.Paths {
		done.Roots = append(done.Roots, path.String())
	}
	for _, id := range p.ids {
		done.Publication = id.String()
	}
	return done, nil
}

// pinRule is what the pin is to say.
func (n *Node) pinRule(ctx context.Context, a namespace.Address, r PinRequest) (namespace.Pin, error) {
	rule := namespace.Pin{Name: r.Name, Last: r.Last, For: r.For}
	all, err := n.pinHistories(ctx, a)
	if err != nil {
		return rule, err
	}
	at := slices.IndexFunc(all, func(h *pinHistory) bool { return h.name == r.Name && (h.rule.Last > 0 || h.rule.For > 0) })
	switch {
	case at < 0 && (r.Delete || len(r.Paths) == 0):
		return rule, fmt.Errorf("%w: %q in %s", ErrNoPin, r.Name, a.Name())
	case r.Delete:
		rule.Last, rule.For = 0, 0
	case r.Last == 0 && r.For == 0 && at >= 0:
		rule.Last, rule.For = all[at].rule.Last, all[at].rule.For
	case r.Last == 0 && r.For == 0:
		rule.Last = 1
	}
	return rule, nil
}

// lastPinned is when one of pins was named last, by whomever; zero: never.
func (n *Node) lastPinned(ctx context.Context, a namespace.Address, pins []namespace.Pin) (last time.Time, err error) {
	if len(pins) == 0 {
		return last, nil
	}
	for info, err := range n.Catalog.Publications(ctx, a) { // the newest first
		if errors.Is(err, catalog.ErrNotFound) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		for _, have := range info.Pins {
			if info.Standing.State != trust.Refused && slices.ContainsFunc(pins, func(p namespace.Pin) bool { return p.Name == have.Name }) {
				return info.Time, nil
			}
		}
	}
	return last, nil
}

// published is a path that lives in a, as publish would label it.
func (n *Node) published(ctx context.Context, a namespace.Address, p nix.StorePath) (labelled, error) {
	entries, err := n.Catalog.Lookup(ctx, a, p.Hash())
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return labelled{}, err
	}
	for _, v := range entries {
		if v.Path() == p {
			return labelled{PathInfo: daemon.PathInfo{Path: p}, label: Have, have: v}, nil
		}
	}
	return labelled{}, fmt.Errorf("%w: %s has not published %s", ErrNotHere, a.Name(), p)
}

// Pins lists the pins of a namespace that were not ended.
func (n *Node) Pins(ctx context.Context, alias string) (report.Pins, error) {
	sp, err := n.space(alias)
	if err != nil {
		return report.Pins{}, err
	}
	out := report.Pins{Schema: "flurry/pins/1", Alias: sp.Alias, Pins: []report.Pin{}}
	all, err := n.pinHistories(ctx, sp.Address)
	if err != nil {
		return out, err
	}
	for _, h := range all {
		kept := h.kept(n.Now())
		if len(kept) == 0 {
			continue
		}
		pin := report.Pin{Name: h.name, Roots: []string{}, Versions: len(kept), Last: h.rule.Last, For: h.rule.For.Seconds()}
		for _, root := range kept[0].Roots {
			pin.Roots = append(pin.Roots, root.String())
		}
		for _, v := range kept {
			size, err := n.pinnedBytes(ctx, sp.Address, v)
			if err != nil {
				return out, err
			}
			pin.NarBytes += size
			if lives := v.Lives; pin.Until == nil || lives.Before(*pin.Until) {
				pin.Until = &lives
			}
		}
		stands := kept[0].ID
		if kept[0].Entries == 0 && len(kept[0].Uses) > 0 {
			stands = kept[0].Uses[0] // where the paths are
		}
		receipts, err := n.Catalog.Receipts(ctx, sp.Address, stands)
		if err != nil {
			return out, err
		}
		pin.Copies = len(n.others(receipts))
		out.Pins = append(out.Pins, pin)
	}
	return out, nil
}

// pinnedBytes is how large the NARs of a version of a pin are: of a publication that only names what others list, theirs.
func (n *Node) pinnedBytes(ctx context.Context, a namespace.Address, v catalog.PublicationInfo) (uint64, error) {
	if v.Entries > 0 {
		return v.NarBytes, nil
	}
	var all uint64
	for _, id := range v.Uses {
		used, err := n.Catalog.PublicationInfo(ctx, a, id)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		all += used.NarBytes
	}
	return all, nil
}

// renewPinned makes what pins keep live longer, before half of the time that publications live is left, as far as a key
// that may say so is here: the root's for all, a writer's for its own.
func (n *Node) renewPinned(ctx context.Context, sp Space) error {
	key, policy, err := n.signer(sp.Address, nil)
	if err != nil {
		return nil // whoever has one renews it
	}
	if root, err := n.Keys.Root(sp.Address); err == nil {
		key = root
	}
	d, ok := policy.Document()
	if !ok {
		return nil
	}
	keep := d.Value().Keep
	now := n.Now().UTC().Truncate(time.Second)
	if key.Public() != sp.Address.Key() && policy.Now(now).After(d.Value().Expires) {
		return nil // what a writer dates now is frozen, and would keep nothing alive
	}
	all, err := n.pinHistories(ctx, sp.Address)
	if err != nil {
		return err
	}
	pub := &namespace.Publication{Namespace: sp.Address, Time: now, Expires: now.Add(keep)}
	roots := make(map[nix.StorePath]bool)
gather:
	for _, h := range all {
		for _, v := range h.kept(now) {
			if len(pub.Uses) >= renewAtOnce {
				break gather
			}
			mine := key.Public() == sp.Address.Key() || v.Signer == key.Public()
			if !mine || v.Lives.After(now.Add(keep/2)) || slices.Contains(pub.Uses, v.ID) {
				continue
			}
			pub.Uses = append(pub.Uses, v.ID)
			if len(roots)+len(v.Roots) > renewRoots {
				continue // it lives by being used; the renewal has to stay within the format's size
			}
			for _, root := range v.Roots {
				if !roots[root] {
					roots[root] = true
					pub.Roots = append(pub.Roots, root)
				}
			}
		}
	}
	if len(pub.Uses) == 0 {
		return nil
	}
	p := plan{node: n, address: sp.Address, policy: policy, key: key}
	added, err := p.add(ctx, pub)
	if err == nil {
		n.Log.Info("what is pinned was renewed", "namespace", sp.Alias, "publications", len(pub.Uses), "by", added.ID().Short())
	}
	return err
}
