package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// Info answers for one path in one view: "" for all namespaces in use, else an alias. The error is ErrNotHere when
// nobody has it, and anything else when the node could not find out before ctx ended.
func (n *Node) Info(ctx context.Context, view string, h nix.PathHash) (trust.Verified, error) {
	spaces := n.spaces.inUse(view)
	v, err := n.known(ctx, spaces, h)
	if err == nil || !errors.Is(err, ErrNotHere) {
		return v, err
	}
	open := n.unsynced(spaces)
	if len(open) == 0 {
		return trust.Verified{}, err
	}
	n.ask(ctx, open, h)
	return n.known(ctx, spaces, h)
}

// known answers from the catalog, if the content is here or somebody who may have it is connected.
func (n *Node) known(ctx context.Context, spaces []Space, h nix.PathHash) (trust.Verified, error) {
	candidates, err := n.candidates(ctx, spaces, h)
	if err != nil {
		return trust.Verified{}, err
	}
	for _, v := range candidates {
		if n.available(ctx, v) {
			return v, nil
		}
	}
	if len(candidates) == 0 {
		return trust.Verified{}, ErrNotHere
	}
	// Listed, but nobody is known to have it: look for a holder as long as the question may take.
	v := candidates[0]
	n.tasks.Go(func(ctx context.Context) { n.seek(ctx, v.Address(), h) })
	for {
		changed := n.peers.changes()
		for _, v := range candidates {
			if n.available(ctx, v) {
				return v, nil
			}
		}
		select {
		case <-ctx.Done():
			return trust.Verified{}, fmt.Errorf("%w: %s is published by %s, but nobody reachable has it", ErrNotHere, v.Path().Base(), v.Address().Name())
		case <-changed:
		}
	}
}

// candidates are the entries for h that may be given to Nix, in order of preference: what was served here before, then
// the order of namespaces, then the catalog's own order.
func (n *Node) candidates(ctx context.Context, spaces []Space, h nix.PathHash) ([]trust.Verified, error) {
	var first, rest []trust.Verified
	for _, sp := range spaces {
		entries, err := n.Catalog.Lookup(ctx, sp.Address, h)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, v := range entries {
			complete, _, err := n.Catalog.Complete(ctx, v, n.externPresent, n.holeFilled)
			if err != nil {
				return nil, err
			}
			if !complete {
				continue
			}
			if len(spaces) == 1 { // the catalog's order is all there is
				rest = append(rest, v)
				continue
			}
			if proven, err := n.Catalog.Proven(ctx, v); err == nil && proven {
				first = append(first, v)
			} else {
				rest = append(rest, v)
			}
		}
	}
	return append(first, rest...), nil
}

// externPresent reports whether Nix has what is signed by k from elsewhere or from here.
func (n *Node) externPresent(k nix.PublicKey) bool {
	if sp, ok := n.spaces.get(namespace.AddressOf(k)); ok && sp.Use {
		return true
	}
	for _, t := range n.settings.TrustedByNix {
		if t == k {
			return true
		}
	}
	return false
}

func (n *Node) holeFilled(p nix.StorePath) bool {
	return n.settings.HoleFilled != nil && n.settings.HoleFilled(p)
}

// available reports whether v can be given: it is whole here, or a peer is connected that serves its namespace and has
// not just said that it lacks it.
func (n *Node) available(ctx context.Context, v trust.Verified) bool {
	id := v.Entry().Body
	return len(n.peers.serving(v.Address(), &id)) > 0 || n.whole(ctx, v)
}

// unsynced are the namespaces whose catalog says nothing about what it lacks, since this node never held all of it.
func (n *Node) unsynced(spaces []Space) []Space {
	var out []Space
	for _, sp := range spaces {
		if _, ok := n.spaces.syncedAt(sp.Address); !ok && !sp.Publish {
			out = append(out, sp)
		}
	}
	return out
}

// ask puts h to the connected peers that serve the namespaces, and waits within ctx, and within the grace after the
// start, for the first of them to be synced or to name the path.
func (n *Node) ask(ctx context.Context, spaces []Space, h nix.PathHash) {
	if n.network() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.patience())
	defer cancel()
	found := make(chan struct{}, 1)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	for _, sp := range spaces {
		for _, r := range n.peers.serving(sp.Address, nil) {
			asked.Go(func() {
				if n.lookup(ctx, r, sp.Address, h) {
					select {
					case found <- struct{}{}:
					default:
					}
				}
			})
		}
	}
	for {
		changes := n.spaces.changes()
		if len(n.unsynced(spaces)) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-found:
			return
		case <-changes:
		}
	}
}

// patience is how long an unsynced namespace may hold up an answer: the rest of the grace after the start, and the
// budget afterwards. The caller's context bounds both.
func (n *Node) patience() time.Duration { return max(n.graceLeft(), BudgetWAN) }

// graceLeft is the rest of the grace after the start; below 0 it is over.
func (n *Node) graceLeft() time.Duration {
	grace := n.settings.Grace
	if grace == 0 {
		grace = GraceAfterStart
	}
	return grace - n.Now().Sub(n.started)
}

// lookup asks r for h and takes in the publications that its answer names; it reports whether it named any.
func (n *Node) lookup(ctx context.Context, r *remote, a namespace.Address, h nix.PathHash) bool {
	answers, err := r.conn.Lookup(ctx, a, []nix.PathHash{h})
	if isLie(err) {
		n.ban(r, err.Error())
		return false
	}
	if err != nil {
		return false
	}
	if err := checkAnswers(answers); err != nil {
		n.ban(r, err.Error())
		return false
	}
	named := false
	for _, answer := range answers {
		for _, e := range answer.Entries {
			took, err := n.takePublications(ctx, r, a, []namespace.ID{e.Publication})
			if isLie(err) {
				n.ban(r, err.Error())
				return named
			}
			named = named || took > 0 && answer.Hash == h
		}
	}
	return named
}

// checkAnswers refuses an entry that stands under another path's hash.
func checkAnswers(answers []transfer.Answer) error {
	for _, a := range answers {
		for _, e := range a.Entries {
			if e.Entry.Path.Hash() != a.Hash {
				return fmt.Errorf("answered for %s with %s", a.Hash, e.Entry.Path.Base())
			}
		}
	}
	return nil
}

// GraceLeft is how much longer than usual a question may take now: the rest of the grace after the start, as long as a
// namespace in use was never synced.
func (n *Node) GraceLeft() time.Duration {
	if left := n.graceLeft(); left > 0 && len(n.unsynced(n.spaces.inUse(""))) > 0 {
		return left
	}
	return 0
}
