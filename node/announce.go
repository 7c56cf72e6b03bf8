package node

import (
	"context"
	"errors"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// announce tells the DHT that this node holds paths of a, if the namespace is given to all here. Only what is on disk
// is announced.
func (n *Node) announce(ctx context.Context, a namespace.Address, held ...trust.Verified) error {
	sp, known := n.spaces.get(a)
	if !known || n.router() == nil || n.shareOf(sp) != ShareAll || sp.Origin != "" || n.isUpstream(a) {
		return nil // what is fetched from a cache that everybody can ask tells the world what is installed here
	}
	keys := make([]dht.Key, 0, 1+len(held))
	keys = append(keys, dht.NamespaceKey(a))
	for _, v := range held {
		if v.IsZero() || v.Address() != a {
			return errors.New("node: announcing what was not verified")
		}
		keys = append(keys, dht.PathKey(a, v.Path().Hash()))
	}
	return n.router().Provide(ctx, keys...)
}

// announceAll announces, after a start, the namespaces that this node gives to all and what it holds of them.
func (n *Node) announceAll(ctx context.Context) {
	for _, sp := range n.spaces.all() {
		if n.shareOf(sp) != ShareAll || !sp.Address.CanPublish() {
			continue
		}
		if err := n.announceSpace(ctx, sp); err != nil && ctx.Err() == nil {
			n.Log.Warn("announcing stopped", "namespace", sp.Alias, "err", err)
		}
	}
}

// announceSpace announces a namespace and what is held of it.
func (n *Node) announceSpace(ctx context.Context, sp Space) error {
	if n.router() == nil {
		return nil
	}
	var held []trust.Verified
	for v, err := range n.Catalog.Entries(ctx, sp.Address, "") {
		if errors.Is(err, catalog.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		if sp.Publish || n.provenHere(ctx, v) {
			held = append(held, v)
		}
		if len(held) == announceBatch {
			if err := n.announce(ctx, sp.Address, held...); err != nil {
				return err
			}
			held = held[:0]
		}
	}
	if len(held) == 0 && !sp.Publish && !sp.Seed {
		return nil
	}
	return n.announce(ctx, sp.Address, held...)
}
