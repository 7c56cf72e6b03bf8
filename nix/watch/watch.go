// Package watch tells what is built on this machine, as it happens.
//
// It listens to the kernel (inotify) at two directories: the store's, where a build shows as "create X.lock, create X,
// delete X.lock", and the database's, whose files change whenever something becomes valid. What they say is only a hint
// at which paths to ask Nix about: told is what Nix itself marks as built here ("ultimate"), neither what was copied
// from elsewhere nor recipes. Where hints may have been missed, because the kernel dropped some, the database was
// replaced, a directory was not there or this program was not running, all valid paths are compared instead, and so
// they are every hour. Nothing that was built since the time it is given stays untold; something may be told twice.
//
// The package will not open the database, keep anything on the disk, or decide what becomes of what it tells.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
)

// Nix is what is asked of this machine's Nix. *daemon.Store is one.
type Nix interface {
	// ValidPaths returns every path that is valid.
	ValidPaths(ctx context.Context) ([]nix.StorePath, error)
	// Infos returns what is known of those of paths that are valid.
	Infos(ctx context.Context, paths []nix.StorePath) ([]daemon.PathInfo, error)
}

// Listener is told what was built. Its methods are called one at a time. After an error the same is told again.
type Listener interface {
	// Built is told of paths that are valid now.
	Built(ctx context.Context, built []daemon.PathInfo) error
	// Complete says that all is told that became valid before until. A later watch may begin there.
	Complete(ctx context.Context, until time.Time) error
}

// Options say what is watched, and since when. Store and Database have to be given.
type Options struct {
	Store    string    // the directory in which store paths lie
	Database string    // the directory of Nix's database
	Since    time.Time // what became valid before is not told
	Log      *slog.Logger

	// Settle is how long hints are gathered before Nix is asked, Retry how long after something failed it is tried again,
	// Compare after how long all valid paths are compared anyway, and Blind the same where the kernel gives no hints.
	// 0: half a second, five seconds, an hour, a minute.
	Settle, Retry, Compare, Blind time.Duration
}

// margin is how long before a comparison began everything is surely told: what is being registered while Nix lists what
// is valid bears a time before it can be seen.
const margin = time.Minute

// Run tells l what is built from o.Since on, until ctx ends. A store that is not there is waited for.
func Run(ctx context.Context, n Nix, l Listener, o Options) {
	o.Settle = or(o.Settle, 500*time.Millisecond)
	o.Retry = or(o.Retry, 5*time.Second)
	o.Compare = or(o.Compare, time.Hour)
	o.Blind = or(o.Blind, time.Minute)
	w := &watcher{Options: o, nix: n, listener: l, waiting: make(map[nix.StorePath]candidate), told: make(map[nix.StorePath]time.Time)}
	for ctx.Err() == nil {
		w.attach(ctx)
	}
}

func or(d, usual time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return usual
}

type watcher struct {
	Options
	nix      Nix
	listener Listener

	waiting map[nix.StorePath]candidate // hinted at, and not valid when Nix was last asked
	told    map[nix.StorePath]time.Time // what was told, and when it became valid; of the time since Since
	failing bool                        // what went wrong last has been said
}

// candidate is a path that may become valid.
type candidate struct {
	since time.Time
	ended bool // its lock went: it is valid by now, or will not be
}

// attach listens until what it listens to is not what it was, or it is time to look at everything.
func (w *watcher) attach(ctx context.Context) {
	h := newHints()
	n, err := listen(w.Store, w.Database, h)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.say("there is no Nix store yet", err)
		pause(ctx, w.Retry)
		return
	case err != nil:
		w.say("the Nix store cannot be watched; it is looked through every so often instead", err)
		if w.compareUntilDone(ctx) {
			pause(ctx, w.Blind)
		}
		return
	}
	defer n.close()
	if !w.compareUntilDone(ctx) { // after listening began: nothing falls between
		return
	}
	w.follow(ctx, h)
}

// follow asks Nix about what is hinted at, until everything has to be looked at.
func (w *watcher) follow(ctx context.Context, h *hints) {
	again := time.NewTimer(w.Compare)
	defer again.Stop()
	retry := time.NewTimer(w.Retry)
	defer retry.Stop()
	retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			return
		case <-h.wake:
			pause(ctx, w.Settle)
		case <-retry.C:
		}
		seen := h.take()
		if seen.lost {
			return
		}
		w.note(seen)
		if len(w.waiting) > maxWaiting {
			clear(w.waiting)
			return
		}
		if err := w.check(ctx); err != nil {
			w.say("what was built is not known yet", err)
			retry.Reset(w.Retry)
			continue
		}
		w.failing = false
	}
}

// note makes candidates of names in the store directory. A name that ends in .lock may be a lock or, less likely, a path.
func (w *watcher) note(s seen) {
	for name, gone := range s.names {
		if base, ok := strings.CutSuffix(name, ".lock"); ok {
			w.add(base, gone)
		}
		if !gone {
			w.add(name, false)
		}
	}
}

func (w *watcher) add(base string, ended bool) {
	p, err := nix.ParseBaseName(base)
	if err != nil || isRecipe(p) {
		return
	}
	c, ok := w.waiting[p]
	if !ok {
		c.since = time.Now()
	}
	c.ended = c.ended || ended
	w.waiting[p] = c
}

func isRecipe(p nix.StorePath) bool { return strings.HasSuffix(p.Name(), ".drv") }

// check asks about all candidates, and tells of those that were built.
func (w *watcher) check(ctx context.Context) error {
	if len(w.waiting) == 0 {
		return nil
	}
	asked := make([]nix.StorePath, 0, len(w.waiting))
	for p := range w.waiting {
		asked = append(asked, p)
	}
	infos, err := w.nix.Infos(ctx, asked)
	if err != nil {
		return err
	}
	if err := w.tell(ctx, infos); err != nil {
		return err
	}
	for _, info := range infos {
		delete(w.waiting, info.Path)
	}
	for p, c := range w.waiting {
		_, err := os.Lstat(filepath.Join(w.Store, p.Base()))
		_, locked := os.Lstat(filepath.Join(w.Store, p.Base()+".lock"))
		gone := errors.Is(err, fs.ErrNotExist) && errors.Is(locked, fs.ErrNotExist)
		if c.ended || gone || time.Since(c.since) > maxBuild {
			delete(w.waiting, p)
		}
	}
	return nil
}

// tell tells of those of infos that were built here since, and were not told of.
func (w *watcher) tell(ctx context.Context, infos []daemon.PathInfo) error {
	var built []daemon.PathInfo
	for _, info := range infos {
		at, before := w.told[info.Path]
		if !info.Ultimate || isRecipe(info.Path) || info.RegTime.Before(w.Since.Truncate(time.Second)) || before && at.Equal(info.RegTime) {
			continue
		}
		built = append(built, info)
	}
	if len(built) == 0 {
		return nil
	}
	if err := w.listener.Built(ctx, built); err != nil {
		return err
	}
	for _, info := range built {
		w.told[info.Path] = info.RegTime
	}
	return nil
}

// compareUntilDone compares until it succeeds; it reports false when ctx ended before.
func (w *watcher) compareUntilDone(ctx context.Context) bool {
	for {
		err := w.compare(ctx)
		if err == nil {
			w.failing = false
			return true
		}
		w.say("what was built is not known yet", err)
		pause(ctx, w.Retry)
		if ctx.Err() != nil {
			return false
		}
	}
}

// compare looks at all valid paths.
func (w *watcher) compare(ctx context.Context) error {
	begun := time.Now()
	all, err := w.nix.ValidPaths(ctx)
	if err != nil {
		return err
	}
	fresh := slices.DeleteFunc(all, func(p nix.StorePath) bool { return isRecipe(p) || w.isOld(p) })
	for some := range slices.Chunk(fresh, chunk) {
		infos, err := w.nix.Infos(ctx, some)
		if err != nil {
			return err
		}
		if err := w.tell(ctx, infos); err != nil {
			return err
		}
	}
	until := begun.Add(-margin)
	if !until.After(w.Since) {
		return nil
	}
	if err := w.listener.Complete(ctx, until); err != nil {
		return err
	}
	w.Since = until
	for p, at := range w.told {
		if at.Before(until.Truncate(time.Second)) {
			delete(w.told, p)
		}
	}
	return nil
}

// isOld reports whether a path was certainly valid before Since, so that Nix need not be asked about each of the hundred
// thousand paths of a store: Nix makes a path read-only and dates it anew right before it registers it, which sets its
// change time, and nothing can set that back.
func (w *watcher) isOld(p nix.StorePath) bool {
	info, err := os.Lstat(filepath.Join(w.Store, p.Base()))
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && changed(st).Before(w.Since.Add(-registering))
}

// say logs what went wrong, once until something went right.
func (w *watcher) say(what string, err error) {
	if !w.failing && w.Log != nil && !errors.Is(err, context.Canceled) {
		w.Log.Warn(what, "err", err)
	}
	w.failing = true
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
