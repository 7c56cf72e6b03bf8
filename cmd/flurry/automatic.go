package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/internal/spool"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// publishUnnamed publishes, until ctx ends, what hooks give and what is built for namespaces that take all of that.
func (v verbs) publishUnnamed() {
	v.builds = newBuilds(v)
	v.drainer = newDrainer(v.cfg.State, v.node.Spaces, v.giver, v.log)
	v.group.Go(func() error { return v.drainer.run(v.ctx) })
	v.group.Go(func() error { return v.builds.run(v.ctx) })
}

// Automatic changes what is published to a namespace without being named.
func (v verbs) Automatic(ctx context.Context, r control.AutomaticRequest) (report.Automatic, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Automatic{}, err
	}
	when, err := node.ParseWhen(r.When)
	if err == nil {
		err = checkGlobs(slices.Concat(r.Exclude, r.LeaveOut))
	}
	if err != nil {
		return report.Automatic{}, usage("flurry publish --help", "%v", err)
	}
	if v.drainer == nil {
		return report.Automatic{}, &report.Problem{ID: "no-daemon", Exit: report.ExitNoDaemon, Message: "only a daemon publishes by itself"}
	}
	if when != node.WhenManual {
		if _, err := v.keys.Signer(sp.Address); err != nil {
			return report.Automatic{}, err
		}
		sp = givenToAll(sp)
	}
	if when == node.WhenAlways && sp.Automatic.When != when { // what was built before is nobody's business
		now, err := nextSecond(ctx)
		if err == nil {
			err = v.builds.from(sp.Address, now)
		}
		if err != nil {
			return report.Automatic{}, err
		}
	}
	sp.Automatic = node.Automatic{When: when, Exclude: r.Exclude, LeaveOut: r.LeaveOut, MaxSize: r.MaxSize, Full: r.Full}
	if err := v.spaces.put(sp, v.node.Put); err != nil {
		return report.Automatic{}, err
	}
	if when != node.WhenAlways {
		if err := v.builds.forget(sp.Address); err != nil {
			return report.Automatic{}, err
		}
	}
	v.builds.changed()
	s, err := v.Status(ctx, control.StatusRequest{})
	if err != nil {
		return report.Automatic{}, err
	}
	a := report.Automatic{Schema: "flurry/automatic/1", Namespace: sp.Alias, When: when.String(), Exclude: r.Exclude, LeaveOut: r.LeaveOut, MaxSize: r.MaxSize, Full: r.Full}
	for _, n := range s.Namespaces {
		if n.Alias == sp.Alias {
			a.Share, a.Waiting = n.Share, n.Queued
		}
	}
	if a.Exclude == nil {
		a.Exclude = []string{}
	}
	if a.LeaveOut == nil {
		a.LeaveOut = []string{}
	}
	return a, nil
}

// Queue puts paths into the queue.
func (v verbs) Queue(_ context.Context, r control.QueueRequest) (report.Queued, error) {
	if v.drainer == nil {
		return report.Queued{}, &report.Problem{ID: "no-daemon", Exit: report.ExitNoDaemon, Message: "only a daemon publishes by itself"}
	}
	for _, word := range r.Namespaces {
		if _, err := v.find(word); err != nil {
			return report.Queued{}, err
		}
	}
	e := spool.Entry{Time: time.Now(), Why: node.WhenHook.String(), Namespaces: r.Namespaces}
	for _, s := range r.Paths {
		p, err := nix.ParseStorePath(s)
		if err != nil {
			return report.Queued{}, &report.Problem{ID: "bad-store-path", Exit: report.ExitUsage, Message: err.Error()}
		}
		e.Paths = append(e.Paths, p)
	}
	return report.Queued{Schema: "flurry/queued/1", Paths: len(r.Paths)}, v.enqueue(e)
}

// enqueue puts an entry on the disk, and has it published.
func (i *instance) enqueue(e spool.Entry) error {
	q, err := spool.Open(i.cfg.State)
	if err != nil {
		return err
	}
	if err := errors.Join(q.Add(e), q.Close()); err != nil {
		return err
	}
	i.drainer.poke()
	return nil
}

// unnamedStatus adds to s what is published without being named.
func (v verbs) unnamedStatus(s *report.Status) {
	if v.drainer == nil {
		return
	}
	v.drainer.status(s, func(alias string, err error) *report.Problem {
		var p *report.Problem
		if err = publishProblem(alias, v.cfg.State, err); errors.As(err, &p) {
			return p
		}
		return &report.Problem{Message: err.Error()}
	})
	if p := v.builds.problem(); p != nil {
		s.Problems = append(s.Problems, *p)
	}
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		for _, sp := range v.node.Spaces() {
			if sp.Alias != n.Alias || sp.Automatic.When == node.WhenManual {
				continue
			}
			n.Publish = sp.Automatic.When.String()
			what := "what a hook gives"
			if sp.Automatic.When == node.WhenAlways {
				what = "every build"
			}
			n.Note += ", " + what
		}
		if n.Queued > 0 {
			n.Note += fmt.Sprintf(", %d queued", n.Queued)
		}
	}
}

// localGiver publishes from this machine's Nix, over a connection of its own: what that holds is let go with it.
type localGiver struct {
	verbs
	nix *daemon.Store
}

func (v verbs) giver(ctx context.Context) (giver, error) {
	s, err := daemon.Open(ctx, v.cfg.Nix)
	if err != nil {
		return nil, nixProblem(err)
	}
	return localGiver{v, s}, nil
}

// Hold keeps Nix from collecting paths. One that cannot be held is found out about when it is read.
func (g localGiver) Hold(ctx context.Context, paths []nix.StorePath) {
	for _, p := range paths {
		if err := g.nix.AddTempRoot(ctx, p); err != nil {
			g.log.Debug("a path that is to be published cannot be held", "path", p, "err", err)
			return
		}
	}
}

// Publish publishes paths as the namespace has it, and has them copied in the background.
func (g localGiver) Publish(ctx context.Context, sp node.Space, paths []nix.StorePath) (report.Publish, error) {
	auto := sp.Automatic
	filters, err := g.filters(control.PublishRequest{Full: auto.Full, Exclude: auto.Exclude, LeaveOut: auto.LeaveOut, MaxSize: auto.MaxSize})
	if err != nil {
		return report.Publish{}, err
	}
	if err := g.goOnline(); err != nil {
		g.log.Error("no network; it is published on this machine alone", "err", err)
	}
	r, err := g.node.Publish(ctx, g.nix, node.PublishRequest{Alias: sp.Alias, Roots: paths, Filters: filters, SkipExcluded: true})
	if err != nil {
		return r, err
	}
	for _, id := range r.Publications {
		g.log.Info("published what was built here", "namespace", sp.Alias, "publication", id.Short(), "paths", r.Paths)
	}
	if len(r.Publications) > 0 {
		wish := control.CopiesRequest{Namespace: sp.Address.String(), Publications: r.Publications, Copies: -1, NoWait: true}
		if _, err := g.Copies(ctx, wish, nil); err != nil {
			g.log.Warn("others are not asked for copies of what was published", "namespace", sp.Alias, "err", err)
		}
	}
	return r, nil
}

func (g localGiver) Close() error { return g.nix.Close() }
