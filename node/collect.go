package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
)

// CollectRequest says what is to be given up. What is refused or denied always goes, and what nothing names once that has been
// so for orphanTime.
type CollectRequest struct {
	// DryRun only counts.
	DryRun bool
	// Dead: what expired more than two days ago, or is of a namespace that was left, goes too, needed or not. Where Need is 0
	// it is what the store wants by its quota.
	Dead bool
	// Need is how many bytes of room are wanted. For them goes, in this order and only as far as it must: what nothing names,
	// what was left, what expired, and what is cached of namespaces that are merely used. What lives in a namespace that is
	// published or mirrored here stays.
	Need int64
	// Progress is told how far the sweep is; nil: nobody is.
	Progress func(report.CollectProgress)
}

// Collect gives up content. One collection runs at a time: others wait.
func (n *Node) Collect(ctx context.Context, r CollectRequest) (report.Collected, error) {
	select {
	case n.collecting <- struct{}{}:
		defer func() { <-n.collecting }()
	case <-ctx.Done():
		return report.Collected{}, ctx.Err()
	}
	// First of all: what is put or found from here on stays, whatever the survey knew of it.
	sweeper, err := n.Store.StartCollection(ctx)
	if err != nil {
		return report.Collected{}, err
	}
	defer sweeper.Close()
	if r.Dead && r.Need == 0 {
		room, err := n.Store.Room(ctx)
		if err != nil {
			return report.Collected{}, err
		}
		r.Need = wanting(room)
	}
	c := &collection{node: n, request: r, sweeper: sweeper, now: n.Now(), marks: newMarks(n), out: report.Collected{DryRun: r.DryRun}}
	if err := c.run(ctx); err != nil {
		return c.out, fmt.Errorf("collect: %w", err)
	}
	c.out.Complete()
	return c.out, nil
}

// collection is one run of Collect. Its order is what keeps the catalog from promising what is gone: find out what is named,
// take out of the catalog what is to go, durably, and sweep. A crash in between leaves content that nothing names, which is
// found as such later.
type collection struct {
	node    *Node
	request CollectRequest
	sweeper store.Collection
	now     time.Time
	survey  *survey
	marks   *marks
	lost    rank // claims up to this rank are lost
	hasty   bool // what nothing names goes at once
	out     report.Collected
}

func (c *collection) run(ctx context.Context) (err error) {
	if c.survey, err = c.node.survey(ctx); err != nil {
		return err
	}
	if err := c.mark(ctx); err != nil {
		return err
	}
	if err := c.unlist(ctx); err != nil {
		return err
	}
	need := c.request.Need
	c.hasty = need > 0
	if c.request.Dead {
		if err := c.lose(ctx, func(x *claim, _ int64) bool { return x.worth <= worthExpired }); err != nil {
			return err
		}
	}
	freed, err := c.sweep(ctx, need)
	if err != nil {
		return err
	}
	if need > freed { // what nobody needs was not enough
		missing := need - freed
		before := c.lost
		err := c.lose(ctx, func(x *claim, sum int64) bool {
			return sum < missing && (x.worth < worthCached || c.now.Sub(x.asked) >= cachedLately)
		})
		if err != nil {
			return err
		}
		if c.lost > before {
			if _, err := c.sweep(ctx, missing); err != nil {
				return err
			}
		}
	}
	return c.finish(ctx)
}

// mark gives everything that is named its rank, the best first, so that what a claim alone names is counted with it.
func (c *collection) mark(ctx context.Context) error {
	for _, id := range c.survey.live {
		if err := c.marks.mark(ctx, id, rankLive, false); err != nil {
			return err
		}
	}
	var placed []content.BodyID
	for i := len(c.survey.claims) - 1; i >= 0; i-- {
		x := c.survey.claims[i]
		for _, id := range x.bodies {
			mark := c.marks.mark
			if c.node.placed(x.address, id) { // its chunks need not be here as well
				placed = append(placed, id)
				mark = c.marks.markBody
			}
			if err := mark(ctx, id, rank(i+1), true); err != nil {
				return err
			}
		}
	}
	if err := c.markPlaced(ctx, placed); err != nil {
		return err
	}
	for _, id := range append(c.survey.dead, c.node.takeDropped(c.request.DryRun)...) {
		if err := c.marks.mark(ctx, id, 0, true); err != nil {
			return err
		}
	}
	return nil
}

// unlist makes what is refused not count as held, should it ever live again.
func (c *collection) unlist(ctx context.Context) error {
	if c.request.DryRun {
		return nil
	}
	for a, ids := range c.survey.unlist {
		if err := c.node.Catalog.Unlist(ctx, a, ids...); err != nil && !errors.Is(err, catalog.ErrNotFound) {
			return err
		}
	}
	return nil
}

// lose gives up claims, the worst first, as long as more says so; it is told how many bytes those before are.
func (c *collection) lose(ctx context.Context, more func(x *claim, sum int64) bool) error {
	var sum int64
	for int(c.lost) < len(c.survey.claims) {
		x := c.survey.claims[c.lost]
		if !more(x, sum) {
			return nil
		}
		lost, err := c.loseOne(ctx, x)
		if err != nil {
			return err
		}
		c.lost++
		if x.lost = lost; lost {
			sum += c.marks.sums[c.lost]
		}
	}
	return nil
}

// loseOne takes a claim out of the catalog, durably. It is false when it turns out to be worth more than it was: then all that
// it names stays.
func (c *collection) loseOne(ctx context.Context, x *claim) (bool, error) {
	n := c.node
	var err error
	switch {
	case c.request.DryRun:
		return true, nil
	case x.worth == worthExpired:
		if _, err := n.Catalog.PublicationInfo(ctx, x.address, x.publication); errors.Is(err, catalog.ErrNotFound) {
			return true, nil
		}
		if err = n.Catalog.Drop(ctx, x.address, x.publication); err == nil {
			c.out.Publications++
			return true, nil
		}
	case n.worthOf(x.address) > x.worth: // it was taken up again
		err = errTakenUp
	case x.worth == worthLeft:
		if err = n.Catalog.Unlist(ctx, x.address, x.publication); err == nil || errors.Is(err, catalog.ErrNotFound) {
			return true, nil
		}
	default:
		var asked time.Time
		if asked, err = n.Catalog.Touched(ctx, x.address, x.bodies[0]); err == nil && !asked.After(x.asked) {
			return true, nil
		}
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	n.Log.Debug("kept after all", "namespace", x.address.Name(), "publication", x.publication.Short(), "err", err)
	for _, id := range x.bodies {
		if err := c.marks.mark(ctx, id, rankLive, false); err != nil {
			return false, err
		}
	}
	return false, nil
}

var errTakenUp = errors.New("the namespace was taken up again")

// fate is what becomes of content.
func (c *collection) fate(k store.Key) store.Fate {
	switch k.Kind {
	case store.KindChunk, store.KindBody:
		r, named := c.marks.of(k)
		switch {
		case !named && !c.hasty:
			return store.Orphan
		case !named, r <= c.lost:
			return store.Dead
		}
		return store.Keep
	case store.KindDocument, store.KindKeepList:
		if c.survey.blind {
			return store.Keep
		}
	}
	if c.survey.texts[k] {
		return store.Keep
	}
	// Never at once: a text is on the disk a moment before the catalog names it.
	return store.Orphan
}

// sweep sweeps, and returns how many bytes of room that gave.
func (c *collection) sweep(ctx context.Context, need int64) (freed int64, err error) {
	n := c.node
	o := store.SweepOptions{DryRun: c.request.DryRun, Now: c.now, KeepOrphans: orphanTime, Need: need}
	if c.request.Progress != nil {
		o.Progress = func(done, total int64) { c.request.Progress(report.CollectProgress{Done: done, Of: total}) }
	}
	n.bodies.forget()
	swept, err := c.sweeper.Sweep(ctx, c.fate, o)
	n.bodies.forget()
	if c.request.DryRun {
		c.out.Contents, c.out.Bytes, c.out.Freed = 0, 0, 0 // the last sweep says all
	}
	c.out.Contents += swept.Contents
	c.out.Bytes += swept.Bytes
	c.out.Freed += swept.Freed
	c.out.Kept, c.out.Waiting = swept.KeptBytes, swept.WaitingBytes
	return swept.Freed, err
}

// finish says what went, and why.
func (c *collection) finish(ctx context.Context) error {
	sums := map[worth]int64{worthNothing: c.marks.sums[0]}
	if !c.request.DryRun {
		c.node.places.spare.Store(0)
	}
	for i, x := range c.survey.claims[:c.lost] {
		if !x.lost {
			continue
		}
		sums[x.worth] += c.marks.sums[rank(i+1)]
		if c.request.DryRun && x.worth == worthExpired {
			c.out.Publications++
		}
	}
	named := int64(0)
	for _, of := range []struct {
		worth  worth
		reason string
	}{{worthNothing, "refused"}, {worthLeft, "left"}, {worthExpired, "expired"}, {worthCached, "cache"}} {
		named += sums[of.worth]
		if sums[of.worth] > 0 {
			c.out.Why = append(c.out.Why, report.CollectedWhy{Reason: of.reason, Bytes: sums[of.worth]})
		}
	}
	if c.marks.spared > 0 {
		named += c.marks.spared
		c.out.Why = append(c.out.Why, report.CollectedWhy{Reason: "in-place", Bytes: c.marks.spared})
	}
	if rest := c.out.Bytes - named; rest > 0 {
		c.out.Why = append(c.out.Why, report.CollectedWhy{Reason: "orphan", Bytes: rest})
	}
	room, err := c.node.Store.Room(ctx)
	c.out.Used, c.out.Quota = room.Used, room.Quota
	return err
}

func (n *Node) hasDropped() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.dropped) > 0
}

// takeDropped is what was taken out of the catalog and not swept yet; from now on somebody else's business, unless it is kept.
func (n *Node) takeDropped(keep bool) []content.BodyID {
	n.mu.Lock()
	defer n.mu.Unlock()
	ids := n.dropped
	if !keep {
		n.dropped = nil
	}
	return ids[:len(ids):len(ids)]
}

// dropExpired takes expired publications of one namespace out of the catalog, durably, those that were asked for longest ago
// first, until enough says so; it is told how many raw bytes those that are gone alone named. Their content goes with the next
// collection.
func (n *Node) dropExpired(ctx context.Context, a namespace.Address, enough func(gone uint64) bool) error {
	s, err := n.survey(ctx, a)
	if err != nil {
		return err
	}
	own, err := n.ownBytes(ctx, s)
	if err != nil {
		return err
	}
	var gone uint64
	for i, x := range s.claims {
		if enough(gone) {
			break
		}
		if x.worth != worthExpired {
			continue
		}
		if err := n.Catalog.Drop(ctx, a, x.publication); err != nil {
			if ctx.Err() != nil {
				return err
			}
			continue // it lives again
		}
		gone += own[i]
		n.mu.Lock()
		n.dropped = append(n.dropped, x.bodies...)
		n.mu.Unlock()
	}
	return nil
}

// ownBytes is for each claim how many raw bytes of chunks are here that nothing better names.
func (n *Node) ownBytes(ctx context.Context, s *survey) ([]uint64, error) {
	seen := make(map[content.ChunkID]bool)
	own := make([]uint64, len(s.claims))
	count := func(id content.BodyID, sum *uint64) error {
		_, err := n.countBody(ctx, id, func(c content.ChunkID, length uint64) {
			if !seen[c] {
				seen[c] = true
				*sum += length
			}
		})
		return err
	}
	var rest uint64
	for _, id := range s.live {
		if err := count(id, &rest); err != nil {
			return nil, err
		}
	}
	for i := len(s.claims) - 1; i >= 0; i-- {
		for _, id := range s.claims[i].bodies {
			if err := count(id, &own[i]); err != nil {
				return nil, err
			}
		}
	}
	return own, nil
}
