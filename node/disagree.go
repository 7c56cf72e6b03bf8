package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
)

// disagreements are what was found when the catalog was looked through for paths that builders built differently: each is a build
// that cannot be repeated, or one that was tampered with.
type disagreements struct {
	mu sync.Mutex
	of map[namespace.Address]string // in words; those of which there is something to say
}

func (d *disagreements) get(a namespace.Address) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[a]
}

// watchBuilders looks through the catalog now and then, if it has changed.
func (n *Node) watchBuilders(ctx context.Context) {
	var seen uint64
	for last := n.Now(); ctx.Err() == nil; pause(ctx, upkeepEvery) {
		generation := n.Catalog.Generation()
		if generation == seen || n.Now().Sub(last).Abs() < disagreeEvery {
			continue
		}
		found := make(map[namespace.Address]string)
		for _, sp := range n.spaces.all() {
			if !sp.Use && !sp.Publish || sp.Origin != "" {
				continue
			}
			paths, one, err := n.Catalog.Disagreements(ctx, sp.Address)
			switch {
			case errors.Is(err, catalog.ErrNotFound):
			case err != nil && ctx.Err() == nil:
				n.Log.Warn("what was built differently is not known", "namespace", sp.Alias, "err", err)
			case paths == 1:
				found[sp.Address] = fmt.Sprintf("1 path signed differently by several builders: flurry why %s", one)
			case paths > 1:
				found[sp.Address] = fmt.Sprintf("%d paths signed differently by several builders, such as %s", paths, one)
			}
		}
		n.disagreements.mu.Lock()
		n.disagreements.of = found
		n.disagreements.mu.Unlock()
		seen, last = generation, n.Now()
	}
}

// disagreeEvery is how long it takes at least until the catalog is looked through again: 100,000 paths take up to some seconds.
const disagreeEvery = 10 * time.Minute
