package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// taker publishes what a command built.
type taker struct {
	sh      *shell
	host    *runHost
	request runRequest
	store   *daemon.Store   // nil: nothing is taken
	before  []nix.StorePath // what was valid before
	problem *report.Problem // why nothing can be taken, though it was asked for
}

// takerOf notes what this machine's Nix has before the command runs. Whatever is in the way is for take to tell of.
func (sh *shell) takerOf(ctx context.Context, h *runHost, r runRequest) *taker {
	t := &taker{sh: sh, host: h, request: r, problem: h.problem}
	if r.publish == "" || t.problem != nil {
		return t
	}
	if r.key == "" && !h.publishes(ctx) {
		sh.say("flurry: FLURRY_KEY is not set, so nothing is published to %s: this run only reads", aliasOf(r.publish))
		return t
	}
	err := t.open(ctx)
	if err != nil && ctx.Err() == nil {
		t.problem = sh.problem(nixProblem(err))
	}
	return t
}

// publishes reports whether the host has a key of its own that may publish to the namespace.
func (h *runHost) publishes(ctx context.Context) bool {
	if h.Daemon == nil || h.publish == "" {
		return false
	}
	s, err := h.Show(ctx, control.ShowRequest{Namespace: h.publish})
	return err == nil && s.Publisher
}

func (t *taker) open(ctx context.Context) (err error) {
	cfg, err := t.sh.nodeConfig(daemonFlags{})
	if err != nil {
		return err
	}
	if t.store, err = daemon.Open(ctx, cfg.Nix); err != nil {
		t.store = nil
		return err
	}
	if t.host.start.Gateway != "" && !t.sh.nixTakesSettings(ctx, t.store, t.sh.nixConfDir()) {
		t.sh.say("flurry: the Nix daemon does not trust this user, so it leaves the gateway out: what is built is published, but nothing is fetched\n  try: trusted-users in nix.conf")
	}
	t.before, err = t.store.ValidPaths(ctx)
	return err
}

func (t *taker) close() {
	if t.store != nil {
		t.store.Close() // it only ever read
	}
}

// take publishes what was built since, and waits for its copies. What goes wrong is told in out; an error is returned only
// when ctx has ended.
func (t *taker) take(ctx context.Context, out *report.Run) error {
	if t.problem != nil || t.store == nil {
		out.Problem = t.problem
		if t.store == nil && t.problem == nil {
			out.Namespace = ""
		}
		return nil
	}
	begun := time.Now()
	sent := t.host.status(ctx).Traffic.Sent
	draining, cancel := context.WithTimeout(ctx, t.request.drain)
	defer cancel()
	err := t.publish(draining, out)
	out.Drained = time.Since(begun).Seconds()
	out.Sent = t.host.status(ctx).Traffic.Sent - sent
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		out.Problem = t.drained(*out)
	default:
		out.Problem = t.sh.problem(err)
	}
	return nil
}

func (t *taker) publish(ctx context.Context, out *report.Run) error {
	built, err := t.store.BuiltSince(ctx, t.before)
	if err != nil {
		return nixProblem(err)
	}
	if out.Built = len(built); out.Built == 0 {
		return nil
	}
	r := t.request.filters
	r.Namespace, r.Key, r.Unnamed = t.host.publish, t.request.key, true
	for _, p := range topmost(built) {
		r.Paths = append(r.Paths, p.String())
	}
	p, err := t.sh.publish(ctx, t.host, r)
	if err != nil {
		return err
	}
	out.Namespace, out.Publish = p.Namespace, &p
	if len(p.Publications) == 0 {
		return nil
	}
	c := control.CopiesRequest{Namespace: t.host.publish, Publications: p.Publications, Copies: t.request.copies, Peers: t.request.peers}
	if t.host.start.Own && c.Copies < 0 {
		c.Copies = 1 // nothing is left of it otherwise
	}
	copies, err := t.copies(ctx, c)
	p.Copies = copies.Copies
	p.Complete()
	if err != nil {
		return err
	}
	if !copies.Enough() {
		p.Exit = report.ExitCopies
		return noCopies(p.Namespace, copies, t.host.start.Own)
	}
	return nil
}

// retryCopies is how long after a connection broke, or a seed was busy, it is offered again.
const retryCopies = 2 * time.Second

// copies has others copy what was published. Those that broke off or were busy are asked again until ctx ends.
func (t *taker) copies(ctx context.Context, c control.CopiesRequest) (report.Copies, error) {
	for {
		copies, err := t.sh.copies(ctx, t.host, c)
		if err != nil || copies.Enough() || !slices.ContainsFunc(copies.Refused, passing) {
			return copies, err
		}
		again := time.NewTimer(retryCopies)
		select {
		case <-ctx.Done():
			again.Stop()
			return copies, ctx.Err()
		case <-again.C:
		}
	}
}

// passing reports whether a seed may take soon what it did not take now.
func passing(r report.OfferRefused) bool {
	return strings.HasPrefix(r.Why, "busy") || strings.HasPrefix(r.Why, "the connection broke")
}

// drained says that the time is over.
func (t *taker) drained(out report.Run) *report.Problem {
	p := &report.Problem{ID: "drain-timeout", Exit: report.ExitCopies, Message: fmt.Sprintf("%s are over: what was built is not published", t.request.drain),
		Try: []string{"a longer --drain"}}
	if out.Publish != nil {
		p.Message = fmt.Sprintf("%s are over: %d of %d paths have not their copies", t.request.drain, out.Publish.Paths, out.Publish.Paths)
	}
	switch {
	case out.Publish != nil && len(out.Publish.Copies) > 0:
		p.Found = []string{fmt.Sprintf("they have %d; no other seed took them in time", len(out.Publish.Copies))}
		p.Try = append(p.Try, "fewer --copies")
	case t.host.start.Own:
		p.Found = []string{"this machine has no daemon: when this command ends, the paths are gone"}
	}
	return p
}

// topmost are those of built that no other of built refers to: they stand for all.
func topmost(built []daemon.PathInfo) []nix.StorePath {
	below := make(map[nix.StorePath]bool)
	for _, info := range built {
		for _, r := range info.References {
			if r != info.Path {
				below[r] = true
			}
		}
	}
	var top []nix.StorePath
	for _, info := range built {
		if !below[info.Path] {
			top = append(top, info.Path)
		}
	}
	return top
}
