package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// mirrorAll mirrors every namespace that this node seeds, until ctx ends.
func (n *Node) mirrorAll(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	running := make(map[namespace.Address]context.CancelFunc)
	for {
		changes := n.spaces.changes()
		wanted := make(map[namespace.Address]bool)
		for _, sp := range n.spaces.all() {
			if !sp.Seed || !sp.Address.CanPublish() {
				continue
			}
			wanted[sp.Address] = true
			if running[sp.Address] != nil {
				continue
			}
			one, cancel := context.WithCancel(ctx)
			running[sp.Address] = cancel
			m := n.mirrors.open(sp.Address)
			all.Go(func() {
				defer n.mirrors.close(m)
				n.mirror(one, m)
			})
		}
		for a, cancel := range running {
			if !wanted[a] {
				cancel()
				delete(running, a)
			}
		}
		select {
		case <-ctx.Done():
			for _, cancel := range running {
				cancel()
			}
			return
		case <-changes:
		}
	}
}

// mirror brings every publication of one namespace onto the disk, and lists it when all of it is there, until ctx ends.
func (n *Node) mirror(ctx context.Context, m *mirror) {
	var workers sync.WaitGroup
	defer workers.Wait()
	if err := n.takeStock(ctx, m); err != nil && ctx.Err() == nil {
		n.Log.Error("mirroring: what is here could not be counted", "namespace", m.address.Name(), "err", err)
	}
	for ctx.Err() == nil {
		changed, woken, met := n.Catalog.Changed(m.address), m.changes(), n.peers.changes()
		ids, err := n.Catalog.Unlisted(ctx, m.address)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) && ctx.Err() == nil {
			n.Log.Error("mirroring stopped for a while", "namespace", m.address.Name(), "err", err)
		}
		jobs, next := m.hire(ids, n.Now())
		for _, j := range jobs {
			workers.Go(func() { n.mirrorOne(ctx, m, j) })
		}
		look := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-woken:
		case <-met:
			m.hurry(n.Now())
		case <-look.C:
		}
		look.Stop()
	}
}

// takeStock counts what is here of a namespace, and takes off the list what is on it and is not all here, or never was: a
// namespace that was only used before is mirrored now.
func (n *Node) takeStock(ctx context.Context, m *mirror) error {
	u, err := n.usage(ctx, m.address)
	if err != nil {
		return err
	}
	m.setUsed(u.Used)
	for info, err := range n.Catalog.Publications(ctx, m.address) {
		if errors.Is(err, catalog.ErrNotFound) {
			return nil // nothing is known of it yet
		}
		if err != nil {
			return err
		}
		if !info.Listed || info.Standing.State != trust.Live {
			continue
		}
		if at, err := n.storedAt(ctx, m.address, info.ID); err != nil || !at.IsZero() && !u.partial[info.ID] {
			continue
		}
		if err := n.Catalog.Unlist(ctx, m.address, info.ID); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom keeps room for what j lacks within the namespace's quota, or refuses it. What has expired makes way.
func (n *Node) makeRoom(ctx context.Context, m *mirror, j *job, need, whole uint64) error {
	sp, _ := n.spaces.get(m.address)
	quota := sp.quota()
	err := m.reserve(j, need, whole, quota)
	var refused *refusedError
	if !errors.As(err, &refused) || refused.Why != transfer.RefusedQuota {
		return err
	}
	kept, due := m.recount(n.Now())
	if !due {
		return err
	}
	u, countErr := n.usage(ctx, m.address)
	if countErr != nil {
		return countErr
	}
	if all := u.Used + kept + need; all > quota && u.Live+kept+need <= quota {
		if err := n.dropExpired(ctx, m.address, func(gone uint64) bool { return all-min(gone, all) <= quota }); err != nil {
			return err
		}
		n.press()
		if u, countErr = n.usage(ctx, m.address); countErr != nil {
			return countErr
		}
	}
	m.setUsed(u.Used)
	if err = m.reserve(j, need, whole, quota); errors.As(err, &refused) && refused.Why == transfer.RefusedQuota {
		refused.Used = u.Live
	}
	return err
}

// mirrorOne makes one attempt at a publication.
func (n *Node) mirrorOne(ctx context.Context, m *mirror, j *job) {
	attempt, cancel := context.WithTimeout(ctx, mirrorTime)
	defer cancel()
	err := n.mirrorPublication(attempt, m, j)
	if ctx.Err() != nil {
		m.end(j, nil, n.Now(), true)
		return
	}
	if err != nil {
		n.Log.Debug("publication not mirrored yet", "namespace", m.address.Name(), "publication", j.id.Short(), "err", err)
	}
	refusal := n.refusalOf(err)
	if refusal != nil {
		n.Log.Warn("publication refused", "namespace", m.address.Name(), "publication", j.id.Short(), "why", refusal.Why, "err", err)
	}
	m.end(j, refusal, n.Now(), err != nil)
}

// refusedError is a refusal with what is told of it.
type refusedError struct{ transfer.OfferUpdate }

func (e *refusedError) Error() string { return "refused: " + e.Why.String() }

// refusalOf is what an error of mirroring makes known to who offered it; nil: it is tried again.
func (n *Node) refusalOf(err error) *transfer.OfferUpdate {
	var refused *refusedError
	refuse := func(why transfer.OfferRefusal) *transfer.OfferUpdate {
		return &transfer.OfferUpdate{State: transfer.OfferRefused, Why: why}
	}
	switch {
	case errors.As(err, &refused):
		return &refused.OfferUpdate
	case errors.Is(err, ErrWrongNar), errors.Is(err, catalog.ErrDistrusted):
		return refuse(transfer.RefusedUnverified)
	case errors.Is(err, store.ErrFull):
		return refuse(transfer.RefusedDisk)
	}
	return nil
}

// mirrorPublication brings all that a publication names onto the disk, proves it, lists it, and announces it.
func (n *Node) mirrorPublication(ctx context.Context, m *mirror, j *job) error {
	entries, err := n.Catalog.PublicationEntries(ctx, m.address, j.id)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil // withdrawn or expired meanwhile
	}
	if err != nil {
		return err
	}
	lacking, whole, err := n.lacking(ctx, entries)
	if err != nil {
		return err
	}
	var need uint64
	for _, bytes := range lacking {
		need += bytes
	}
	if err := n.makeRoom(ctx, m, j, need, whole); err != nil {
		return err
	}
	if need > 0 {
		_, end, err := n.places.lend(ctx, entries)
		defer end()
		n.places.say(ctx, err) // others may have it
	}
	todo := make([]int, len(entries))
	for i := range todo {
		todo[i] = i
	}
	err = inParallel(ctx, narsAtOnce, todo, func(ctx context.Context, i int) error {
		if err := n.hold(ctx, entries[i]); err != nil {
			return err
		}
		m.advance(j, lacking[i])
		return nil
	})
	m.unreserve(need, err == nil)
	if errors.Is(err, store.ErrFull) {
		n.press()
	}
	if err != nil {
		return err
	}
	return n.stored(ctx, m.address, j.id, entries)
}

// quota is how many bytes of chunks of the namespace are kept.
func (sp Space) quota() uint64 {
	if sp.Quota == 0 {
		return DefaultSeedQuota
	}
	return sp.Quota
}

// lacking fetches the bodies of entries and returns how many raw bytes of chunks each lacks, what an earlier one lacks
// too not counted again, and how many raw bytes all of them are made of.
func (n *Node) lacking(ctx context.Context, entries []trust.Verified) (lacking []uint64, whole uint64, err error) {
	lacking = make([]uint64, len(entries))
	bodies := make([]*parsedBody, len(entries))
	todo := make([]int, len(entries))
	for i := range todo {
		todo[i] = i
	}
	err = inParallel(ctx, narsAtOnce, todo, func(ctx context.Context, i int) (err error) {
		bodies[i], err = n.body(ctx, entries[i])
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	seen := make(map[content.ChunkID]bool)
	for i, b := range bodies {
		for _, c := range b.body.Chunks {
			if seen[c.ID] {
				continue
			}
			seen[c.ID] = true
			whole += uint64(c.Length)
			_, has, err := n.Store.Stored(ctx, store.ChunkKey(c.ID)) // what Nix alone has comes to lie here, too
			if err != nil {
				return nil, 0, err
			}
			if !has {
				lacking[i] += uint64(c.Length)
			}
		}
	}
	return lacking, whole, nil
}

// hold makes the content of v lie on the disk, proven: what is missing comes from whoever has it.
func (n *Node) hold(ctx context.Context, v trust.Verified) error {
	nar, err := n.open(ctx, v)
	if err != nil {
		return err
	}
	defer nar.Close()
	if !nar.proven || !n.whole(ctx, v) {
		if err := nar.prove(ctx, io.Discard); err != nil {
			return err
		}
	}
	switch durable, err := n.settle(ctx, v); {
	case err != nil:
		return fmt.Errorf("keep %s: %w", v.Path().Base(), err)
	case !durable: // it came, and some of it has made way since
		return fmt.Errorf("%s did not stay on the disk: %w", v.Path().Base(), store.ErrFull)
	}
	return nil
}

// stored notes that all of a publication is on the disk: others are told of it, and peers find this node by it.
func (n *Node) stored(ctx context.Context, a namespace.Address, id namespace.ID, entries []trust.Verified) error {
	if err := n.keepOwnReceipt(ctx, a, id); err != nil {
		return err
	}
	if err := n.Catalog.List(ctx, a, id); err != nil {
		return err
	}
	if err := n.announce(ctx, a, entries...); err != nil && ctx.Err() == nil {
		n.Log.Warn("announcing failed; it is tried again after a restart", "namespace", a.Name(), "err", err)
	}
	return nil
}
