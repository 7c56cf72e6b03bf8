package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/internal/spool"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

const (
	// batchPaths is how many paths one publication is made for at most, and batchTime how long the first of them waits for
	// others: a job that builds five thousand paths is not to make five thousand signatures.
	batchPaths = 200
	batchTime  = 10 * time.Second
	// scanEvery is how often the queue's directory is looked at: hooks that found nobody to tell write into it.
	scanEvery = time.Second
	// tidyEvery is how often what killed hooks left is removed, and how old it is then: a hook is done in two seconds.
	tidyEvery = time.Minute
	// maxLoaded bounds how many paths are in memory, some 300 bytes each. The rest waits on the disk.
	maxLoaded = 50_000
	// maxGivenUp is how many of the paths that left the queue unpublished are remembered for status.
	maxGivenUp = 100
)

// giver publishes paths of this machine's Nix store. Until it is closed Nix collects none that it holds.
type giver interface {
	Hold(ctx context.Context, paths []nix.StorePath)
	Publish(ctx context.Context, sp node.Space, paths []nix.StorePath) (report.Publish, error)
	Close() error
}

// drainer publishes what waits in the queue, in batches. An entry leaves the queue when each of its paths is published,
// durably, to each namespace it is for, or cannot be for a reason that is remembered. What fails for other reasons is
// tried again, ever more seldom.
type drainer struct {
	open   func() (*spool.Queue, error)
	spaces func() []node.Space
	begin  func(context.Context) (giver, error)
	log    *slog.Logger
	now    func() time.Time
	delay  time.Duration // batchTime
	poked  chan struct{} // has one when the queue is to be looked at

	// Of run alone.
	queue    *spool.Queue
	giver    giver
	noGiver  error     // why there is none
	tryAgain time.Time // when one is looked for again
	tidied   time.Time

	mu      sync.Mutex
	entries map[string]int // how many of a lane's paths an entry still waits for
	lanes   map[namespace.Address]*lane
	more    int   // entries on the disk that are not loaded
	broken  error // why the queue cannot be read
	givenUp []report.Left
}

// lane is what waits for one namespace.
type lane struct {
	waiting map[nix.StorePath]*pending
	retry   retry
}

// pending is a path that waits.
type pending struct {
	path    nix.StorePath
	since   time.Time
	entries []string
	retry   retry // of this path alone: others of its lane could be published
}

// retry is how often something failed in a row, why, and when it is tried again.
type retry struct {
	failures int
	why      error
	next     time.Time
}

func (r *retry) failed(now time.Time, why error) {
	r.failures++
	r.why, r.next = why, now.Add(min(5*time.Second<<min(r.failures, 6), 5*time.Minute))
}

func newDrainer(state string, spaces func() []node.Space, begin func(context.Context) (giver, error), log *slog.Logger) *drainer {
	return &drainer{open: func() (*spool.Queue, error) { return spool.Open(state) }, spaces: spaces, begin: begin, log: log, now: time.Now, delay: batchTime,
		poked: make(chan struct{}, 1), entries: make(map[string]int), lanes: make(map[namespace.Address]*lane)}
}

// poke has the queue looked at soon.
func (d *drainer) poke() {
	select {
	case d.poked <- struct{}{}:
	default:
	}
}

// run publishes until ctx ends. What is under way then stays in the queue.
func (d *drainer) run(ctx context.Context) error {
	look := time.NewTicker(scanEvery)
	defer look.Stop()
	defer d.rest()
	for {
		for d.scan(ctx) && d.work(ctx) {
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.poked:
		case <-look.C:
		}
	}
}

// rest gives back what is needed only while there is something to publish.
func (d *drainer) rest() {
	if d.giver != nil {
		if err := d.giver.Close(); err != nil {
			d.log.Debug("closing the Nix store", "err", err)
		}
		d.giver = nil
	}
	if d.queue != nil {
		d.queue.Close()
		d.queue = nil
	}
}

// scan learns of what is new in the queue. It reports false if the queue cannot be read, or ctx has ended.
func (d *drainer) scan(ctx context.Context) bool {
	names, err := d.names()
	d.mu.Lock()
	if err != nil && d.broken == nil {
		d.log.Error("the queue of what is to be published cannot be read", "err", err)
	}
	d.broken = err
	d.mu.Unlock()
	if err != nil {
		d.rest()
		return false
	}
	loaded := d.loaded()
	var fresh []nix.StorePath
	unloaded := 0
	for _, name := range names {
		left, known := d.left(name)
		switch {
		case known && left > 0:
		case known: // it could not be removed
			d.remove(name)
		case loaded+len(fresh) >= maxLoaded:
			unloaded++
		default:
			fresh = append(fresh, d.load(name)...)
		}
	}
	d.mu.Lock()
	d.more = unloaded
	d.mu.Unlock()
	d.hold(ctx, fresh)
	return ctx.Err() == nil
}

func (d *drainer) names() ([]string, error) {
	if d.queue == nil {
		q, err := d.open()
		if err != nil {
			return nil, err
		}
		d.queue = q
	}
	if now := d.now(); now.Sub(d.tidied) > tidyEvery {
		d.tidied = now
		if err := d.queue.Tidy(now.Add(-tidyEvery)); err != nil {
			d.log.Debug("the queue is not tidy", "err", err)
		}
	}
	return d.queue.Names()
}

func (d *drainer) left(name string) (int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.entries[name]
	return n, ok
}

// loaded counts the paths that wait in memory.
func (d *drainer) loaded() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		n += len(l.waiting)
	}
	return n
}

// load reads an entry, and puts its paths into the lanes that they are for. It returns those that are.
func (d *drainer) load(name string) []nix.StorePath {
	e, err := d.queue.Read(name)
	var damaged *spool.DamagedError
	switch {
	case errors.As(err, &damaged):
		d.log.Error("what is no entry was in the queue; it is set aside", "name", name, "err", err)
		d.giveUp(name, "it is no entry of the queue, and was set aside")
		if err := d.queue.SetAside(name); err != nil {
			d.log.Error("setting it aside", "name", name, "err", err)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		d.log.Error("an entry of the queue cannot be read; it is tried again", "name", name, "err", err)
		return nil
	}
	targets := d.targets(e)
	d.mu.Lock()
	d.entries[name] = 0
	since := d.now()
	if e.Time.Before(since) {
		since = e.Time
	}
	for _, a := range targets {
		l := d.lanes[a]
		if l == nil {
			l = &lane{waiting: make(map[nix.StorePath]*pending)}
			d.lanes[a] = l
		}
		for _, p := range e.Paths {
			w := l.waiting[p]
			if w == nil {
				w = &pending{path: p, since: since}
				l.waiting[p] = w
			}
			if !slices.Contains(w.entries, name) {
				w.entries = append(w.entries, name)
				d.entries[name]++
			}
		}
	}
	d.mu.Unlock()
	if len(targets) == 0 {
		d.remove(name)
		return nil
	}
	return e.Paths
}

// targets are the namespaces that an entry is for. What it is for and is not there any more is given up.
func (d *drainer) targets(e spool.Entry) (all []namespace.Address) {
	spaces := d.spaces()
	if len(e.Namespaces) == 0 {
		for _, sp := range spaces {
			if sp.Automatic.When != node.WhenManual {
				all = append(all, sp.Address)
			}
		}
		if len(all) == 0 {
			d.giveUpAll(e.Paths, "no namespace takes what a hook gives: flurry publish NAMESPACE --hook")
		}
		return all
	}
	for _, word := range e.Namespaces {
		at := slices.IndexFunc(spaces, func(sp node.Space) bool { return sp.Alias == word || sp.Address.String() == word })
		switch {
		case at < 0:
			d.giveUpAll(e.Paths, fmt.Sprintf("no namespace is called %.80q here", word))
		case e.Why == node.WhenAlways.String() && spaces[at].Automatic.When != node.WhenAlways:
			d.giveUpAll(e.Paths, "what is built is not published to "+spaces[at].Alias+" any more")
		case !slices.Contains(all, spaces[at].Address):
			all = append(all, spaces[at].Address)
		}
	}
	return all
}

func (d *drainer) giveUpAll(paths []nix.StorePath, why string) {
	for _, p := range paths {
		d.giveUp(p.String(), why)
	}
}

// giveUp remembers that something leaves the queue unpublished.
func (d *drainer) giveUp(path, why string) {
	d.log.Warn("not published", "path", path, "why", why)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.givenUp = append(d.givenUp, report.Left{Path: path, Why: why})
	d.givenUp = d.givenUp[max(0, len(d.givenUp)-maxGivenUp):]
}

// remove takes an entry, for which nothing waits any more, out of the queue. One that cannot be removed is known as such.
func (d *drainer) remove(name string) {
	err := d.queue.Remove(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.log.Error("an entry that is done cannot be removed from the queue; it is tried again", "name", name, "err", err)
		return
	}
	delete(d.entries, name)
}

// hold keeps Nix from collecting what waits.
func (d *drainer) hold(ctx context.Context, fresh []nix.StorePath) {
	if d.loaded() == 0 {
		if d.giver != nil { // nothing is held any more
			_ = d.giver.Close() // a Nix that is gone has let go as well
			d.giver = nil
		}
		return
	}
	if d.giver != nil {
		d.giver.Hold(ctx, fresh)
		return
	}
	if d.now().Before(d.tryAgain) {
		return
	}
	if d.giver, d.noGiver = d.begin(ctx); d.noGiver != nil {
		d.giver, d.tryAgain = nil, d.now().Add(scanEvery)
		return
	}
	d.mu.Lock()
	held := make(map[nix.StorePath]bool)
	for _, l := range d.lanes {
		for p := range l.waiting {
			held[p] = true
		}
	}
	d.mu.Unlock()
	d.giver.Hold(ctx, slices.Collect(maps.Keys(held)))
}

// work publishes a batch to each namespace for which one is due. It reports whether more may be due at once.
func (d *drainer) work(ctx context.Context) (again bool) {
	d.mu.Lock()
	addresses := slices.Collect(maps.Keys(d.lanes))
	d.mu.Unlock()
	for _, a := range addresses {
		batch := d.due(a)
		if len(batch) == 0 || ctx.Err() != nil {
			continue
		}
		spaces := d.spaces()
		at := slices.IndexFunc(spaces, func(sp node.Space) bool { return sp.Address == a })
		if at < 0 {
			d.giveUpAll(batch, a.Name()+" is not known here any more")
			d.settle(a, batch)
			continue
		}
		d.publish(ctx, spaces[at], batch)
		again = true
	}
	return again
}

// due are the paths of the next batch for a namespace: none, if others may still join them.
func (d *drainer) due(a namespace.Address) []nix.StorePath {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, now := d.lanes[a], d.now()
	if now.Before(l.retry.next) {
		return nil
	}
	var ready []*pending
	for _, w := range l.waiting {
		if !now.Before(w.retry.next) {
			ready = append(ready, w)
		}
	}
	slices.SortFunc(ready, func(x, y *pending) int { return cmp.Or(x.since.Compare(y.since), x.path.Compare(y.path)) })
	if len(ready) == 0 || len(ready) < batchPaths && now.Sub(ready[0].since) < d.delay {
		return nil
	}
	batch := make([]nix.StorePath, 0, batchPaths)
	for _, w := range ready[:min(len(ready), batchPaths)] {
		batch = append(batch, w.path)
	}
	return batch
}

// publish publishes a batch, and settles what became of each of its paths.
func (d *drainer) publish(ctx context.Context, sp node.Space, batch []nix.StorePath) {
	var out given
	if d.giver == nil {
		out = given{failed: cmp.Or(d.noGiver, errors.New("this machine's Nix is not open"))}
	} else {
		out = give(ctx, d.giver, sp, batch)
	}
	if ctx.Err() != nil && out.failed != nil {
		return // it was cut off, and says nothing of the paths
	}
	for _, p := range batch {
		if why, ok := out.bad[p]; ok {
			d.giveUp(p.String(), sp.Alias+": "+why)
		}
	}
	done := slices.DeleteFunc(slices.Clone(batch), func(p nix.StorePath) bool { return out.failed != nil && out.remains(p) || out.later[p] != nil })
	d.settle(sp.Address, done)
	d.mu.Lock()
	defer d.mu.Unlock()
	l, now := d.lanes[sp.Address], d.now()
	for p, why := range out.later {
		l.waiting[p].retry.failed(now, why)
	}
	if out.failed == nil {
		l.retry = retry{}
		return
	}
	if l.retry.failures == 0 {
		d.log.Warn("what was built is not published yet", "namespace", sp.Alias, "paths", len(batch), "err", out.failed)
	}
	l.retry.failed(now, out.failed)
}

// settle lets paths leave the lane, and entries that wait for nothing else the queue.
func (d *drainer) settle(a namespace.Address, paths []nix.StorePath) {
	var empty []string
	d.mu.Lock()
	for _, p := range paths {
		w := d.lanes[a].waiting[p]
		delete(d.lanes[a].waiting, p)
		for _, name := range w.entries {
			if d.entries[name]--; d.entries[name] == 0 {
				empty = append(empty, name)
			}
		}
	}
	d.mu.Unlock()
	for _, name := range empty {
		d.remove(name)
	}
}
