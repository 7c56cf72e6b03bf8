package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/report"
)

// runHost is the flurry that a command is run with: the daemon, an instance of its own, or none.
type runHost struct {
	control.Daemon // nil: none
	start          report.RunStart
	signer         string // the key of the gateway's narinfos
	publish        string // what it calls the namespace to publish to
	end            func() error
	problem        *report.Problem // why there is none, though there should be
}

func (h *runHost) close() error {
	if h.end == nil {
		return nil
	}
	return h.end()
}

// status is what the host says of itself; nothing, if it says nothing.
func (h *runHost) status(ctx context.Context) report.Status {
	if h.Daemon == nil {
		return report.Status{}
	}
	s, err := h.Status(ctx, control.StatusRequest{})
	if err != nil {
		return report.Status{}
	}
	return s
}

// runHost finds or starts the host. What was asked wrongly is an error; what is broken is none, unless that was asked for:
// the command is run without a gateway then.
func (sh *shell) runHost(ctx context.Context, r runRequest) (*runHost, error) {
	asked := r.publish
	if r.key == "" {
		r.publish = "" // nothing is signed, unless a daemon has a key that may
	}
	s, err := sh.daemon().Status(ctx, control.StatusRequest{})
	if err == nil && serves(s, r) {
		return &runHost{Daemon: sh.daemon(), signer: s.Gateway.Signer, publish: asked, start: report.RunStart{Gateway: s.Gateway.URL}}, nil
	}
	if len(r.use) == 0 && r.publish == "" {
		return &runHost{}, nil
	}
	if err == nil {
		r.use, r.publish = byKey(s, r.use), byKey(s, []string{r.publish})[0]
	}
	h, err := sh.ownHost(ctx, r, err != nil)
	if err == nil || r.onFailure == "fail" || ctx.Err() != nil {
		return h, err
	}
	var p *report.Problem
	if errors.As(err, &p) && (p.Exit == report.ExitUsage || p.Exit == report.ExitRefused) {
		return nil, err
	}
	return &runHost{problem: sh.problem(err)}, nil
}

// serves reports whether a daemon does for r: it signs, and has in use and knows what was asked for.
func serves(s report.Status, r runRequest) bool {
	known := func(word string, use bool) bool {
		return slices.ContainsFunc(s.Namespaces, func(n report.Namespace) bool {
			return (n.Alias == word || n.Key == addressWord(word)) && (n.Trusted || !use)
		})
	}
	for _, word := range r.use {
		if !known(word, true) {
			return false
		}
	}
	return s.Gateway.URL != "" && s.Gateway.Signer != "" && (r.publish == "" || known(r.publish, false))
}

// addressWord is the address that word is, without hints; the word itself, if it is none.
func addressWord(word string) string {
	a, _, err := addressOf(word)
	if err != nil || a.IsZero() {
		return word
	}
	return a.String()
}

// byKey puts the keys of what a daemon knows in the place of its aliases.
func byKey(s report.Status, words []string) []string {
	out := slices.Clone(words)
	for i, word := range out {
		for _, n := range s.Namespaces {
			if n.Alias == word {
				out[i] = n.Key
			}
		}
	}
	return out
}

// ownHost starts an instance for the command. keep: in the state that was named, if one was.
func (sh *shell) ownHost(ctx context.Context, r runRequest, keep bool) (_ *runHost, err error) {
	a, err := sh.startAlone(ctx, aloneOptions{peers: r.peers, gateway: true, keep: keep, loopback: r.loopback})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	h := &runHost{Daemon: a, signer: a.local.Public().String(), publish: r.publish, end: a.close}
	h.start = report.RunStart{Gateway: "http://" + a.gatewayAt[0].Addr().String(), Own: true}
	begun := time.Now()
	synced := true
	for _, word := range r.use {
		left := max(time.Millisecond, useWait-time.Since(begun)) // for all of them together
		u, err := a.Use(ctx, control.UseRequest{Namespace: word, Wait: left})
		if err != nil {
			return nil, err
		}
		if !sh.json && !sh.quiet {
			for _, w := range u.Warnings {
				w.PrintWarning(sh.err)
			}
		}
		synced = synced && u.Synced
		h.start.Serving = max(h.start.Serving, len(u.Serving))
	}
	if r.publish != "" {
		if err := a.publishTo(ctx, r.publish, nil, max(time.Millisecond, useWait-time.Since(begun))); err != nil {
			return nil, err
		}
	}
	if synced {
		h.start.Synced = time.Since(begun).Seconds()
	}
	return h, nil
}
