package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
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

// find returns the namespace that word means: an alias, an address, or a built-in name. When the error is an
// unknown-namespace, word may still be a good key.
func (v verbs) find(word string) (node.Space, error) {
	var aliases []string
	for _, sp := range v.node.Spaces() {
		if sp.Alias == word {
			return sp, nil
		}
		aliases = append(aliases, sp.Alias)
	}
	a, _, err := addressOf(word)
	if err != nil {
		return node.Space{}, err
	}
	if a.IsZero() {
		return node.Space{}, unknownNamespace(word, aliases)
	}
	for _, sp := range v.node.Spaces() {
		if sp.Address == a {
			return sp, nil
		}
	}
	return node.Space{}, &report.Problem{ID: "unknown-namespace", Exit: report.ExitUsage, Message: fmt.Sprintf("this machine does not know %s", a),
		Try: []string{"flurry use " + a.String()}}
}

// addressOf is the address that word is or, built in, means; the zero one if it is but a name.
func addressOf(word string) (namespace.Address, namespace.Hints, error) {
	if key, ok := builtInKey(word); ok {
		word = key
	}
	if !strings.Contains(word, ":") {
		return namespace.Address{}, namespace.Hints{}, nil
	}
	a, hints, err := namespace.ParseHinted(word)
	return a, hints, keyProblem(word, err)
}

// Use puts a namespace in use, goes on the wire, and waits a little for somebody who holds it.
func (v verbs) Use(ctx context.Context, r control.UseRequest) (report.Use, error) {
	sp, err := v.spaceToUse(r)
	if err != nil {
		return report.Use{}, err
	}
	if sp.Declared == "" || !sp.Use {
		sp.Use = true
		if err := v.spaces.put(sp, v.node.Put); err != nil {
			return report.Use{}, err
		}
	}
	wait := r.Wait
	if wait <= 0 {
		wait = useWait
	}
	if err := v.goOnline(); err != nil {
		u, e := v.used(ctx, sp, 0)
		u.Warnings = append(u.Warnings, report.Problem{ID: "no-network", Message: fmt.Sprintf("%s is in use, but there is no way to peers: %v", sp.Alias, err), Try: []string{"flurry status"}})
		return u, e
	}
	v.instance.find(sp.Peers)
	return v.used(ctx, sp, wait)
}

// spaceToUse is the namespace that r means, as it is to become, but for Use.
func (v verbs) spaceToUse(r control.UseRequest) (node.Space, error) {
	a, hints, err := addressOf(r.Namespace)
	if err != nil {
		return node.Space{}, err
	}
	sp, err := v.find(r.Namespace)
	switch {
	case err == nil:
	case a.IsZero():
		return sp, err
	default:
		sp = node.Space{Alias: a.Name(), Address: a, Origin: builtInOrigin(a)}
		if _, ok := builtInKey(r.Namespace); ok {
			sp.Alias = r.Namespace
		}
		if r.Alias == "" || r.Alias == a.Name() {
			if err := impostor(a); err != nil {
				return sp, err
			}
		}
	}
	if err := checkOrigin(r.Origin); err != nil {
		return sp, badOrigin(r.Origin, err)
	}
	moved := r.Origin != "" && r.Origin != sp.Origin
	if moved {
		sp.Origin = r.Origin
	}
	limited := len(r.Only) > 0 && !slices.Equal(sp.Only, onlyOf(r.Only))
	if limited {
		if err := checkOnly(r.Only); err != nil {
			return sp, badOnly(err)
		}
		sp.Only = onlyOf(r.Only)
	}
	raised := r.Threshold > 0 && r.Threshold != max(sp.Threshold, 1)
	if raised {
		sp.Threshold = r.Threshold
		if err := v.checkThreshold(sp); err != nil {
			return sp, err
		}
	}
	before := len(sp.Peers)
	for _, p := range append(slices.Clone(r.Peers), hints.Seeds...) {
		hint, err := peer.ParsePeer(p)
		if err != nil {
			return sp, badPeer(err)
		}
		if !slices.Contains(sp.Peers, hint) {
			sp.Peers = append(slices.Clone(sp.Peers), hint)
		}
	}
	renamed := r.Alias != "" && r.Alias != sp.Alias
	if renamed {
		sp.Alias = r.Alias
	}
	if !namespace.ValidName(sp.Alias) {
		return sp, badAlias(sp.Alias)
	}
	if sp.Declared != "" && (renamed || moved || limited || raised || len(sp.Peers) > before) {
		return sp, v.spaces.refuseDeclared(sp.Address)
	}
	return sp, nil
}

// checkThreshold refuses a threshold that nothing can reach.
func (v verbs) checkThreshold(sp node.Space) error {
	if err := checkThreshold(sp.Threshold, sp.Origin); err != nil {
		return badThreshold(err)
	}
	why := v.node.ThresholdTooHigh(sp)
	if why == "" {
		return nil
	}
	return &report.Problem{ID: "threshold-too-high", Exit: report.ExitUsage, Message: why, Try: []string{"flurry show " + sp.Alias + " --writers", "flurry use " + sp.Alias + " --threshold 1"}}
}

func badThreshold(err error) error { return usage("--threshold 2", "--threshold: %v", err) }

func badOnly(err error) error { return usage("--only 'widget-*'", "--only: %v", err) }

// used waits until the namespace is synced with somebody, at most wait, and says what is known of it then. Who publishes
// it from here has nobody to wait for, nor has who has nowhere to look.
func (v verbs) used(ctx context.Context, sp node.Space, wait time.Duration) (report.Use, error) {
	where := v.whereToLook(sp)
	synced := false
	if wait > 0 && !sp.Publish && sp.Origin == "" && len(where) > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		synced = v.node.WaitSynced(waiting, sp.Address)
		cancel()
	}
	s, err := v.node.Show(ctx, node.ShowQuery{Alias: sp.Alias, Writers: true})
	if err != nil {
		return report.Use{}, err
	}
	u := report.Use{Schema: "flurry/use/1", Alias: sp.Alias, Address: s.Address, About: s.About, Serving: s.Serving, Paths: s.Paths,
		Writers: len(s.Writers), Only: sp.Only, Threshold: s.Threshold, Serial: s.Serial, Publisher: sp.Publish, Synced: synced, Expires: s.Expires, Warnings: []report.Problem{}}
	if u.Elsewhere, err = v.leavesOut(ctx, sp); err != nil {
		return u, err
	}
	for i, key := range u.Elsewhere {
		u.Elsewhere[i], _, _ = strings.Cut(key, ":")
	}
	for _, p := range v.node.Status(true).Peers {
		if p.LAN && slices.Contains(s.Serving, p.Peer) {
			u.LAN++
		}
	}
	if v.wire != nil {
		for _, why := range v.wire.unreachable(sp.Peers) {
			u.Warnings = append(u.Warnings, peerUnreachable(sp.Alias, len(s.Serving), why))
		}
	}
	u.Warnings = append(u.Warnings, documentWarnings(sp, v.catalog.Stats(sp.Address), time.Now())...)
	if sp.Origin != "" {
		u.Origin = shownOrigin(sp.Origin)
		u.Warnings = append(u.Warnings, v.tryOrigin(ctx, sp, wait)...)
	} else if len(s.Serving) == 0 && s.Serial == 0 && wait > 0 {
		u.Warnings = append(u.Warnings, nobodyFound(sp, where, wait))
	}
	return u, nil
}

// whereToLook names the ways to somebody who holds sp.
func (v verbs) whereToLook(sp node.Space) []string {
	var where []string
	if n := v.node.Status(false).Network.Peers; n > 0 {
		where = append(where, fmt.Sprintf("%d connected", n))
	}
	if v.cfg.LAN {
		where = append(where, "LAN")
	}
	if n := len(v.cfg.Peers) + len(sp.Peers); n > 0 {
		where = append(where, fmt.Sprintf("%d named", n))
	}
	if v.cfg.WAN {
		where = append(where, "DHT")
	}
	return where
}

// nobodyFound says where was looked for somebody who holds sp.
func nobodyFound(sp node.Space, where []string, wait time.Duration) report.Problem {
	looked := "there is nowhere to look: no LAN, no DHT, no peer named"
	if len(where) > 0 {
		looked = fmt.Sprintf("%s; %s", strings.Join(where, ", "), wait)
	}
	return report.Problem{ID: "nobody-found", Message: fmt.Sprintf("nobody who holds %s was found (%s)", sp.Alias, looked),
		Found: []string{"a key has no checksum: compare it with the project's page. Or give a place to start:"},
		Try:   []string{fmt.Sprintf("flurry use %s --peer seed.acme.example", sp.Alias)}}
}

// Leave takes a namespace out of use. One that is published here stays known.
func (v verbs) Leave(ctx context.Context, r control.LeaveRequest) (report.Leave, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Leave{}, err
	}
	l := report.Leave{Schema: "flurry/leave/1", Alias: sp.Alias, Publisher: sp.Publish && !r.Purge, Purged: r.Purge}
	if l.Mirrored = sp.Seed || time.Now().Before(sp.Until); l.Mirrored && r.Purge {
		return l, &report.Problem{ID: "still-mirrored", Exit: report.ExitRefused, Message: sp.Alias + " is mirrored here for others, or what was promised to them is not over; not forgotten",
			Try: []string{"flurry seed " + sp.Alias + " --stop", "flurry seed"}}
	}
	if l.Publisher || l.Mirrored {
		sp.Use = false
		return l, v.spaces.put(sp, v.node.Put)
	}
	if err := v.spaces.remove(sp.Address, func() { v.node.Drop(sp.Address) }); err != nil {
		return l, err
	}
	if !r.Purge {
		return l, nil
	}
	if err := v.catalog.Forget(ctx, sp.Address); !errors.Is(err, catalog.ErrNotFound) { // nothing was known of it
		return l, err
	}
	return l, nil
}

// Show says what is known of a namespace.
func (v verbs) Show(ctx context.Context, r control.ShowRequest) (report.Show, error) {
	if err := checkGlobs([]string{r.Glob}); err != nil {
		return report.Show{}, usage("flurry show acme-1 'widget-*'", "%v", err)
	}
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Show{}, err
	}
	s, err := v.node.Show(ctx, node.ShowQuery{Alias: sp.Alias, Glob: r.Glob, Publications: r.Publications, Writers: r.Writers, Document: r.Document, Revoked: r.Revoked})
	if err != nil {
		return s, err
	}
	if key, err := v.keys.Signer(sp.Address); err == nil && key.Public() != sp.Address.Key() {
		s.PublishesAs = key.Name()
	}
	s.LeavesOut, err = v.leavesOut(ctx, sp)
	return s, err
}

// leavesOut are the keys of caches that a namespace leaves paths to.
func (v verbs) leavesOut(ctx context.Context, sp node.Space) (all []string, err error) {
	keys, err := v.node.LeavesOut(ctx, sp.Address)
	for _, k := range keys {
		all = append(all, k.String())
	}
	return all, err
}
