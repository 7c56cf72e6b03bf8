package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/nix/watch"
	"github.com/flurry-nix/flurry/report"
)

const (
	// watchRetry is how long after a failure a watch publishes again.
	watchRetry = 10 * time.Second
	// lastBatch is how long what is built already may take when a watch is told to end.
	lastBatch = 10 * time.Second
	// maxWatched is how many paths a watch holds back while nothing can be published. Beyond it they are told and dropped.
	maxWatched = 100_000
)

// watcher publishes what is built for as long as a command runs.
type watcher struct {
	sh      *shell
	to      control.Daemon
	request control.PublishRequest // of each batch, without paths
	copies  control.CopiesRequest
	delay   time.Duration
	fresh   chan struct{} // has one when there is something new

	mu      sync.Mutex
	waiting []nix.StorePath
	first   time.Time // when the first of them came

	published, dropped int // of the publishing goroutine alone
}

// watchBuilds publishes, through the daemon, what is built here until ctx ends, which is no error.
func (sh *shell) watchBuilds(ctx context.Context, r control.PublishRequest, c control.CopiesRequest) (err error) {
	cfg, err := sh.nodeConfig(daemonFlags{})
	if err != nil {
		return err
	}
	store, err := daemon.Open(ctx, cfg.Nix)
	if err != nil {
		return nixProblem(err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	r.Unnamed = true
	d := sh.daemon()
	shown, err := d.Show(ctx, control.ShowRequest{Namespace: r.Namespace})
	if err != nil {
		return err
	}
	if !shown.Publisher && r.Key == "" {
		a, _, err := addressOf(shown.Address)
		if err != nil {
			return err
		}
		return notAWriter(a)
	}
	w := &watcher{sh: sh, to: d, request: r, copies: c, delay: batchTime, fresh: make(chan struct{}, 1)}
	since, err := nextSecond(ctx)
	if err != nil {
		return err
	}
	begin := report.Watch{Schema: "flurry/watch/1", Event: "watching", Namespace: shown.Alias}
	if err := sh.answer(begin, begin.PrintText); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() {
		watch.Run(watching, store, w, watch.Options{Store: cfg.Nix.StoreDir(), Database: cfg.Nix.Database(), Since: since, Log: slog.New(slog.NewTextHandler(sh.err, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	})
	err = w.publishAll(ctx, context.WithoutCancel(ctx)) // what is built already is published after Ctrl-C, too
	stop()
	ended.Wait()
	if err != nil {
		return err
	}
	end := report.Watch{Schema: "flurry/watch/1", Event: "ended", Namespace: shown.Alias, Published: w.published, Waiting: len(w.waiting) + w.dropped}
	return sh.answer(end, end.PrintText)
}

// Built takes what was built. What is too much is said and dropped.
func (w *watcher) Built(_ context.Context, built []daemon.PathInfo) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, info := range built {
		if len(w.waiting) == maxWatched {
			return errors.New("too much waits to be published")
		}
		if len(w.waiting) == 0 {
			w.first = time.Now()
		}
		if !slices.Contains(w.waiting, info.Path) {
			w.waiting = append(w.waiting, info.Path)
		}
	}
	select {
	case w.fresh <- struct{}{}:
	default:
	}
	return nil
}

// Complete has nothing to note: a watch begins when it begins.
func (w *watcher) Complete(context.Context, time.Time) error { return nil }

// publishAll publishes batches until ctx ends, and then what is left. An error is one that does not pass by itself.
func (w *watcher) publishAll(ctx, lasting context.Context) error {
	for {
		w.mu.Lock()
		n, wait := len(w.waiting), time.Until(w.first.Add(w.delay))
		w.mu.Unlock()
		if n > 0 && (n >= batchPaths || wait <= 0) {
			again, err := w.publish(lasting)
			if err != nil {
				return err
			}
			wait = again
		}
		due := time.NewTimer(max(wait, 0))
		if n == 0 {
			due.Stop()
		}
		select {
		case <-ctx.Done():
			due.Stop()
			last, cancel := context.WithTimeout(lasting, lastBatch)
			defer cancel()
			_, err := w.publish(last)
			return err
		case <-w.fresh:
		case <-due.C:
		}
		due.Stop()
	}
}

// publish publishes the next batch, and says after how long there is another try.
func (w *watcher) publish(ctx context.Context) (again time.Duration, err error) {
	w.mu.Lock()
	batch := slices.Clone(w.waiting[:min(len(w.waiting), batchPaths)])
	w.mu.Unlock()
	if len(batch) == 0 {
		return 0, nil
	}
	if err = w.giveGood(ctx, batch); err == nil {
		return 0, nil
	}
	p := w.sh.problem(err)
	if hopeless(p) {
		return 0, err
	}
	w.sh.say("flurry: %s; tried again in %s", p.Message, watchRetry)
	return watchRetry, nil
}

// giveGood publishes paths but for those that are bad themselves, which it says and takes off the list. A batch that fails for one of
// them is cut in halves until that one is alone: the others make a handful of publications, not one each.
func (w *watcher) giveGood(ctx context.Context, paths []nix.StorePath) error {
	err := w.give(ctx, paths)
	switch half := len(paths) / 2; {
	case !badHere(err):
		return err
	case half == 0:
		w.drop(paths[0], err)
		return nil
	default:
		if err := w.giveGood(ctx, paths[:half]); err != nil {
			return err
		}
		return w.giveGood(ctx, paths[half:])
	}
}

// give publishes paths, and takes them off the list.
func (w *watcher) give(ctx context.Context, paths []nix.StorePath) error {
	r := w.request
	for _, p := range paths {
		r.Paths = append(r.Paths, p.String())
	}
	result, err := w.sh.publish(ctx, w.to, r)
	if err != nil {
		return err
	}
	w.off(paths)
	w.published += result.Paths
	if len(result.Publications) > 0 {
		c := w.copies
		c.Namespace, c.Publications, c.NoWait = r.Namespace, result.Publications, true
		if _, err := w.to.Copies(ctx, c, nil); err != nil {
			w.sh.say("flurry: others are not asked for copies: %v", err)
		}
	}
	return w.sh.answer(result, result.PrintText)
}

// drop says that a path is not published, and takes it off the list.
func (w *watcher) drop(p nix.StorePath, why error) {
	w.sh.say("flurry: %s is not published: %v", p, why)
	w.off([]nix.StorePath{p})
	w.dropped++
}

func (w *watcher) off(paths []nix.StorePath) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = slices.DeleteFunc(w.waiting, func(p nix.StorePath) bool { return slices.Contains(paths, p) })
	w.first = time.Now()
}
