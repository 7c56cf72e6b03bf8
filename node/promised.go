package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// What was merely used may come to be promised to others: it is mirrored, published to, or given to all until some day. Then it
// is to lie in the store, and what lies in /nix/store alone is copied from there, also after a restart, when nobody else has it.

// lend has what of entries is proven and lies in /nix/store alone read from there until end, so that a batch can copy it. lent is
// what that is.
func (p *places) lend(ctx context.Context, entries []trust.Verified) (lent []trust.Verified, end func(), err error) {
	end = func() { p.endLoan(lent) }
	if p.node.InPlace == nil {
		return nil, end, nil
	}
	var lacking []trust.Verified
	for _, v := range entries {
		lacks, err := p.lacks(ctx, v)
		if err != nil {
			return nil, end, err
		}
		if lacks {
			lacking = append(lacking, v)
		}
	}
	for some := range slices.Chunk(lacking, placeBatch) {
		got, err := p.lendValid(ctx, some)
		if lent = append(lent, got...); err != nil {
			return lent, end, err
		}
	}
	return lent, end, nil
}

// lacks reports whether the body of what was proven once is in the store, and some of its chunks are not.
func (p *places) lacks(ctx context.Context, v trust.Verified) (bool, error) {
	n := p.node
	if proven, err := n.Catalog.Proven(ctx, v); err != nil || !proven || !v.Entry().HasBody() {
		return false, err
	}
	b, err := n.localBody(ctx, v.Entry().Body)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, c := range b.body.Chunks {
		if _, has, err := n.Store.Stored(ctx, store.ChunkKey(c.ID)); err != nil || !has {
			return err == nil, err
		}
	}
	return false, nil
}

// lendValid lends those that are valid with the hash that they should have.
func (p *places) lendValid(ctx context.Context, all []trust.Verified) (lent []trust.Verified, err error) {
	n := p.node
	valid, err := p.valid(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if info, ok := valid[v.Path()]; !ok || info.NarHash != v.Entry().NarHash || p.isBad(v.Path()) {
			continue
		}
		b, err := n.localBody(ctx, v.Entry().Body)
		if err != nil {
			return lent, err
		}
		at := placeOf(v)
		p.mu.Lock()
		p.lent[at]++
		p.mu.Unlock()
		lent = append(lent, v)
		if err := n.InPlace.Place(at.path, at.body, b.body); err != nil {
			n.Log.Debug("not copied from the Nix store", "path", at.path.Base(), "err", err)
		}
	}
	return lent, nil
}

// endLoan withdraws what was lent, unless it is served in place for another namespace.
func (p *places) endLoan(lent []trust.Verified) {
	if len(lent) == 0 {
		return
	}
	for _, v := range lent {
		at := placeOf(v)
		p.mu.Lock()
		if p.lent[at]--; p.lent[at] == 0 {
			delete(p.lent, at)
			if !p.used(at) {
				delete(p.of, at)
				p.node.InPlace.Withdraw(at.path, at.body)
			}
		}
		p.mu.Unlock()
	}
	p.node.bodies.forget() // what could not be copied is here no more
}

// used reports whether a namespace that is merely used lists what is placed. It is called with mu held.
func (p *places) used(at place) bool {
	for _, a := range p.of[at] {
		if p.node.worthOf(a) == worthCached {
			return true
		}
	}
	return false
}

// keepPromised copies what lies in /nix/store alone of namespaces that are published to, or given to all until some day, until ctx
// ends. What is mirrored is copied as it is mirrored, within its quota.
func (n *Node) keepPromised(ctx context.Context) {
	done := make(map[namespace.Address]bool)
	for ctx.Err() == nil {
		changes, again := n.spaces.changes(), placeRound
		now := make(map[namespace.Address]bool)
		for _, sp := range n.spaces.all() {
			if sp.Seed || n.worthOf(sp.Address) != worthLive {
				continue
			}
			now[sp.Address] = done[sp.Address]
			if now[sp.Address] {
				continue
			}
			err := n.copyPromised(ctx, sp.Address)
			switch {
			case err == nil:
				now[sp.Address] = true
			case errors.Is(err, daemon.ErrNoNix) || ctx.Err() != nil:
			default:
				again = promisedAgain
				n.Log.Warn("what is promised to others lies in the Nix store alone; it is copied later", "namespace", sp.Alias, "err", err)
			}
		}
		done = now
		look := time.NewTimer(again)
		select {
		case <-changes:
		case <-look.C:
		case <-ctx.Done():
		}
		look.Stop()
	}
}

// copyPromised copies what of one namespace lies in /nix/store alone.
func (n *Node) copyPromised(ctx context.Context, a namespace.Address) error {
	var some []trust.Verified
	for use, err := range n.Catalog.Bodies(ctx, a) {
		if errors.Is(err, catalog.ErrNotFound) {
			break // it was left just now
		}
		if err != nil {
			return err
		}
		v, ok, err := n.places.held(ctx, a, use)
		if err != nil {
			return err
		}
		if ok {
			some = append(some, v)
		}
		if len(some) == placeBatch {
			if err := n.copyLent(ctx, some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return n.copyLent(ctx, some)
}

func (n *Node) copyLent(ctx context.Context, all []trust.Verified) error {
	lent, end, err := n.places.lend(ctx, all)
	defer end()
	if err != nil {
		return err
	}
	for _, v := range lent {
		if _, err := n.secure(ctx, v); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// valid is what Nix knows of those that are valid.
func (p *places) valid(ctx context.Context, all []trust.Verified) (map[nix.StorePath]daemon.PathInfo, error) {
	paths := make([]nix.StorePath, len(all))
	for i, v := range all {
		paths[i] = v.Path()
	}
	infos, err := p.node.Installed.Infos(ctx, paths)
	if err != nil {
		return nil, err
	}
	valid := make(map[nix.StorePath]daemon.PathInfo, len(infos))
	for _, info := range infos {
		valid[info.Path] = info
	}
	return valid, nil
}
