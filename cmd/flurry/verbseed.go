package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
)

// Seed mirrors a namespace for others, and waits until all of it is here.
func (v verbs) Seed(ctx context.Context, r control.SeedRequest, progress func(report.SeedProgress)) (report.Seeded, error) {
	sp, err := v.spaceToUse(control.UseRequest{Namespace: r.Namespace, Alias: r.Alias, Peers: r.Peers})
	if err != nil {
		return report.Seeded{}, err
	}
	if r.Promise != nil && (*r.Promise < 0 || *r.Promise > maxPromise) {
		return report.Seeded{}, usage("--promise 30d", "a seed promises 0s to %s", days(maxPromise))
	}
	if sp.Origin != "" {
		return report.Seeded{}, usage("flurry use "+sp.Alias, "%s is an HTTP cache, which is asked path by path: it cannot be mirrored as a whole", sp.Alias)
	}
	known := sp
	sp.Seed, sp.Until, sp.StopAfter = true, time.Time{}, 0
	if r.Quota != nil {
		if sp.Quota = *r.Quota; sp.Quota == 0 {
			sp.Quota = math.MaxInt64
		}
	}
	if r.Promise != nil {
		sp.Promise = *r.Promise
	}
	if sp.Declared == "" || known.Seed != sp.Seed || known.StopAfter != sp.StopAfter || known.Quota != sp.Quota || known.Promise != sp.Promise {
		if err := v.spaces.put(sp, v.node.Put); err != nil {
			return report.Seeded{}, err
		}
	}
	if err := v.goOnline(); err != nil {
		return report.Seeded{}, &report.Problem{ID: "no-network", Exit: report.ExitFailed, Message: fmt.Sprintf("%s is to be mirrored, but there is no way to peers: %v", sp.Alias, err), Try: []string{"flurry status"}}
	}
	v.instance.find(sp.Peers)
	if err := v.node.Reshare(ctx, sp.Address); err != nil {
		return report.Seeded{}, err
	}
	look := useWait
	if r.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Wait)
		defer cancel()
		look = min(look, r.Wait)
	}
	waiting, cancel := context.WithTimeout(ctx, look)
	found := sp.Publish || v.node.WaitSynced(waiting, sp.Address) // who publishes it has it
	cancel()
	if !found {
		where := v.whereToLook(sp)
		ctx, cancel = context.WithCancel(ctx)
		cancel() // there is nothing to wait for: it begins when somebody comes
		s, err := v.node.WaitMirrored(ctx, sp.Alias, nil)
		nobody := nobodyFound(sp, where, look)
		nobody.Found = []string{"it is looked for further, and what is found is mirrored. Or give a place to start:"}
		nobody.Try = []string{fmt.Sprintf("flurry seed %s --peer seed.acme.example", sp.Alias)}
		s.Warnings = append(s.Warnings, nobody)
		return s, err
	}
	return v.node.WaitMirrored(ctx, sp.Alias, progress)
}

func ptr[T any](v T) *T { return &v }

// Seeds is what is mirrored here.
func (v verbs) Seeds(ctx context.Context) (report.Seeds, error) { return v.node.Seeds(ctx) }

// copiesEvery is how often it is looked whether others have enough copies.
const copiesEvery = 10 * time.Second

// StopSeed ends mirroring, at once or, by itself later, when others have enough copies. What was promised is kept.
func (v verbs) StopSeed(ctx context.Context, r control.StopSeedRequest) (report.SeedStop, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.SeedStop{}, err
	}
	if !sp.Seed {
		return report.SeedStop{}, &report.Problem{ID: "not-seeded", Exit: report.ExitUsage, Message: sp.Alias + " is not mirrored here", Try: []string{"flurry seed"}}
	}
	if r.AfterCopies > 0 {
		few, err := v.node.OnlyCopy(ctx, sp.Alias, r.AfterCopies)
		if err != nil {
			return report.SeedStop{}, err
		}
		if few > 0 {
			sp.StopAfter = r.AfterCopies
			s := report.SeedStop{Schema: "flurry/seed/1", Alias: sp.Alias, OnlyCopy: few, After: r.AfterCopies}
			return s, v.spaces.put(sp, v.node.Put)
		}
	}
	return v.stopSeed(ctx, sp)
}

func (v verbs) stopSeed(ctx context.Context, sp node.Space) (report.SeedStop, error) {
	only, err := v.node.OnlyCopy(ctx, sp.Alias, 1)
	if err != nil {
		return report.SeedStop{}, err
	}
	s := report.SeedStop{Schema: "flurry/seed/1", Alias: sp.Alias, OnlyCopy: only}
	promised, err := v.node.Promised(ctx, sp.Alias)
	if err != nil {
		return report.SeedStop{}, err
	}
	sp.Seed, sp.StopAfter = false, 0
	if sp.Until = promised.UTC().Truncate(time.Second); time.Now().Before(sp.Until) {
		s.Until = &sp.Until
	} else {
		sp.Until = time.Time{}
	}
	if err := v.spaces.put(sp, v.node.Put); err != nil {
		return report.SeedStop{}, err
	}
	return s, v.node.Withdraw(ctx, sp.Address)
}

// stopWhenCopied ends the mirroring of namespaces that others have enough copies of. It looks every so often until ctx ends.
func (v verbs) stopWhenCopied(ctx context.Context, every time.Duration) error {
	look := time.NewTicker(every)
	defer look.Stop()
	for {
		for _, sp := range v.node.Spaces() {
			if !sp.Seed || sp.StopAfter == 0 || sp.Declared != "" {
				continue
			}
			few, err := v.node.OnlyCopy(ctx, sp.Alias, sp.StopAfter)
			if err == nil && few == 0 {
				if _, err = v.stopSeed(ctx, sp); err == nil {
					v.log.Info("mirroring ended: others have enough copies", "namespace", sp.Alias, "copies", sp.StopAfter)
				}
			}
			if err != nil && ctx.Err() == nil {
				v.log.Warn("whether mirroring may end could not be found out", "namespace", sp.Alias, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// Copies has publications copied by others: now, or in the background.
func (v verbs) Copies(ctx context.Context, r control.CopiesRequest, progress func(report.OfferProgress)) (report.Copies, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Copies{}, err
	}
	hints, err := parsePeers(r.Peers)
	if err != nil {
		return report.Copies{}, badPeer(err)
	}
	if err := v.goOnline(); err != nil {
		return report.Copies{}, err
	}
	hints = append(hints, v.seedsOf(sp)...)
	v.instance.find(hints)
	wanted := r.Copies
	if wanted < 0 {
		wanted = min(1, len(hints))
	}
	if r.NoWait {
		if err := v.remember(sp, r.Peers); err != nil {
			return report.Copies{}, err
		}
		return report.Copies{Wanted: wanted, Copies: []report.Copy{}, Refused: []report.OfferRefused{}}, v.node.WantCopies(ctx, sp.Alias, wanted, r.Publications)
	}
	c, err := v.node.MakeCopies(ctx, node.CopiesRequest{Alias: sp.Alias, Publications: r.Publications, Copies: wanted, Names: v.names(), Progress: progress})
	if err != nil {
		return c, err
	}
	for _, why := range v.wire.unreachable(hints) {
		c.Refused = append(c.Refused, report.OfferRefused{Node: why.Hint.String(), Why: "does not answer"})
	}
	return c, nil
}

// remember keeps peers that were named for a namespace, so that they are asked after a restart, too.
func (v verbs) remember(sp node.Space, peers []string) error {
	hints, err := parsePeers(peers)
	if err != nil {
		return badPeer(err)
	}
	before := len(sp.Peers)
	for _, h := range hints {
		if !slices.Contains(sp.Peers, h) {
			sp.Peers = append(sp.Peers[:len(sp.Peers):len(sp.Peers)], h)
		}
	}
	if sp.Declared != "" || len(sp.Peers) == before || len(sp.Peers) > maxPeersNamed {
		return nil
	}
	return v.spaces.put(sp, v.node.Put)
}

// seedsOf are the places where the namespace is said to be mirrored: those that were named, and those in its document.
func (v verbs) seedsOf(sp node.Space) []peer.Hint {
	hints := slices.Clone(sp.Peers)
	policy, ok := v.catalog.Policy(sp.Address)
	if !ok {
		return hints
	}
	if d, ok := policy.Document(); ok {
		for _, s := range d.Value().Seeds {
			if h, err := peer.ParsePeer(s); err == nil && !slices.Contains(hints, h) {
				hints = append(hints, h)
			}
		}
	}
	return hints
}

// names are what people called the peers that were named.
func (v verbs) names() map[peer.ID]string {
	names := make(map[peer.ID]string)
	if v.wire == nil {
		return names
	}
	v.wire.mu.Lock()
	defer v.wire.mu.Unlock()
	for _, f := range v.wire.finders {
		for _, s := range f.States() {
			for _, p := range s.Peers {
				names[p.ID] = s.Hint.String()
			}
		}
	}
	return names
}

// maxWait bounds how long one question may wait for paths.
const maxWait = 24 * time.Hour

// Wait waits until paths are published and others have copies.
func (v verbs) Wait(ctx context.Context, r control.WaitRequest, progress func(report.WaitProgress)) (report.Wait, error) {
	req := node.WaitRequest{Copies: r.Copies, Names: v.names(), Progress: progress}
	if len(r.Paths) == 0 || r.Copies < 0 || r.Timeout <= 0 || r.Timeout > maxWait {
		return report.Wait{}, usage("flurry wait ./result --copies 2 --timeout 5m", "wait for paths, 0 or more copies, and at most %s", maxWait)
	}
	hints, err := parsePeers(r.Peers)
	if err != nil {
		return report.Wait{}, badPeer(err)
	}
	if r.Namespace != "" {
		sp, err := v.find(r.Namespace)
		if err != nil {
			return report.Wait{}, err
		}
		req.Alias = sp.Alias
	}
	if len(r.Peers) > 0 { // who may name them may have this node go on the wire
		if err := v.goOnline(); err != nil {
			return report.Wait{}, err
		}
	}
	if v.wire != nil {
		for _, sp := range v.node.Spaces() {
			if req.Alias == "" || req.Alias == sp.Alias {
				hints = append(hints, v.seedsOf(sp)...)
			}
		}
		v.instance.find(hints)
	}
	for _, p := range r.Paths {
		path, err := nix.ParseStorePath(p)
		if err != nil {
			return report.Wait{}, &report.Problem{ID: "bad-store-path", Exit: report.ExitUsage, Message: err.Error()}
		}
		req.Paths = append(req.Paths, path)
	}
	waiting, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	w, err := v.node.WaitFor(waiting, req)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	return w, err
}
