package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// PublishRequest is one act of publishing.
type PublishRequest struct {
	Alias   string
	Roots   []nix.StorePath
	Filters Filters
	// Keep is how long the publication lives; 0: what the namespace's document says.
	Keep time.Duration
	Pins []namespace.Pin
	// SkipExcluded leaves out roots that the filters exclude, and what only they need, where else they are an error: for
	// paths that nobody named.
	SkipExcluded bool
	// Key signs instead of what Keys gives; nil: Keys is asked.
	Key    *nix.SecretKey
	DryRun bool
	// Progress is told of paths as they are done; nil: nobody is. It is called from several goroutines, never at once.
	Progress func(report.PublishProgress)
}

// CorruptPathError says that a path's bytes are not those that Nix once hashed.
type CorruptPathError struct {
	Path      nix.StorePath
	Want, Got nix.NarHash
}

func (e *CorruptPathError) Error() string {
	return fmt.Sprintf("%s does not match the hash Nix has for it (expected %s, found %s)", e.Path, e.Want, e.Got)
}

// Publish gives the closure of req.Roots, as far as the filters let it, to the namespace: chunks on disk, then signed,
// then in the catalog, then announced. The publication is visible as a whole or not at all.
func (n *Node) Publish(ctx context.Context, source Source, req PublishRequest) (report.Publish, error) {
	sp, err := n.space(req.Alias)
	if err != nil {
		return report.Publish{}, err
	}
	key, policy, err := n.signer(sp.Address, req.Key)
	if err != nil {
		return report.Publish{}, err
	}
	if err := n.checkClock(); err != nil && !req.DryRun {
		return report.Publish{}, err
	}
	closure, err := source.Closure(ctx, req.Roots)
	if err != nil {
		return report.Publish{}, err
	}
	all, err := n.label(ctx, sp.Address, key.Public(), closure, req.Filters)
	if err != nil {
		return report.Publish{}, err
	}
	if req.SkipExcluded {
		all = withoutBadRoots(req.Roots, all)
	} else if err := refuseBadRoots(req.Roots, all); err != nil {
		return report.Publish{}, err
	}
	result := summary(sp, req, all)
	// The batch is open until the catalog names what it has put: so long nothing of that is collected.
	batch, err := n.Store.Begin(ctx)
	if err != nil {
		return result, err
	}
	defer batch.Close()
	entries, fresh, err := n.ingest(ctx, source, batch, all, req)
	if err != nil {
		return result, err
	}
	result.NewBytes = fresh
	if req.DryRun {
		return result, nil
	}
	plan := plan{node: n, address: sp.Address, policy: policy, key: key, request: req, all: all, entries: entries}
	if plan.after, err = n.lastPinned(ctx, sp.Address, req.Pins); err != nil {
		return result, err
	}
	held, err := plan.publish(ctx)
	result.Publications = plan.ids
	if err != nil {
		return result, err
	}
	if len(plan.ids) == 0 {
		result.Existing = existing(req.Roots, all)
	}
	if err := n.announce(ctx, sp.Address, held...); err != nil {
		n.Log.Warn("announcing failed; it is tried again", "namespace", sp.Alias, "err", err)
	}
	return result, nil
}

// existing are the publications in which roots stand that were published before.
func existing(roots []nix.StorePath, all []labelled) (ids []namespace.ID) {
	for _, l := range all {
		if l.label != Have || !slices.Contains(roots, l.Path) {
			continue
		}
		if id := l.have.Publication(); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// signer returns the key to publish with, and the policy under which it may.
func (n *Node) signer(a namespace.Address, given *nix.SecretKey) (nix.SecretKey, *trust.Policy, error) {
	var key nix.SecretKey
	if given != nil {
		key = *given
	} else {
		var err error
		if key, err = n.Keys.Signer(a); err != nil {
			return key, nil, err
		}
	}
	policy, ok := n.Catalog.Policy(a)
	if !ok {
		return nix.SecretKey{}, nil, fmt.Errorf("%w: %s has no document here yet", trust.ErrUntrusted, a.Name())
	}
	return key, policy, nil
}

func summary(sp Space, req PublishRequest, all []labelled) report.Publish {
	r := report.Publish{Namespace: sp.Alias, Roots: len(req.Roots), DryRun: req.DryRun, Closure: len(all)}
	upstream := make(map[string]bool)
	for _, l := range all {
		switch l.label {
		case Take:
			r.Paths++
			r.NarBytes += l.NarSize
		case Have:
			r.Already++
		case Upstream:
			r.Upstream++
			upstream[l.upstream.Name] = true
		case LeftOut:
			r.LeftOut++
		case Excluded:
			r.Excluded = append(r.Excluded, report.Left{Path: l.Path.String(), Why: l.why})
		case Blocked:
			r.Blocked = append(r.Blocked, report.Left{Path: l.Path.String(), Why: "needs " + l.why})
		}
	}
	for name := range upstream {
		r.UpstreamKeys = append(r.UpstreamKeys, name)
	}
	slices.Sort(r.UpstreamKeys)
	return r
}

// ingest chunks the NARs of all paths that are taken and makes them durable by batch. It returns their unsigned entries in the
// order of all, and the raw bytes of chunks that the store did not have. In a dry run nothing is stored.
func (n *Node) ingest(ctx context.Context, source Source, batch store.Batch, all []labelled, req PublishRequest) ([]*namespace.Entry, uint64, error) {
	in := &intake{node: n, codec: n.Codec, source: source, batch: batch, dry: req.DryRun, pool: new(content.Pool), seen: make(map[content.ChunkID]bool)}
	entries := make([]*namespace.Entry, len(all))
	todo := make([]int, 0, len(all))
	for i, l := range all {
		if l.label == Take {
			todo = append(todo, i)
		}
	}
	progress := report.PublishProgress{Paths: len(todo)}
	for _, i := range todo {
		progress.Bytes += all[i].NarSize
	}
	var mu sync.Mutex
	err := inParallel(ctx, intakeWorkers, todo, func(ctx context.Context, i int) error {
		e, err := in.path(ctx, all[i].PathInfo)
		if err != nil {
			return err
		}
		entries[i] = e
		mu.Lock()
		defer mu.Unlock()
		progress.PathsDone++
		progress.BytesDone += e.NarSize
		progress.NewBytes = in.fresh.Load()
		if req.Progress != nil {
			req.Progress(progress)
		}
		return nil
	})
	if err == nil && !req.DryRun {
		err = batch.Commit(ctx)
	}
	return entries, in.fresh.Load(), err
}

// intakeWorkers is how many NARs are chunked at once: while one waits for the disk, the other computes.
const intakeWorkers = 2

// inParallel calls f for each item on at most workers goroutines, and returns the first error when all have ended.
func inParallel(ctx context.Context, workers int, items []int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(workers, len(items)) {
		all.Go(func() {
			for ctx.Err() == nil {
				k := int(next.Add(1)) - 1
				if k >= len(items) {
					return
				}
				if err := f(ctx, items[k]); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// intake puts NARs into the store as chunks.
type intake struct {
	node   *Node
	codec  *store.Codec
	source Source
	batch  store.Batch
	dry    bool
	pool   *content.Pool
	fresh  atomic.Uint64

	mu   sync.Mutex
	seen map[content.ChunkID]bool // what a dry run would have stored
}

// path chunks one NAR and returns its entry, unsigned.
func (in *intake) path(ctx context.Context, info daemon.PathInfo) (*namespace.Entry, error) {
	if err := in.source.AddTempRoot(ctx, info.Path); err != nil {
		return nil, err
	}
	split, err := in.split(ctx, info)
	if err != nil {
		return nil, err
	}
	if split.NarHash != info.NarHash || split.NarSize != info.NarSize {
		return nil, &CorruptPathError{Path: info.Path, Want: info.NarHash, Got: split.NarHash}
	}
	id := split.Body.ID()
	if !in.dry {
		raw := split.Body.Append(nil)
		if err := store.Receive(ctx, in.batch, in.codec, store.BodyKey(id), raw); err != nil {
			return nil, err
		}
	}
	return &namespace.Entry{Path: info.Path, NarHash: info.NarHash, NarSize: info.NarSize, References: info.References,
		Deriver: info.Deriver, Body: id, Slots: split.Slots}, nil
}

func (in *intake) split(ctx context.Context, info daemon.PathInfo) (content.Split, error) {
	s := content.NewSplitter(ctx, content.SplitOptions{Candidates: candidatesOf(info.Path, info.References), Pool: in.pool, Put: func(id content.ChunkID, data []byte) error {
		return in.chunk(ctx, id, data)
	}})
	if err := in.source.Nar(ctx, info.Path, s); err != nil {
		s.Abort()
		return content.Split{}, fmt.Errorf("reading %s: %w", info.Path, err)
	}
	return s.Close()
}

// candidatesOf are the hash parts to take out of the NAR of a path.
func candidatesOf(p nix.StorePath, references []nix.StorePath) []nix.PathHash {
	candidates := []nix.PathHash{p.Hash()}
	for _, r := range references {
		if r != p {
			candidates = append(candidates, r.Hash())
		}
	}
	return candidates
}

func (in *intake) chunk(ctx context.Context, id content.ChunkID, data []byte) error {
	key := store.ChunkKey(id)
	// Asked of the batch, not of the store: what another batch has put and not committed is vouched for by this one, too.
	has, err := in.batch.Has(ctx, key)
	if err != nil || has {
		return err
	}
	if in.dry {
		in.mu.Lock()
		defer in.mu.Unlock()
		if !in.seen[id] {
			in.seen[id] = true
			in.fresh.Add(uint64(len(data)))
		}
		return nil
	}
	in.fresh.Add(uint64(len(data)))
	return store.Receive(ctx, in.batch, in.codec, key, data)
}

// NewNamespace makes the first document of the namespace of root and adopts it. Keep is how long its publications live
// unless they say otherwise.
func (n *Node) NewNamespace(ctx context.Context, root nix.SecretKey, about string, keep time.Duration) (trust.Document, error) {
	a := namespace.AddressOf(root.Public())
	now := n.Now().UTC().Truncate(time.Second)
	raw, err := trust.SignDocument(&namespace.Document{Namespace: a, Serial: 1, Issued: now, Expires: now.AddDate(1, 0, 0), Keep: keep, About: about, Access: "public"}, root)
	if err != nil {
		return trust.Document{}, err
	}
	d, err := trust.VerifyDocument(a, raw)
	if err != nil {
		return trust.Document{}, err
	}
	if p, ok := n.Catalog.Policy(a); ok {
		if old, ok := p.Document(); ok {
			return old, nil // adopted before: a namespace has one first document
		}
	}
	return d, n.Catalog.Adopt(ctx, d, nil)
}
