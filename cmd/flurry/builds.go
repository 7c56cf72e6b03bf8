package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/internal/spool"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/nix/watch"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// builds puts what this machine's Nix builds into the queue, for the namespaces that take all of it. Since when each does
// is on the disk, so that what is built while no daemon runs is found when one does.
type builds struct {
	verbs
	file string
	wake chan struct{} // has one when a namespace was changed

	mu    sync.Mutex
	since map[namespace.Address]time.Time // what became valid before is queued, or not for it
	blind error                           // why Nix could not be asked what was built; nil: it could, the last time
}

// maxMarks bounds the file of marks, in bytes: ten thousand namespaces.
const maxMarks = 1 << 20

func newBuilds(v verbs) *builds {
	return &builds{verbs: v, file: filepath.Join(v.cfg.State, spool.Dir, "since.json"), wake: make(chan struct{}, 1), since: readMarks(v)}
}

// readMarks reads the marks. Without them, or with a damaged file, what is built from now on counts.
func readMarks(v verbs) map[namespace.Address]time.Time {
	marks := make(map[namespace.Address]time.Time)
	name := filepath.Join(v.cfg.State, spool.Dir, "since.json")
	raw, err := os.ReadFile(name)
	var texts map[string]time.Time
	if err == nil && len(raw) <= maxMarks {
		err = json.Unmarshal(raw, &texts)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.log.Error("since when every build is published cannot be read: it is from now on", "err", err)
	}
	for text, at := range texts {
		if a, err := namespace.ParseAddress(text); err == nil {
			marks[a] = at
		}
	}
	return marks
}

// changed has the namespaces looked at again.
func (b *builds) changed() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// from notes that what is built from at on is for a namespace that is about to take it.
func (b *builds) from(a namespace.Address, at time.Time) error {
	b.mu.Lock()
	b.since[a] = at
	b.mu.Unlock()
	return b.write()
}

// nextSecond waits until another second begins, and returns its time. Nix dates what becomes valid in whole seconds: what has
// this date became valid after the call, and what is dated before did before its end.
func nextSecond(ctx context.Context) (time.Time, error) {
	next := time.Now().Truncate(time.Second).Add(time.Second)
	t := time.NewTimer(time.Until(next))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return next, ctx.Err()
	case <-t.C:
		return next, nil
	}
}

// write puts the marks of those who take every build on the disk.
func (b *builds) write() error {
	b.mu.Lock()
	texts := make(map[string]time.Time, len(b.since))
	for a, at := range b.since {
		texts[a.String()] = at.UTC()
	}
	b.mu.Unlock()
	raw, err := json.Marshal(texts)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(b.file), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(durable.OS{}, b.file, append(raw, '\n'), 0o600)
}

// run watches while there is a namespace that takes every build, until ctx ends.
func (b *builds) run(ctx context.Context) error {
	for {
		watching, stop := context.WithCancel(ctx)
		var ended sync.WaitGroup
		if since, any := b.earliest(); any {
			ended.Go(func() { b.watch(watching, since) })
		}
		select {
		case <-ctx.Done():
		case <-b.wake:
		}
		stop()
		ended.Wait()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// earliest is the earliest of the marks of those who take every build; false, if nobody does. Who does and has none, since
// the configuration says so, has one from now on.
func (b *builds) earliest() (since time.Time, any bool) {
	takers := b.takers()
	b.mu.Lock()
	changed := false
	for _, a := range takers {
		at, ok := b.since[a]
		if !ok {
			at = time.Now()
			b.since[a] = at
			changed = true
		}
		if since.IsZero() || at.Before(since) {
			since = at
		}
	}
	b.mu.Unlock()
	if changed {
		if err := b.write(); err != nil {
			b.log.Error("since when every build is published cannot be written down: what is built while no daemon runs may be missed", "err", err)
		}
	}
	return since, len(takers) > 0
}

// forget takes away the mark of one that takes every build no more.
func (b *builds) forget(a namespace.Address) error {
	b.mu.Lock()
	_, had := b.since[a]
	delete(b.since, a)
	b.mu.Unlock()
	if !had {
		return nil
	}
	return b.write()
}

// takers are the namespaces that take every build.
func (b *builds) takers() (all []namespace.Address) {
	for _, sp := range b.node.Spaces() {
		if sp.Automatic.When == node.WhenAlways {
			all = append(all, sp.Address)
		}
	}
	return all
}

func (b *builds) watch(ctx context.Context, since time.Time) {
	source := &lateNix{options: b.cfg.Nix, said: b.nixSaid}
	defer source.close()
	watch.Run(ctx, source, b, watch.Options{Store: b.cfg.Nix.StoreDir(), Database: b.cfg.Nix.Database(), Since: since, Log: b.log})
}

// Built queues what was built for whom it is.
func (b *builds) Built(_ context.Context, built []daemon.PathInfo) error {
	takers := b.takers()
	b.mu.Lock()
	paths := make(map[namespace.Address][]nix.StorePath)
	for _, info := range built {
		for _, a := range takers {
			if at, ok := b.since[a]; ok && !info.RegTime.Before(at.Truncate(time.Second)) {
				paths[a] = append(paths[a], info.Path)
			}
		}
	}
	b.mu.Unlock()
	for a, all := range paths {
		for some := range slices.Chunk(all, spool.MaxPaths) {
			if err := b.enqueue(spool.Entry{Time: time.Now(), Why: node.WhenAlways.String(), Namespaces: []string{a.String()}, Paths: some}); err != nil {
				return fmt.Errorf("queue what was built: %w", err)
			}
		}
	}
	return nil
}

// nixSaid notes whether Nix could be asked.
func (b *builds) nixSaid(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blind = err
}

// problem is that what is built is not seen; nil: it is.
func (b *builds) problem() *report.Problem {
	b.mu.Lock()
	err := b.blind
	b.mu.Unlock()
	var p *report.Problem
	if err == nil || len(b.takers()) == 0 || !errors.As(nixProblem(err), &p) {
		return nil
	}
	return &report.Problem{ID: p.ID, Message: "what is built here is not published: " + p.Message, Found: p.Found, Try: p.Try}
}

// Complete moves the marks on.
func (b *builds) Complete(_ context.Context, until time.Time) error {
	b.mu.Lock()
	for a, at := range b.since {
		if at.Before(until) {
			b.since[a] = until
		}
	}
	b.mu.Unlock()
	return b.write()
}

// lateNix is this machine's Nix, opened when it is asked first, so that it need not be there yet.
type lateNix struct {
	options daemon.Options
	said    func(error) // is told how each question ended
	store   *daemon.Store
}

func (l *lateNix) open(ctx context.Context) (err error) {
	if l.store == nil {
		l.store, err = daemon.Open(ctx, l.options)
	}
	return err
}

func (l *lateNix) ValidPaths(ctx context.Context) (all []nix.StorePath, err error) {
	defer func() { l.said(err) }()
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	return l.store.ValidPaths(ctx)
}

func (l *lateNix) Infos(ctx context.Context, paths []nix.StorePath) (all []daemon.PathInfo, err error) {
	defer func() { l.said(err) }()
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	return l.store.Infos(ctx, paths)
}

func (l *lateNix) close() {
	if l.store != nil {
		l.store.Close() // it only ever read
	}
}
