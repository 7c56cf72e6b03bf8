package node

import (
	"context"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// acceptAll takes in publications of one namespace that a peer gave. Where the namespace is mirrored, others are told of
// them only when all of each is here.
func (n *Node) acceptAll(ctx context.Context, a namespace.Address, pubs []trust.Publication) ([]catalog.AddResult, error) {
	sp, known := n.spaces.get(a)
	results, err := n.Catalog.AddAll(ctx, pubs, !known || !sp.Seed)
	if err != nil || known && sp.Seed {
		return results, err
	}
	if sp, known = n.spaces.get(a); !known || !sp.Seed {
		return results, nil
	}
	for i, r := range results { // it came to be mirrored meanwhile, and what is here was looked at before these came
		if r.Err != nil || !r.New {
			continue
		}
		at, err := n.storedAt(ctx, a, pubs[i].ID())
		if err != nil {
			return results, err
		}
		if at.IsZero() {
			if err := n.Catalog.Unlist(ctx, a, pubs[i].ID()); err != nil {
				return results, err
			}
		}
	}
	return results, nil
}

// accept takes in one.
func (n *Node) accept(ctx context.Context, p trust.Publication) (catalog.Added, error) {
	results, err := n.acceptAll(ctx, p.Value().Namespace, []trust.Publication{p})
	if err != nil {
		return catalog.Added{}, err
	}
	return results[0].Added, results[0].Err
}
