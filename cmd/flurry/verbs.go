package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
)

// verbs answers the control socket for an instance.
type verbs struct{ *instance }

var _ control.Daemon = verbs{}

func (i *instance) verbs() verbs { return verbs{i} }

// useWait is how long use looks for somebody who holds the namespace before it says that nobody was found.
const useWait = 5 * time.Second

// find returns the space that word means: an alias or an address.
func (v verbs) find(word string) (node.Space, error) {
	var known []string
	for _, sp := range v.node.Spaces() {
		if sp.Alias == word || sp.Address.String() == word {
			return sp, nil
		}
		known = append(known, sp.Alias)
	}
	if strings.Contains(word, ":") {
		if _, err := namespace.ParseAddress(word); err != nil {
			return node.Space{}, keyProblem(word, err)
		}
	}
	return node.Space{}, unknownNamespace(word, known)
}

// Use puts a namespace in use, goes on the wire, and waits a little for somebody who holds it.
func (v verbs) Use(ctx context.Context, r control.UseRequest) (report.Use, error) {
	sp, err := v.spaceToUse(r)
	if err != nil {
		return report.Use{}, err
	}
	if err := v.node.Put(sp); err != nil {
		return report.Use{}, &report.Problem{ID: "alias-taken", Exit: report.ExitUsage, Message: err.Error(), Try: []string{"--as ANOTHER-NAME"}}
	}
	if err := v.spaces.put(sp); err != nil {
		return report.Use{}, err
	}
	if err := v.goOnline(); err != nil {
		return report.Use{}, fmt.Errorf("going on the wire: %w", err)
	}
	v.instance.find(sp.Peers)
	wait := r.Wait
	if wait == 0 {
		wait = useWait
	}
	return v.used(ctx, sp, wait)
}

func (v verbs) spaceToUse(r control.UseRequest) (node.Space, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		if !strings.Contains(r.Namespace, ":") {
			return sp, err
		}
		a, hints, err := namespace.ParseHinted(r.Namespace)
		if err != nil {
			return sp, keyProblem(r.Namespace, err)
		}
		if have, err := v.find(a.String()); err == nil {
			sp = have
		} else {
			sp = node.Space{Alias: a.Name(), Address: a}
		}
		r.Peers = append(slices.Clone(r.Peers), hints.Seeds...)
	}
	if r.Alias != "" {
		sp.Alias = r.Alias
	}
	if !namespace.ValidName(sp.Alias) {
		return sp, &report.Problem{ID: "usage", Exit: report.ExitUsage, Message: fmt.Sprintf("%q cannot be an alias: letters, digits, dot, dash and underscore, at most 64", sp.Alias), Try: []string{"--as NAME"}}
	}
	for _, p := range r.Peers {
		hint, err := peer.ParsePeer(p)
		if err != nil {
			return sp, &report.Problem{ID: "bad-peer", Exit: report.ExitUsage, Message: err.Error(), Try: []string{"--peer HOST:PORT"}}
		}
		if !slices.ContainsFunc(sp.Peers, func(h peer.Hint) bool { return h.String() == hint.String() }) {
			sp.Peers = append(sp.Peers, hint)
		}
	}
	sp.Use = true
	return sp, nil
}

// used waits until the namespace is synced with somebody, at most wait, and says what is known of it then.
func (v verbs) used(ctx context.Context, sp node.Space, wait time.Duration) (report.Use, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	synced := v.node.WaitSynced(waiting, sp.Address)
	s, err := v.node.Show(ctx, node.ShowQuery{Alias: sp.Alias, Writers: true})
	if err != nil {
		return report.Use{}, err
	}
	u := report.Use{Schema: "flurry/use/1", Alias: sp.Alias, Address: s.Address, About: s.About, Serving: s.Serving, Paths: s.Paths,
		Writers: len(s.Writers), Synced: synced, Expires: s.Expires, Warnings: []report.Problem{}}
	for _, p := range v.node.Status(true).Peers {
		if p.LAN && slices.Contains(s.Serving, p.Peer) {
			u.LAN++
		}
	}
	if len(s.Serving) == 0 && s.Serial == 0 {
		u.Warnings = append(u.Warnings, report.Problem{ID: "nobody-found", Message: fmt.Sprintf("%s is in use, but nobody who holds it was found (%s)", sp.Alias, wait),
			Found: []string{"a key has no checksum: compare it with the project's page. Or give a place to start:"}, Try: []string{fmt.Sprintf("flurry use %s --peer HOST", s.Address)}})
	}
	return u, nil
}

// Leave takes a namespace out of use. One that is published here stays known.
func (v verbs) Leave(ctx context.Context, r control.LeaveRequest) (report.Leave, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Leave{}, err
	}
	if err := v.spaces.refuseDeclared(sp.Address); err != nil {
		return report.Leave{}, err
	}
	l := report.Leave{Schema: "flurry/leave/1", Alias: sp.Alias, Purged: r.Purge}
	if sp.Publish && !r.Purge {
		sp.Use = false
		if err := v.spaces.put(sp); err != nil {
			return l, err
		}
		return l, v.node.Put(sp)
	}
	if err := v.spaces.remove(sp.Address); err != nil {
		return l, err
	}
	v.node.Drop(sp.Address)
	if r.Purge {
		return l, v.catalog.Forget(ctx, sp.Address)
	}
	return l, nil
}

// Publish publishes from this machine's Nix store.
func (v verbs) Publish(ctx context.Context, r control.PublishRequest, progress func(report.PublishProgress)) (report.Publish, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Publish{}, err
	}
	req := node.PublishRequest{Alias: sp.Alias, Keep: r.Keep, DryRun: r.DryRun, Progress: progress}
	if req.Filters, err = v.filters(r); err != nil {
		return report.Publish{}, err
	}
	for _, p := range r.Paths {
		path, err := nix.ParseStorePath(p)
		if err != nil {
			return report.Publish{}, &report.Problem{ID: "bad-store-path", Exit: report.ExitUsage, Message: err.Error()}
		}
		req.Roots = append(req.Roots, path)
	}
	if r.Pin != "" {
		req.Pins = []namespace.Pin{{Name: r.Pin, Last: r.KeepLast}}
	}
	if r.Key != "" {
		key, err := nix.ParseSecretKey(r.Key)
		if err != nil {
			return report.Publish{}, keyProblem("", err)
		}
		req.Key = &key
	}
	source, err := v.nixStore(ctx)
	if err != nil {
		return report.Publish{}, publishProblem(sp.Alias, err)
	}
	if !r.DryRun {
		if err := v.goOnline(); err != nil {
			v.log.Error("no network; it is published on this machine alone", "err", err)
		}
	}
	result, err := v.node.Publish(ctx, source, req)
	result.Schema, result.Event = "flurry/publish/1", "done"
	return result, publishProblem(sp.Alias, err)
}

// filters are those of the request on top of the configuration's.
func (v verbs) filters(r control.PublishRequest) (node.Filters, error) {
	f := node.Filters{Exclude: append(slices.Clone(v.cfg.Exclude), r.Exclude...), LeaveOut: r.LeaveOut, MaxSize: r.MaxSize}
	if f.MaxSize == 0 {
		f.MaxSize = v.cfg.MaxSize
	}
	if r.Full {
		return f, nil
	}
	for _, word := range v.cfg.Upstream {
		key, err := upstreamKey(word)
		if err != nil {
			return f, err
		}
		f.Upstream = append(f.Upstream, key)
	}
	return f, nil
}

// nixStore opens this machine's Nix store at the first need.
func (v verbs) nixStore(ctx context.Context) (node.Source, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.source != nil {
		return v.source, nil
	}
	s, err := daemon.Open(ctx, v.cfg.Nix)
	if err != nil {
		return nil, err
	}
	v.source = s
	return s, nil
}

// New makes a namespace of a new key or of one that was brought.
func (v verbs) New(ctx context.Context, r control.NewRequest) (report.New, error) {
	key, err := newRoot(r)
	if err != nil {
		return report.New{}, err
	}
	share, err := node.ParseShare(r.Share)
	if err != nil {
		return report.New{}, &report.Problem{ID: "usage", Exit: report.ExitUsage, Message: err.Error()}
	}
	a := namespace.AddressOf(key.Public())
	sp, err := v.find(a.String())
	if err != nil {
		sp = node.Space{Alias: a.Name(), Address: a}
	}
	if other, err := v.find(sp.Alias); err == nil && other.Address != a {
		return report.New{}, &report.Problem{ID: "alias-taken", Exit: report.ExitUsage, Message: fmt.Sprintf("%q already means another key here (%s)", sp.Alias, other.Address), Try: []string{"another name"}}
	}
	if err := v.keys.add(key); err != nil {
		return report.New{}, err
	}
	d, err := v.node.NewNamespace(ctx, key, r.About, r.Keep)
	if err != nil {
		return report.New{}, err
	}
	sp.Publish, sp.Share = true, share
	if err := v.node.Put(sp); err != nil {
		return report.New{}, err
	}
	if err := v.spaces.put(sp); err != nil {
		return report.New{}, err
	}
	return report.New{Schema: "flurry/new/1", Alias: sp.Alias, Address: a.String(), KeyFile: v.keys.file(key.Name()), Adopted: r.Key != "",
		Serial: d.Value().Serial, Expires: d.Value().Expires}, nil
}

// Health says whether everything is as it should be.
func (v verbs) Health(ctx context.Context) (report.Health, error) {
	h := report.Health{Status: "ok", Reasons: []string{}}
	s, err := v.packs.Stats(ctx)
	if err != nil {
		return h, err
	}
	if s.DiskFree < s.Reserve {
		h.Status, h.Reasons = "degraded", append(h.Reasons, "disk: below reserve, nothing new is stored")
	}
	return h, nil
}

// Show says what is known of a namespace.
func (v verbs) Show(ctx context.Context, r control.ShowRequest) (report.Show, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Show{}, err
	}
	s, err := v.node.Show(ctx, node.ShowQuery{Alias: sp.Alias, Glob: r.Glob, Publications: r.Publications, Writers: r.Writers, Document: r.Document})
	if errors.Is(err, node.ErrUnknownNamespace) {
		return s, unknownNamespace(r.Namespace, nil)
	}
	return s, err
}
