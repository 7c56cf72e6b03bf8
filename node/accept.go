package node

import (
	"context"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/trust"
)

// accept takes in a publication that a peer gave. Where the namespace is mirrored, others are told of it only when all of it
// is here.
func (n *Node) accept(ctx context.Context, p trust.Publication) (catalog.Added, error) {
	sp, known := n.spaces.get(p.Value().Namespace)
	if known && sp.Seed {
		return n.Catalog.AddUnlisted(ctx, p)
	}
	return n.Catalog.Add(ctx, p)
}
