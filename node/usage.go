package node

import (
	"context"
	"errors"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/store"
)

// usage is how many bytes of chunks, before compression and each once, are here of a namespace.
type usage struct {
	Used   uint64 // of all that its publications name, dead ones too
	Live   uint64 // of what those that are alive name
	Pinned uint64 // of what a pin keeps

	partial map[namespace.ID]bool // publications that are alive and of which not all is here
}

// usage counts what is here of a.
func (n *Node) usage(ctx context.Context, a namespace.Address) (u usage, err error) {
	pinned, err := n.pinned(ctx, a)
	if err != nil {
		return u, err
	}
	u.partial = make(map[namespace.ID]bool)
	seen := make(map[content.ChunkID]byte) // how it was counted so far
	const dead, live, kept = 1, 2, 3
	var last catalog.BodyUse
	var rank byte
	var living []namespace.ID // that name the last body
	count := func() error {
		if rank == 0 {
			return nil
		}
		whole, err := n.countBody(ctx, last.Body, func(c content.ChunkID, length uint64) {
			before := seen[c]
			if before >= rank {
				return
			}
			seen[c] = rank
			for _, level := range []struct {
				at  byte
				sum *uint64
			}{{dead, &u.Used}, {live, &u.Live}, {kept, &u.Pinned}} {
				if before < level.at && level.at <= rank {
					*level.sum += length
				}
			}
		})
		if !whole {
			for _, id := range living {
				u.partial[id] = true
			}
		}
		living = living[:0]
		return err
	}
	for use, err := range n.Catalog.Bodies(ctx, a) {
		if errors.Is(err, catalog.ErrNotFound) {
			return u, nil
		}
		if err != nil {
			return u, err
		}
		if use.Body != last.Body {
			if err := count(); err != nil {
				return u, err
			}
			rank = 0
		}
		if last = use; use.Alive {
			living = append(living, use.Publication)
		}
		switch {
		case use.Alive && pinned[use.Publication]:
			rank = kept
		case use.Alive:
			rank = max(rank, live)
		default:
			rank = max(rank, dead)
		}
	}
	err = count()
	return u, err
}

// countBody calls count for each chunk of a body that lies in the store, whatever Nix has, and reports whether body and chunks
// all do.
func (n *Node) countBody(ctx context.Context, id content.BodyID, count func(content.ChunkID, uint64)) (whole bool, err error) {
	b, err := n.localBody(ctx, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	whole = true
	for _, c := range b.body.Chunks {
		_, has, err := n.Store.Stored(ctx, store.ChunkKey(c.ID))
		if err != nil {
			return false, err
		}
		if has {
			count(c.ID, uint64(c.Length))
		}
		whole = whole && has
	}
	return whole, nil
}
