package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// countersign publishes once more, as root, what the writers of a namespace published: each entry with the writer's signature and the
// root's, so that a Nix that knows the root key alone can verify all of the namespace. One publication countersigns one,
// uses it, and ends with it. What the document does not let count is not countersigned; what is dropped later is withdrawn
// with it (countersignatures).
func (n *Node) countersign(ctx context.Context, sp Space) error {
	a := sp.Address
	root, err := n.Keys.Root(a)
	if err != nil {
		return nil // it is not here
	}
	policy, ok := n.Catalog.Policy(a)
	if !ok {
		return nil
	}
	var todo []catalog.PublicationInfo
	done := make(map[namespace.ID]bool)
	refused := make(map[namespace.ID]bool)
	var own []catalog.PublicationInfo
	for info, err := range n.Catalog.Publications(ctx, a) {
		if err != nil {
			return err
		}
		switch {
		case info.Standing.State == trust.Refused:
			refused[info.ID] = true
		case info.Standing.State != trust.Live || info.Entries == 0:
		case info.Signer != root.Public():
			todo = append(todo, info)
		case looksCountersigning(info):
			done[info.Uses[0]] = true
			own = append(own, info)
		}
	}
	if err := n.takeBack(ctx, a, root, own, refused); err != nil {
		return err
	}
	slices.Reverse(todo) // the oldest first
	made, of := len(own), make(map[nix.PublicKey]int)
	for _, info := range todo {
		if done[info.ID] {
			of[info.Signer]++
		}
	}
	for _, info := range todo {
		switch {
		case done[info.ID]:
			continue
		case made >= countersignMost, of[info.Signer] >= countersignEach:
			n.Log.Debug("not countersigned: too many are already", "namespace", sp.Alias, "publication", info.ID.Short(), "by", info.Signer.Name)
			continue
		}
		made++
		of[info.Signer]++
		if err := n.countersignOne(ctx, policy, root, info); err != nil {
			return err
		}
	}
	return nil
}

// takeBack withdraws what countersigns a publication that does not count any more: another machine with the root key may
// have revoked its writer before it knew of the countersignature.
func (n *Node) takeBack(ctx context.Context, a namespace.Address, root nix.SecretKey, own []catalog.PublicationInfo, refused map[namespace.ID]bool) error {
	var void []namespace.ID
	for _, info := range own {
		if !refused[info.Uses[0]] {
			continue
		}
		if is, err := n.countersigns(ctx, a, info); err != nil {
			return err
		} else if is {
			void = append(void, info.ID)
		}
	}
	if len(void) == 0 {
		return nil
	}
	_, err := n.edit(ctx, a, root, func(d *namespace.Document) ([]*namespace.KeepList, error) {
		withdraw(d, void, "it countersigned what does not count any more")
		return nil, nil
	})
	return err
}

func (n *Node) countersignOne(ctx context.Context, policy *trust.Policy, root nix.SecretKey, info catalog.PublicationInfo) error {
	entries, err := n.Catalog.PublicationEntries(ctx, policy.Address(), info.ID)
	if errors.Is(err, catalog.ErrNotFound) || errors.Is(err, catalog.ErrDistrusted) {
		return nil
	}
	if err != nil {
		return err
	}
	now := n.Now().UTC().Truncate(time.Second)
	if len(entries) == 0 || !info.Lives.After(now) {
		return nil
	}
	original, err := n.publication(ctx, policy.Address(), info.ID)
	if err != nil {
		return err
	}
	pub := &namespace.Publication{Namespace: policy.Address(), Time: now, Expires: info.Lives, Uses: []namespace.ID{info.ID},
		Externs: original.Externs, Holes: original.Holes}
	if most := now.Add(namespace.MaxLife); pub.Expires.After(most) {
		pub.Expires = most
	}
	for _, v := range entries {
		e := *v.Entry()
		e.Sigs = roomForOne(e.Sigs, info.Signer)
		trust.SignEntry(&e, root)
		pub.Entries = append(pub.Entries, e)
	}
	signed, err := trust.SignPublication(pub, root)
	if err != nil { // it would be too large: later ones are not to wait for it
		n.Log.Warn("not countersigned", "namespace", policy.Address().Name(), "publication", info.ID.Short(), "err", err)
		return nil
	}
	p, err := policy.VerifyPublication(signed)
	if err != nil {
		return err
	}
	_, err = n.accept(ctx, p)
	if errors.Is(err, catalog.ErrLimit) {
		n.Log.Warn("not countersigned", "namespace", policy.Address().Name(), "publication", info.ID.Short(), "err", err)
		return nil
	}
	return err
}

// roomForOne is sigs with room for one more: that of signer, and as many of the others as there may be.
func roomForOne(sigs []nix.Signature, signer nix.PublicKey) []nix.Signature {
	if len(sigs) < nix.MaxSigs {
		return sigs
	}
	kept := make([]nix.Signature, 0, nix.MaxSigs)
	for _, s := range sigs {
		if s.Name == signer.Name {
			kept = append(kept, s)
		}
	}
	for _, s := range sigs {
		if s.Name != signer.Name && len(kept) < nix.MaxSigs-1 {
			kept = append(kept, s)
		}
	}
	return kept[:min(len(kept), nix.MaxSigs-1)]
}

// countersigns reports whether a publication of the root's says nothing but what the one that it uses says.
func (n *Node) countersigns(ctx context.Context, a namespace.Address, info catalog.PublicationInfo) (bool, error) {
	if !looksCountersigning(info) {
		return false, nil
	}
	type content struct {
		path nix.StorePath
		hash nix.NarHash
	}
	said := make(map[content]bool)
	for k, id := range []namespace.ID{info.Uses[0], info.ID} {
		p, err := n.publication(ctx, a, id)
		if errors.Is(err, catalog.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for i := range p.Entries {
			c := content{p.Entries[i].Path, p.Entries[i].NarHash}
			if k == 0 {
				said[c] = true
			} else if !said[c] {
				return false, nil
			}
		}
	}
	return true, nil
}

// looksCountersigning reports whether a publication has the form of one that countersigns another.
func looksCountersigning(info catalog.PublicationInfo) bool {
	return len(info.Uses) == 1 && len(info.Roots) == 0 && len(info.Pins) == 0 && info.Entries > 0
}

// countersignatures are the root's publications that countersign one of ids: they say nothing that the writer did not say.
func (n *Node) countersignatures(ctx context.Context, a namespace.Address, ids []namespace.ID) ([]namespace.ID, error) {
	var all []namespace.ID
	for info, err := range n.Catalog.Publications(ctx, a) {
		if err != nil {
			return nil, err
		}
		if info.Signer != a.Key() || !looksCountersigning(info) || !slices.Contains(ids, info.Uses[0]) {
			continue
		}
		if is, err := n.countersigns(ctx, a, info); err != nil {
			return nil, err
		} else if is {
			all = append(all, info.ID)
		}
	}
	return all, nil
}
