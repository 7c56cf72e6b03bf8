package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// given is what became of a batch. What is in none of its maps is published, unless failed says otherwise.
type given struct {
	bad    map[nix.StorePath]string // cannot be published, ever
	later  map[nix.StorePath]error  // failed by itself, and may succeed another time
	failed error                    // why the rest is not published: nothing of theirs
	done   map[nix.StorePath]bool   // published before that
}

// remains reports whether p is of the rest that failed.
func (g given) remains(p nix.StorePath) bool {
	_, bad := g.bad[p]
	return !bad && !g.done[p]
}

// give publishes paths, as one publication where that is possible. One bad path does not keep the others back.
func give(ctx context.Context, g giver, sp node.Space, paths []nix.StorePath) given {
	out := given{bad: make(map[nix.StorePath]string), later: make(map[nix.StorePath]error), done: make(map[nix.StorePath]bool)}
	rest := slices.Clone(paths)
	for len(rest) > 0 {
		r, err := g.Publish(ctx, sp, rest)
		if err == nil {
			out.published(rest, r)
			return out
		}
		before := len(rest)
		rest = slices.DeleteFunc(rest, func(p nix.StorePath) bool {
			why, bad := badPath(p, err)
			if bad {
				out.bad[p] = why
			}
			return bad
		})
		switch {
		case len(rest) < before:
		case concernsAll(ctx, err):
			out.failed = err
			return out
		default:
			return out.singly(ctx, g, sp, rest, err)
		}
	}
	return out
}

// singly publishes one path after the other, since together they failed and nothing says which of them is why.
func (g given) singly(ctx context.Context, to giver, sp node.Space, paths []nix.StorePath, err error) given {
	for _, p := range paths {
		var r report.Publish
		if len(paths) > 1 {
			r, err = to.Publish(ctx, sp, []nix.StorePath{p})
		}
		var corrupt *node.CorruptPathError
		switch {
		case err == nil:
			g.published([]nix.StorePath{p}, r)
		case concernsAll(ctx, err):
			g.failed = err
			return g
		case errors.As(err, &corrupt):
			g.bad[p] = "needs " + corrupt.Path.Base() + ", whose bytes are not what Nix once hashed"
		default:
			if why, bad := badPath(p, err); bad {
				g.bad[p] = why
				continue
			}
			g.later[p] = err
		}
	}
	return g
}

// published notes that paths are published, but for those that filters kept out.
func (g given) published(paths []nix.StorePath, r report.Publish) {
	for _, p := range paths {
		g.done[p] = true
	}
	for _, l := range slices.Concat(r.Excluded, r.Blocked) {
		if p, err := nix.ParseStorePath(l.Path); err == nil && slices.Contains(paths, p) {
			g.bad[p] = l.Why
			delete(g.done, p)
		}
	}
}

// badPath says why p, by what err says, cannot be published; false if err says nothing of p.
func badPath(p nix.StorePath, err error) (string, bool) {
	var gone *daemon.NotValidError
	var corrupt *node.CorruptPathError
	switch {
	case errors.As(err, &gone) && slices.Contains(gone.Paths, p):
		return "Nix does not know it any more: it was collected before it was read, or never became valid", true
	case errors.As(err, &corrupt) && corrupt.Path == p:
		return fmt.Sprintf("its bytes are not what Nix once hashed (expected %s, found %s)", corrupt.Want, corrupt.Got), true
	}
	return "", false
}

// concernsAll reports whether err is no matter of a path: another path would meet it, too.
func concernsAll(ctx context.Context, err error) bool {
	var (
		problem *report.Problem
		refusal *trust.Refusal
		full    *store.FullError
		clock   *node.ClockError
		down    *daemon.DownError
	)
	return ctx.Err() != nil || errors.As(err, &problem) || errors.As(err, &refusal) || errors.As(err, &full) || errors.As(err, &clock) || errors.As(err, &down) ||
		errors.Is(err, daemon.ErrNoNix) || errors.Is(err, trust.ErrUntrusted) || errors.Is(err, fs.ErrPermission)
}

// status adds to s what waits, what was given up, and what is wrong.
func (d *drainer) status(s *report.Status, explain func(alias string, err error) *report.Problem) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := &report.Queue{Waiting: d.more, Left: slices.Clone(d.givenUp)}
	var oldest time.Time
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		a, err := namespace.ParseAddress(n.Key)
		l := d.lanes[a]
		if err != nil || l == nil {
			continue
		}
		n.Queued = len(l.waiting)
		q.Waiting += n.Queued
		why, stuck := l.retry.why, n.Queued
		if why == nil {
			stuck = 0
		}
		for _, w := range l.waiting {
			if oldest.IsZero() || w.since.Before(oldest) {
				oldest = w.since
			}
			if l.retry.why == nil && w.retry.why != nil {
				why = w.retry.why
				stuck++
			}
		}
		if stuck > 0 {
			s.Problems = append(s.Problems, stuckProblem(n.Alias, stuck, explain(n.Alias, why)))
		}
	}
	if !oldest.IsZero() {
		oldest = oldest.UTC().Truncate(time.Second)
		q.Oldest = &oldest
	}
	if q.Waiting > 0 || len(q.Left) > 0 {
		s.Queue = q
	}
	if d.broken != nil {
		s.Problems = append(s.Problems, report.Problem{ID: "queue-unreadable", Message: "what was built here and is to be published cannot be read from the queue",
			Found: []string{d.broken.Error()}, Try: []string{"look at the directory queue in the state directory: it belongs to the daemon's user"}})
	}
}

// stuckProblem says that n paths could not be published yet, and why.
func stuckProblem(alias string, n int, why *report.Problem) report.Problem {
	paths := "paths that were built here wait"
	if n == 1 {
		paths = "path that was built here waits"
	}
	return report.Problem{ID: "queue-stuck", Message: fmt.Sprintf("%s: %d %s: publishing failed, and is tried again", alias, n, paths), Found: append([]string{why.Message}, why.Found...), Try: why.Try}
}
