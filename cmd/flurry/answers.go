package main

import (
	"context"
	"errors"
	"time"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/report"
)

// Status is the node's, with what the gateway and the store say of themselves.
func (v verbs) Status(ctx context.Context, r control.StatusRequest) (report.Status, error) {
	s := v.node.Status(r.Peers)
	s.Version = version
	if len(v.gatewayAt) > 0 {
		s.Gateway.URL = "http://" + v.gatewayAt[0].Addr().String()
	}
	if v.cfg.Sign {
		s.Gateway.Signer = v.local.Public().String()
	}
	v.gatewayStatus(&s)
	p, err := v.packs.Stats(ctx)
	if err != nil {
		return s, err
	}
	s.Store = report.Store{Bytes: p.Bytes, Quota: p.Quota, Chunks: p.Chunks, Packs: p.Packs, DiskFree: p.DiskFree, Reserve: p.Reserve}
	if p.DiskFree < p.Reserve {
		s.Problems = append(s.Problems, report.Problem{ID: "disk-full", Message: v.cfg.State + ": the disk is below the reserve: nothing new is stored",
			Found: []string{"what is here is served; Nix's downloads pass through without being kept"}, Try: []string{"free room on the disk"}})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.wire != nil && v.wire.router != nil {
		s.Network.DHT, s.Network.Announced = "on", v.wire.router.Stats().Provided
	}
	return s, nil
}

func (v verbs) gatewayStatus(s *report.Status) {
	g := v.gateway.Stats()
	for _, n := range g.NarInfos {
		s.Gateway.Asked += n
	}
	s.Gateway.Given = g.NarInfos[httpgateway.Given]
	s.Gateway.NotHere = s.Gateway.Asked - s.Gateway.Given
	s.Gateway.Late = g.NarInfos[httpgateway.Late]
	s.Traffic.NarBytes = g.NarBytes
	if !g.LastAsked.IsZero() {
		s.Gateway.Connected, s.Gateway.LastAsked = true, &g.LastAsked
	}
	s.Gateway.Median, s.Gateway.Max = v.gateway.Memory().Durations()
	if s.Gateway.Late > 0 {
		s.Problems = append(s.Problems, report.Problem{ID: "late", Message: "some answers were cut off by the budget: Nix was told \"not here\"", Try: []string{"flurry status --peers"}})
	}
}

// Why is the node's verdict, with what this machine's Nix and the gateway's memory say.
func (v verbs) Why(ctx context.Context, r control.WhyRequest) (report.Why, error) {
	h, err := nix.ParsePathHash(r.Path)
	if err != nil {
		p, err := nix.ParseStorePath(r.Path)
		if err != nil {
			return report.Why{}, &report.Problem{ID: "bad-store-path", Exit: report.ExitUsage, Message: err.Error()}
		}
		h = p.Hash()
	}
	w, err := v.node.Why(ctx, h)
	if err != nil {
		return w, err
	}
	if w.Path == h.String() && r.Path != w.Path {
		w.Path = r.Path
	}
	v.whyGateway(h, &w)
	return w, v.whyNix(ctx, h, &w)
}

// negativeTTL is how long Nix remembers "not here" unless it is told otherwise (narinfo-cache-negative-ttl).
const negativeTTL = time.Hour

func (v verbs) whyGateway(h nix.PathHash, w *report.Why) {
	answers := v.gateway.Memory().Lookup(h)
	if len(answers) == 0 {
		if w.Verdict == report.Available {
			w.Verdict, w.Try = report.NotAsked, append(w.Try, "is this gateway among the substituters? nix show-config | grep substituters")
		}
		w.Steps = append(w.Steps, report.WhyStep{Asked: "Nix", Answer: "has not asked this gateway for it"})
		return
	}
	last := answers[0] // the newest
	w.Nix = &report.WhyNix{Asked: last.At.UTC(), Answer: last.Outcome.String(), Took: last.Took.Seconds()}
	if last.Outcome == httpgateway.Given {
		return
	}
	until := last.At.Add(negativeTTL).UTC()
	w.Nix.RememberedUntil = &until
	if w.Verdict == report.Available && time.Now().Before(until) {
		w.Verdict, w.Try = report.RememberedNo, append(w.Try, "nix build --refresh …", "narinfo-cache-negative-ttl = 60 in nix.conf, for good")
	}
}

// whyNix looks whether the path is valid in this machine's own store already.
func (v verbs) whyNix(ctx context.Context, h nix.PathHash, w *report.Why) error {
	source, err := v.nixStore(ctx)
	if errors.Is(err, daemon.ErrNoNix) {
		return nil
	}
	local, ok := source.(*daemon.Store)
	if err != nil || !ok {
		w.Steps = append(w.Steps, report.WhyStep{Asked: "this machine", Answer: "its Nix does not answer"})
		return nil
	}
	p, err := local.PathFromHash(ctx, h)
	if err != nil {
		w.Steps = append(w.Steps, report.WhyStep{Asked: "this machine", Answer: "not valid in " + nix.StoreDir})
		return nil
	}
	w.Path, w.Verdict, w.Exit, w.Reason, w.Try = p.String(), report.Here, report.ExitOK, "valid in "+nix.StoreDir, nil
	return nil
}

// Check reads the whole store.
func (v verbs) Check(ctx context.Context, _ control.CheckRequest, progress func(report.CheckProgress)) (report.Check, error) {
	return checkStore(ctx, v.packs, progress)
}
