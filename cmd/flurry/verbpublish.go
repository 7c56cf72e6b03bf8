package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// Publish publishes from this machine's Nix store.
func (v verbs) Publish(ctx context.Context, r control.PublishRequest, progress func(report.PublishProgress)) (report.Publish, error) {
	sp, err := v.find(r.Namespace)
	if err != nil {
		return report.Publish{}, err
	}
	req, err := v.publishRequest(sp, r)
	if err != nil {
		return report.Publish{}, err
	}
	req.Progress = progress
	source, err := v.nixStore(ctx)
	if err != nil {
		return report.Publish{}, nixProblem(err)
	}
	if !r.DryRun {
		if err := v.goOnline(); err != nil {
			v.log.Error("no network; it is published on this machine alone", "err", err)
		}
		if err := v.giveOut(ctx, sp); err != nil {
			return report.Publish{}, err
		}
	}
	result, err := v.node.Publish(ctx, source, req)
	result.Pin = r.Pin
	result.Complete()
	return result, publishProblem(sp.Alias, v.cfg.State, err)
}

// giveOut lets others fetch what is published with a key that came with the request, as they may with one that is here.
func (v verbs) giveOut(ctx context.Context, sp node.Space) error {
	given := givenToAll(sp)
	if given.Share == sp.Share {
		return nil
	}
	err := v.node.Put(given)
	if sp.Declared == "" {
		err = v.spaces.put(given, v.node.Put)
	}
	if err != nil {
		return err
	}
	return v.node.Reshare(ctx, sp.Address)
}

// publishRequest is r in the node's words.
func (v verbs) publishRequest(sp node.Space, r control.PublishRequest) (node.PublishRequest, error) {
	req := node.PublishRequest{Alias: sp.Alias, Keep: r.Keep, DryRun: r.DryRun, SkipExcluded: r.Unnamed}
	if len(r.Paths) == 0 {
		return req, usage("flurry publish acme-1 ./result", "publish what? No path was given")
	}
	if r.Keep != 0 && (r.Keep < time.Second || r.Keep > namespace.MaxLife) {
		return req, usage("--keep 30d", "a publication lives for 1s to %s", days(namespace.MaxLife))
	}
	for _, p := range r.Paths {
		path, err := nix.ParseStorePath(p)
		if err != nil {
			return req, &report.Problem{ID: "bad-store-path", Exit: report.ExitUsage, Message: err.Error()}
		}
		if !slices.Contains(req.Roots, path) {
			req.Roots = append(req.Roots, path)
		}
	}
	if r.Pin != "" {
		if !pinName.MatchString(r.Pin) || len(r.Pin) > namespace.MaxPinName {
			return req, usage("--pin v1.0", "%.80q cannot be the name of a pin: printable ASCII without spaces, at most %d", r.Pin, namespace.MaxPinName)
		}
		req.Pins = []namespace.Pin{pin(r)}
	}
	filters, err := v.filters(r)
	if err != nil {
		return req, err
	}
	req.Filters = filters
	if r.Key != "" {
		if req.Key, err = v.givenKey(sp, r.Key); err != nil {
			return req, err
		}
		return req, nil
	}
	_, err = v.keys.Signer(sp.Address)
	return req, err
}

// pinName is a word of a signed text.
var pinName = regexp.MustCompile(`^[!-~]+$`)

func pin(r control.PublishRequest) namespace.Pin {
	if r.KeepFor > 0 {
		return namespace.Pin{Name: r.Pin, For: r.KeepFor}
	}
	return namespace.Pin{Name: r.Pin, Last: max(1, r.KeepLast)}
}

// givenKey is the key that came with a request, if it may publish to sp.
func (v verbs) givenKey(sp node.Space, text string) (*nix.SecretKey, error) {
	key, err := nix.ParseSecretKey(text)
	if err != nil {
		return nil, secretProblem("FLURRY_KEY", err)
	}
	if _, ok := v.catalog.Policy(sp.Address); !ok {
		return nil, &report.Problem{ID: "no-document", Exit: report.ExitUnavailable, Message: fmt.Sprintf("%s has no document here yet: nobody who holds it was found", sp.Alias),
			Try: []string{fmt.Sprintf("flurry use %s --peer seed.acme.example", sp.Alias)}}
	}
	if !v.keys.maySign(sp.Address, key.Public()) {
		return nil, &report.Problem{ID: "not-a-writer", Exit: report.ExitRefused,
			Message: fmt.Sprintf("FLURRY_KEY is %s, which may not publish to %s: it is neither the root's key nor a writer's", key.Public(), sp.Alias),
			Try:     []string{"flurry show " + sp.Alias + " --writers"}}
	}
	return &key, nil
}

// filters are those of the request on top of the configuration's.
func (v verbs) filters(r control.PublishRequest) (node.Filters, error) {
	f := node.Filters{Exclude: append(slices.Clone(v.cfg.Exclude), r.Exclude...), LeaveOut: r.LeaveOut, MaxSize: r.MaxSize, Upstream: v.cfg.Upstream}
	if f.MaxSize == 0 {
		f.MaxSize = v.cfg.MaxSize
	}
	if r.Full {
		f.Upstream = nil
	}
	if err := checkGlobs(slices.Concat(r.Exclude, r.LeaveOut)); err != nil {
		return f, usage("flurry publish --help", "%v", err)
	}
	return f, nil
}

// nixStore opens this machine's Nix store at the first need. Nobody is kept waiting by a Nix that does not answer.
func (v verbs) nixStore(ctx context.Context) (node.Source, error) {
	v.mu.Lock()
	have := v.source
	v.mu.Unlock()
	if have != nil {
		return have, nil
	}
	s, err := daemon.Open(ctx, v.cfg.Nix)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.source != nil { // somebody else was faster
		return v.source, s.Close()
	}
	v.source = s
	return s, nil
}
