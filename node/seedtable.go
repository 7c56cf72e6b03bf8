package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// Seeds is what is mirrored here. It asks connected peers what they have of the same namespaces.
func (n *Node) Seeds(ctx context.Context) (report.Seeds, error) {
	s := report.Seeds{Schema: "flurry/seed/1", Seeds: []report.Seed{}}
	for _, sp := range n.spaces.all() {
		if !sp.Seed && !n.Now().Before(sp.Until) {
			continue
		}
		row, err := n.seedRow(ctx, sp)
		if err != nil {
			return s, err
		}
		s.Seeds = append(s.Seeds, row)
	}
	return s, nil
}

func (n *Node) seedRow(ctx context.Context, sp Space) (report.Seed, error) {
	stats := n.Catalog.Stats(sp.Address)
	row := report.Seed{Alias: sp.Alias, Key: sp.Address.String(), Quota: sp.quota(), Promise: sp.Promise.Seconds(), DemandDay: n.demand.day(sp.Address),
		Paths: stats.Paths, Publications: stats.Publications, Pending: stats.Unlisted, Refused: []string{}, StopAfter: sp.StopAfter,
		Problems: append([]string{}, n.documentProblems(sp, stats)...)}
	if t, ok := n.spaces.syncedAt(sp.Address); ok {
		row.Synced = &t
	}
	if !sp.Seed {
		row.Until = &sp.Until
	}
	u, err := n.usage(ctx, sp.Address)
	if err != nil {
		return row, err
	}
	row.Used, row.Live, row.Pinned = u.Used, u.Live, u.Pinned
	if m := n.mirrors.get(sp.Address); m != nil {
		row.Refused = n.refusedWords(m)
		row.Pending -= min(len(row.Refused), row.Pending)
	}
	others, err := n.elsewhere(ctx, sp)
	if err != nil {
		return row, err
	}
	row.Copies, row.OnlyCopy = others.whole, others.only
	return row, nil
}

// refusedWords are the publications that are not taken, and why.
func (n *Node) refusedWords(m *mirror) []string {
	_, _, _, refused := m.progress()
	words := make([]string, 0, len(refused))
	for id, u := range refused {
		words = append(words, fmt.Sprintf("publication %s: %s", id.Short(), refusalWords(u)))
	}
	slices.Sort(words)
	return words
}

// elsewhere is what other seeds have of a namespace.
type elsewhere struct {
	whole int                  // how many have all that this node lists
	has   map[namespace.ID]int // how many list each publication
	only  uint64               // bytes of NARs of publications that none of them lists
}

// elsewhere asks the connected peers that mirror sp what they list. A seed lists what lies on its disk.
func (n *Node) elsewhere(ctx context.Context, sp Space) (elsewhere, error) {
	e := elsewhere{has: make(map[namespace.ID]int)}
	var mine []catalog.PublicationInfo
	for info, err := range n.Catalog.Publications(ctx, sp.Address) {
		if errors.Is(err, catalog.ErrNotFound) {
			return e, nil
		}
		if err != nil {
			return e, err
		}
		if info.Listed && info.Standing.State == trust.Live {
			mine = append(mine, info)
		}
	}
	if len(mine) == 0 || n.network() == nil {
		return e, nil
	}
	n.findSeeds(ctx, sp, mine[0].ID)
	for _, r := range n.peers.seedsOf(sp.Address) {
		listed, err := n.listedAt(ctx, r, sp.Address)
		if err != nil {
			n.Log.Debug("a seed was not counted", "peer", r.conn.Peer().Short(), "err", err)
			continue
		}
		all := true
		for _, info := range mine {
			if listed[info.ID] {
				e.has[info.ID]++
			} else {
				all = false
			}
		}
		if all {
			e.whole++
		}
	}
	var lone []namespace.ID
	for _, info := range mine {
		if e.has[info.ID] == 0 {
			lone = append(lone, info.ID)
		}
	}
	var err error
	e.only, err = n.narBytes(ctx, sp.Address, lone)
	return e, err
}

// narBytes is how much the NARs in publications have together, what stands in several of them counted once.
func (n *Node) narBytes(ctx context.Context, a namespace.Address, ids []namespace.ID) (uint64, error) {
	seen := make(map[nix.NarHash]bool)
	var sum uint64
	for _, id := range ids {
		p, err := n.publication(ctx, a, id)
		if errors.Is(err, catalog.ErrNotFound) {
			continue // withdrawn meanwhile
		}
		if err != nil {
			return sum, err
		}
		for i := range p.Entries {
			if e := &p.Entries[i]; !seen[e.NarHash] {
				seen[e.NarHash] = true
				sum += e.NarSize
			}
		}
	}
	return sum, nil
}

// findSeeds finds out which connected peers mirror sp: each is offered one publication, unless that was done lately.
func (n *Node) findSeeds(ctx context.Context, sp Space, id namespace.ID) {
	ctx, cancel := context.WithTimeout(ctx, OfferPatience)
	defer cancel()
	known := n.peers.seedsOf(sp.Address)
	var all sync.WaitGroup
	for _, r := range n.peers.connected() {
		if slices.Contains(known, r) || !n.mayAsk(r, sp) {
			continue
		}
		all.Go(func() {
			enough := errors.New("it mirrors the namespace")
			err := r.conn.Offer(ctx, sp.Address, id, func(u transfer.OfferUpdate) error {
				if u.State == transfer.OfferRefused && u.Why == transfer.RefusedNotHosted {
					return nil
				}
				return enough
			})
			n.peers.setSeeds(r, sp.Address, errors.Is(err, enough))
		})
	}
	all.Wait()
}

// listedAt asks r for the ids of all publications that it lists.
func (n *Node) listedAt(ctx context.Context, r *remote, a namespace.Address) (map[namespace.ID]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, syncRoundTimeout)
	defer cancel()
	listed := make(map[namespace.ID]bool)
	for todo := allBuckets(); len(todo) > 0; {
		answer, err := r.conn.Sync(ctx, a, transfer.SyncRequest{Buckets: todo[:min(bucketsAtOnce, len(todo))]})
		if err != nil {
			return nil, err
		}
		before := len(todo)
		for b, ids := range answer.BucketIDs {
			todo = slices.DeleteFunc(todo, func(d byte) bool { return d == b })
			for _, id := range ids {
				listed[id] = true
			}
		}
		if len(todo) == before {
			return nil, lied(errors.New("none of the buckets asked for came"))
		}
	}
	return listed, nil
}

func allBuckets() []byte {
	all := make([]byte, transfer.Buckets)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}

// WaitMirrored waits until everything known of a seeded namespace is here or refused, and reports how far it is. Who
// publishes a namespace knows it without having heard of it.
func (n *Node) WaitMirrored(ctx context.Context, alias string, progress func(report.SeedProgress)) (report.Seeded, error) {
	sp, err := n.space(alias)
	if err != nil {
		return report.Seeded{}, err
	}
	for {
		changed := n.Catalog.Changed(sp.Address)
		m := n.mirrors.get(sp.Address)
		pending, have, of := 0, uint64(0), uint64(0)
		var woken <-chan struct{}
		if m != nil {
			woken = m.changes()
			pending, have, of, _ = m.progress()
		}
		if progress != nil {
			progress(report.SeedProgress{Publications: pending, Have: have, Of: of})
		}
		_, synced := n.spaces.syncedAt(sp.Address)
		if waiting := n.Catalog.Stats(sp.Address).Unlisted; m != nil && (synced || sp.Publish) && pending == 0 && waiting == len(n.refusedWords(m)) {
			break
		}
		look := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-woken:
		case <-look.C:
		}
		look.Stop()
		if ctx.Err() != nil {
			break
		}
	}
	return n.seeded(sp), nil
}

func (n *Node) seeded(sp Space) report.Seeded {
	stats := n.Catalog.Stats(sp.Address)
	s := report.Seeded{Schema: "flurry/seed/1", Event: "done", Alias: sp.Alias, Key: sp.Address.String(), Quota: sp.quota(), Promise: sp.Promise.Seconds(),
		Paths: stats.Paths, NarBytes: stats.NarBytes, Pending: stats.Unlisted, Trusted: sp.Use, Refused: []string{}, Warnings: []report.Problem{}}
	if m := n.mirrors.get(sp.Address); m != nil {
		s.Refused = n.refusedWords(m)
		s.Pending -= min(len(s.Refused), s.Pending)
	}
	return s
}

// OnlyCopy is how many bytes of NARs of a seeded namespace no other connected seed has enough copies of.
func (n *Node) OnlyCopy(ctx context.Context, alias string, copies int) (uint64, error) {
	sp, err := n.space(alias)
	if err != nil {
		return 0, err
	}
	e, err := n.elsewhere(ctx, sp)
	if err != nil {
		return 0, err
	}
	var few []namespace.ID
	for info, err := range n.Catalog.Publications(ctx, sp.Address) {
		if errors.Is(err, catalog.ErrNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if info.Listed && info.Standing.State == trust.Live && e.has[info.ID] < copies {
			few = append(few, info.ID)
		}
	}
	return n.narBytes(ctx, sp.Address, few)
}

// Withdraw takes back what was announced of a namespace.
func (n *Node) Withdraw(ctx context.Context, a namespace.Address) error {
	if n.router() == nil {
		return nil
	}
	keys := []dht.Key{dht.NamespaceKey(a)}
	for h, err := range n.Catalog.Paths(ctx, a) {
		if errors.Is(err, catalog.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		if keys = append(keys, dht.PathKey(a, h)); len(keys) == announceBatch {
			if err := n.router().Withdraw(ctx, keys...); err != nil {
				return err
			}
			keys = keys[:0]
		}
	}
	return n.router().Withdraw(ctx, keys...)
}

// Reshare makes what is announced follow from how a namespace is shared now: all of what is held of it, or nothing. It is
// called when a space was put that shares otherwise than before.
func (n *Node) Reshare(ctx context.Context, a namespace.Address) error {
	sp, known := n.spaces.get(a)
	if !known || n.shareOf(sp) != ShareAll {
		return n.Withdraw(ctx, a)
	}
	return n.announceSpace(ctx, sp)
}
