package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// plan turns the entries of one act of publishing into as few publications as the format's limits allow, dependencies
// first, so that each resolves every reference in itself, in one it uses, or as an extern or hole.
type plan struct {
	node    *Node
	address namespace.Address
	policy  *trust.Policy
	key     nix.SecretKey
	request PublishRequest
	all     []labelled
	entries []*namespace.Entry // of those that are taken, by index of all

	after time.Time      // what it publishes is dated later: what a pin stands for goes by dates
	ids   []namespace.ID // what was published
}

// publish signs, verifies and adds the publications; it returns the entries that are held and visible now.
func (p *plan) publish(ctx context.Context) ([]trust.Verified, error) {
	byPath := make(map[nix.StorePath]int, len(p.all))
	for i, l := range p.all {
		byPath[l.Path] = i
	}
	in := make(map[nix.StorePath]namespace.ID) // where what this plan published stands
	var held []trust.Verified
	groups := p.groups()
	for g, group := range groups {
		pub := p.skeleton()
		uses := make(map[namespace.ID]bool)
		own := make(map[nix.StorePath]bool, len(group))
		for _, i := range group {
			own[p.all[i].Path] = true
		}
		for _, i := range group {
			e := p.entries[i]
			trust.SignEntry(e, p.key)
			pub.Entries = append(pub.Entries, *e)
			for _, r := range e.References {
				if !own[r] {
					p.resolve(pub, uses, in, p.all[byPath[r]])
				}
			}
		}
		if g == len(groups)-1 {
			p.crown(pub, uses, in, own, byPath)
		}
		for id := range uses {
			pub.Uses = append(pub.Uses, id)
		}
		added, err := p.add(ctx, pub)
		if err != nil {
			return held, err
		}
		for _, v := range added.Entries() {
			in[v.Path()] = added.ID()
		}
		held = append(held, added.Entries()...)
	}
	return held, nil
}

// groups cuts what is taken into publications. There is one without entries when only roots are renewed or pinned.
func (p *plan) groups() [][]int {
	var out [][]int
	var group []int
	size := 0
	for i, e := range p.entries {
		if e == nil {
			continue
		}
		cost := len(e.Append(nil)) + 128 // and the signature
		if len(group) == publicationEntries || size+cost > publicationBytes {
			out, group, size = append(out, group), nil, 0
		}
		group, size = append(group, i), size+cost
	}
	if len(group) > 0 {
		return append(out, group)
	}
	if p.renews() {
		return [][]int{nil}
	}
	return nil
}

// renews reports whether roots that are all published already need a new publication to live as long as was asked.
func (p *plan) renews() bool {
	if len(p.request.Pins) > 0 {
		return true
	}
	until := p.expires()
	for _, l := range p.all {
		if l.label != Have || !slices.Contains(p.request.Roots, l.Path) {
			continue
		}
		lives, err := p.node.Catalog.LivesUntil(l.have)
		if err != nil || lives.Before(until.Add(-p.keep()/2)) {
			return true
		}
	}
	return false
}

func (p *plan) skeleton() *namespace.Publication {
	return &namespace.Publication{Namespace: p.address, Time: p.now(), Expires: p.expires()}
}

func (p *plan) now() time.Time {
	now := p.node.Now().UTC().Truncate(time.Second)
	if !now.After(p.after) {
		return p.after.Add(time.Second)
	}
	return now
}

func (p *plan) keep() time.Duration {
	keep := p.request.Keep
	if d, ok := p.policy.Document(); ok && keep == 0 {
		keep = d.Value().Keep
	}
	return keep
}

func (p *plan) expires() time.Time { return p.now().Add(p.keep()) }

// resolve makes pub say where a reference that is not its own is to be found.
func (p *plan) resolve(pub *namespace.Publication, uses map[namespace.ID]bool, in map[nix.StorePath]namespace.ID, ref labelled) {
	switch ref.label {
	case Take:
		uses[in[ref.Path]] = true
	case Have:
		uses[ref.have.Publication()] = true
	case Upstream:
		x := namespace.Extern{Key: ref.upstream, Path: ref.Path}
		if !slices.Contains(pub.Externs, x) {
			pub.Externs = append(pub.Externs, x)
		}
	case LeftOut:
		if !slices.Contains(pub.Holes, ref.Path) {
			pub.Holes = append(pub.Holes, ref.Path)
		}
	}
}

// crown makes pub the one that carries roots and pins, and keeps alive what the roots need.
func (p *plan) crown(pub *namespace.Publication, uses map[namespace.ID]bool, in map[nix.StorePath]namespace.ID, own map[nix.StorePath]bool, byPath map[nix.StorePath]int) {
	pub.Pins = p.request.Pins
	for _, root := range p.request.Roots {
		l := p.all[byPath[root]]
		if l.label != Take && l.label != Have || slices.Contains(pub.Roots, root) {
			continue
		}
		pub.Roots = append(pub.Roots, root)
		if !own[root] {
			p.resolve(pub, uses, in, l)
		}
	}
}

// add signs pub, takes it through the same door as anybody's, and makes it visible.
func (p *plan) add(ctx context.Context, pub *namespace.Publication) (trust.Publication, error) {
	raw, err := trust.SignPublication(pub, p.key)
	if err != nil {
		return trust.Publication{}, err
	}
	v, err := p.policy.VerifyPublication(raw)
	if err != nil {
		return trust.Publication{}, err
	}
	added, err := p.node.Catalog.Add(ctx, v)
	if err != nil {
		return trust.Publication{}, err
	}
	if len(added.Missing) > 0 {
		return trust.Publication{}, fmt.Errorf("publication %s uses %s, which is not here", v.ID().Short(), added.Missing[0].Short())
	}
	for _, e := range v.Entries() {
		if err := p.node.Catalog.MarkProven(ctx, e); err != nil { // its NAR was hashed while it was chunked
			return trust.Publication{}, err
		}
	}
	if sp, ok := p.node.spaces.get(p.address); ok && sp.Seed { // it is all here: others may count this node
		if err := p.node.keepOwnReceipt(ctx, p.address, v.ID()); err != nil && !errors.Is(err, errNoReceipts) {
			return trust.Publication{}, err
		}
	}
	p.ids = append(p.ids, v.ID())
	return v, nil
}
