package node

import (
	"context"
	"errors"
	"slices"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// LeavesOut returns the keys of the caches to which the newest publications of a namespace leave a part of what they need, in the
// order of their names: without those caches such paths are not complete.
func (n *Node) LeavesOut(ctx context.Context, a namespace.Address) ([]nix.PublicKey, error) {
	var keys []nix.PublicKey
	looked := 0
	for info, err := range n.Catalog.Publications(ctx, a) {
		if errors.Is(err, catalog.ErrNotFound) || looked == leftOutLooked {
			break
		}
		if err != nil {
			return nil, err
		}
		looked++
		raw, err := n.Catalog.RawPublication(ctx, a, info.ID)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		note, err := namespace.ParseNote(raw)
		if err != nil {
			continue
		}
		text, err := namespace.ParsePublication(note.Text)
		if err != nil {
			continue
		}
		for _, x := range text.Externs {
			if !slices.Contains(keys, x.Key) {
				keys = append(keys, x.Key)
			}
		}
	}
	slices.SortFunc(keys, func(x, y nix.PublicKey) int { return slices.Compare([]byte(x.String()), []byte(y.String())) })
	return keys, nil
}
