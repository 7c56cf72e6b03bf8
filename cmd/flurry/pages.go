package main

import (
	"context"
	"errors"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/httpgateway/pages"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
)

// shownNode is the node as pages show it: to whoever has a browser on this machine.
type shownNode struct{ verbs }

func (n shownNode) Status(ctx context.Context, peers bool) (report.Status, error) {
	return n.verbs.Status(ctx, control.StatusRequest{Peers: peers})
}

// Why is the verdict without what the gateway told Nix: that is nobody else's.
func (n shownNode) Why(ctx context.Context, h nix.PathHash) (report.Why, error) {
	w, err := n.node.Why(ctx, h)
	if err != nil {
		return w, err
	}
	n.whyNix(ctx, h, &w)
	w.Complete()
	return w, nil
}

func (n shownNode) Namespace(ctx context.Context, alias string, publications int) (report.Show, report.Pins, error) {
	show, err := n.node.Show(ctx, node.ShowQuery{Alias: alias, Publications: true, Writers: true, Most: publications})
	if errors.Is(err, node.ErrUnknownNamespace) {
		return show, report.Pins{}, pages.ErrUnknown
	}
	if err != nil {
		return show, report.Pins{}, err
	}
	pins, err := n.node.Pins(ctx, alias)
	if err != nil { // there is no document yet, or it is an HTTP cache's
		n.log.Debug("pins are not shown", "namespace", alias, "err", err)
	}
	return show, pins, nil
}

// Requests are the gateway's counts.
func (n shownNode) Requests() pages.Requests {
	s := n.gateway.Stats()
	return pages.Requests{NarInfos: byOutcome(s.NarInfos), Nars: byOutcome(s.Nars), Refused: s.Refused, Waiting: s.Waiting}
}

func byOutcome(c httpgateway.Counts) map[string]uint64 {
	m := make(map[string]uint64, len(c))
	for o, n := range c {
		m[httpgateway.Outcome(o).String()] = n
	}
	return m
}
