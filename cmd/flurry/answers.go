package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	storedisk "github.com/flurry-nix/flurry/store/disk"
)

// Status is the node's, with what the gateway and the store say of themselves.
func (v verbs) Status(ctx context.Context, r control.StatusRequest) (report.Status, error) {
	s := v.node.Status(r.Peers)
	s.Version = version
	s.Node.Standby, s.Node.Files = v.seat != nil, mayOpen()
	if s.Namespaces == nil {
		s.Namespaces = []report.Namespace{}
	}
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
	s.Store = report.Store{Aside: s.Store.Aside, Bytes: p.Bytes, Quota: p.Quota, Chunks: p.Chunks, Packs: p.Packs, DiskFree: p.DiskFree, Reserve: p.Reserve}
	if v.inPlace != nil {
		s.Store.InPlacePaths, s.Store.InPlace = v.inPlace.Size()
	}
	if full := fullness(v.cfg.State, p); full != nil {
		s.Problems = append(s.Problems, *full)
	}
	if p.Damaged > 0 {
		s.Problems = append(s.Problems, *report.StoreDamaged(int(p.Damaged), int(p.Chunks+p.Bodies+p.Texts+p.Damaged)))
	}
	for _, sp := range v.node.Spaces() {
		s.Problems = append(s.Problems, documentWarnings(sp, v.catalog.Stats(sp.Address), time.Now())...)
	}
	s.Problems = append(s.Problems, v.keys.unusable()...)
	if c := v.node.Clock(); c.Ahead.Abs() > report.MaxSkew {
		s.Problems = append(s.Problems, *report.ClockSkew(c.Ahead, c.Peers))
	}
	v.unnamedStatus(&s)
	v.mu.Lock()
	defer v.mu.Unlock()
	s.Problems = append(s.Problems, v.warnings...)
	if v.wire != nil && v.wire.router != nil {
		d := v.wire.router.Stats()
		s.Network.DHT, s.Network.Announced, s.Network.Untold, s.Network.Records = "on", d.Provided, d.Untold, d.Sent
		s.Network.Replicas, s.Network.Interval, s.Network.Rate = d.Replicas, d.Interval.Seconds(), d.Rate
	}
	return s, nil
}

// mayOpen is how many files this process may have open; 0: that is not known.
func mayOpen() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Cur
}

// documentWarnings says what is wrong with the document of a namespace, and what can be done.
func documentWarnings(sp node.Space, st catalog.Stats, now time.Time) (all []report.Problem) {
	if !st.Expires.IsZero() && now.After(st.Expires) {
		all = append(all, report.Problem{ID: "document-expired", Message: fmt.Sprintf("%s's document expired %s (serial %d)", sp.Alias, st.Expires.Format(time.DateOnly), st.Serial),
			Found: []string{"what it published before then is still served; newer publications by writers are not taken"},
			Try:   []string{"its publisher: flurry show " + sp.Alias + " --edit", "everyone else: nothing, it heals when they do"}})
	}
	if !st.Rival.IsZero() {
		all = append(all, report.Problem{ID: "document-fork", Message: fmt.Sprintf("two documents of %s carry serial %d and different contents, both signed by its root key", sp.Alias, st.Serial),
			Found: []string{st.Document.Short() + " is followed until a higher serial comes, " + st.Rival.Short() + " is not: this is a mistake of its owner's, or the key is stolen"},
			Try:   []string{"ask the owner", "flurry show " + sp.Alias + " --document prints both"}})
	}
	return all
}

// fullness says that nothing new is stored, and why; nil if there is room.
func fullness(state string, p storedisk.Stats) *report.Problem {
	var full *store.FullError
	switch {
	case p.DiskFree < p.Reserve:
		full = &store.FullError{Free: p.DiskFree, Reserve: p.Reserve}
	case p.Quota > 0 && p.Bytes >= p.Quota:
		full = &store.FullError{Used: p.Bytes, Quota: p.Quota}
	default:
		return nil
	}
	problem := diskFull(state, full)
	problem.Found = []string{"what is here is served; Nix's downloads pass through without being kept"}
	problem.Exit = report.ExitOK // it stops nobody who only looks
	return problem
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
		at := g.LastAsked.UTC()
		s.Gateway.Connected, s.Gateway.LastAsked = true, &at
	} else {
		s.Gateway.Named = namesGateway(s.Gateway.URL, s.Gateway.Signer, v.cfg.NixConf, v.cfg.OwnNixConf)
	}
	s.Gateway.Median, s.Gateway.Max = v.gateway.Memory().Durations()
	if s.Gateway.Late > 0 {
		s.Problems = append(s.Problems, report.Problem{ID: "late", Message: fmt.Sprintf("%d answers took longer than %s and were cut off: Nix was told \"not here\"", s.Gateway.Late, v.cfg.Budget),
			Try: []string{"flurry status --peers"}})
	}
}

// Check reads the whole store.
func (v verbs) Check(ctx context.Context, _ control.CheckRequest, progress func(report.CheckProgress)) (report.Check, error) {
	return checkStore(ctx, v.packs, progress)
}

// Collect gives up what is not to be kept.
func (v verbs) Collect(ctx context.Context, r control.CollectRequest, progress func(report.CollectProgress)) (report.Collected, error) {
	c, err := v.node.Collect(ctx, node.CollectRequest{DryRun: r.DryRun, Dead: true, Progress: progress})
	if full := (*store.FullError)(nil); errors.As(err, &full) {
		return c, diskFull(v.cfg.State, full)
	}
	return c, err
}

// Health says whether everything is as it should be.
func (v verbs) Health(ctx context.Context) (report.Health, error) {
	h := report.Health{Status: "ok", Reasons: []string{}}
	s, err := v.packs.Stats(ctx)
	if err != nil {
		return h, err
	}
	if full := fullness(v.cfg.State, s); full != nil {
		h.Status, h.Reasons = "degraded", append(h.Reasons, full.Message)
	}
	if s.Damaged > 0 {
		h.Status, h.Reasons = "degraded", append(h.Reasons, report.StoreDamaged(int(s.Damaged), int(s.Chunks+s.Bodies+s.Texts+s.Damaged)).Message)
	}
	return h, nil
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
	if w.Path == h.String() {
		w.Path = r.Path
	}
	if w.Verdict == report.Unknown {
		w.Steps = append(w.Steps, report.WhyStep{Asked: "peers", Answer: "not asked: what no catalog lists is told to nobody"})
	}
	v.whyGateway(h, &w)
	v.whyNix(ctx, h, &w)
	if r.Closure {
		w.Closure, err = v.closure(ctx, h)
	}
	w.Complete()
	return w, err
}

// whyGateway adds what this gateway told Nix.
func (v verbs) whyGateway(h nix.PathHash, w *report.Why) {
	answers := v.gateway.Memory().Lookup(h)
	if len(answers) == 0 {
		if w.Verdict == report.Available || w.Verdict == report.FromOrigin {
			w.Verdict, w.Try = report.NotAsked, append(w.Try, "is this gateway among its substituters? flurry status says how, nix show-config says which")
		}
		w.Steps = append([]report.WhyStep{{Asked: "Nix", Answer: "has not asked this gateway for it"}}, w.Steps...)
		return
	}
	last := answers[0] // the newest
	no, remembers := lastNo(answers)
	if remembers {
		last = no
	}
	w.Nix = &report.WhyNix{Asked: last.At.UTC(), Answer: last.Outcome.String(), Took: last.Took.Seconds()}
	if !remembers {
		return
	}
	ttl := nixRemembers(v.cfg.NixConf)
	until := last.At.Add(ttl).UTC()
	w.Nix.RememberedUntil = &until
	if (w.Verdict == report.Available || w.Verdict == report.FromOrigin) && time.Now().Before(until) {
		w.Verdict, w.Try = report.RememberedNo, append(w.Try, "nix build --refresh …")
		if ttl > negativeTTL*time.Second {
			w.Try = append(w.Try, fmt.Sprintf("or, for good, in nix.conf: narinfo-cache-negative-ttl = %d (it is %d)", negativeTTL, ttl/time.Second))
		}
	}
}

// lastNo is the "not here" that Nix remembers, of answers from the newest to the oldest: the last word on the narinfo, if it
// was that. What became of a NAR Nix does not remember, nor what it did not wait for.
func lastNo(answers []httpgateway.Answer) (httpgateway.Answer, bool) {
	for _, a := range answers {
		switch {
		case a.Nar || a.Outcome == httpgateway.Left:
		case a.Outcome == httpgateway.Given:
			return httpgateway.Answer{}, false
		default:
			return a, true
		}
	}
	return httpgateway.Answer{}, false
}

// whyNix adds whether the path is valid in this machine's own store already: then nothing else matters.
func (v verbs) whyNix(ctx context.Context, h nix.PathHash, w *report.Why) {
	said := "valid in " + nix.StoreDir
	p, err := v.inNixStore(ctx, h)
	switch {
	case err == nil:
		said += v.builtHere(ctx, p)
		w.Path, w.Verdict, w.Exit, w.Reason, w.Try = p.String(), report.Here, report.ExitOK, said, nil
	case errors.Is(err, daemon.ErrNotValid):
		said = "not " + said
	case errors.Is(err, daemon.ErrNoNix):
		said = "there is no Nix here"
	default:
		said = "its Nix does not answer: " + err.Error()
		var down *daemon.DownError
		if errors.As(err, &down) {
			said = down.Error()
		}
	}
	w.Steps = append([]report.WhyStep{{Asked: report.ThisMachine, Answer: said}}, w.Steps...)
}

// ownNix is this machine's own Nix store; daemon.ErrNoNix: there is none.
func (v verbs) ownNix(ctx context.Context) (*daemon.Store, error) {
	source, err := v.nixStore(ctx)
	if err != nil {
		return nil, err
	}
	local, ok := source.(*daemon.Store)
	if !ok {
		return nil, daemon.ErrNoNix
	}
	return local, nil
}

// inNixStore is the valid path of that hash in this machine's own store.
func (v verbs) inNixStore(ctx context.Context, h nix.PathHash) (nix.StorePath, error) {
	local, err := v.ownNix(ctx)
	if err != nil {
		return nix.StorePath{}, err
	}
	return local.PathFromHash(ctx, h)
}

// builtHere says of a valid path when it was built, if that was on this machine, as ", built on this machine DATE".
func (v verbs) builtHere(ctx context.Context, p nix.StorePath) string {
	local, err := v.ownNix(ctx)
	if err != nil {
		return ""
	}
	infos, err := local.Infos(ctx, []nix.StorePath{p})
	if err != nil || len(infos) != 1 || !infos[0].Ultimate {
		return "" // that it is here is known all the same
	}
	return ", built on this machine " + infos[0].RegTime.Local().Format(time.DateOnly)
}

// closure counts what h needs, itself included, and lists what of it is not in this machine's store and cannot be had. It
// looks no further below what is in the store: that is complete.
func (v verbs) closure(ctx context.Context, h nix.PathHash) (*report.WhyClosure, error) {
	c := &report.WhyClosure{Missing: []string{}}
	seen := make(map[nix.PathHash]bool)
	var visit func(nix.PathHash, string) error
	visit = func(h nix.PathHash, name string) error {
		if seen[h] {
			return nil
		}
		seen[h] = true
		c.Paths++
		if _, err := v.inNixStore(ctx, h); err == nil {
			return nil
		}
		for _, r := range v.references(ctx, h) {
			if err := visit(r.Hash(), r.String()); err != nil {
				return err
			}
		}
		w, err := v.node.Why(ctx, h)
		if err == nil && w.Verdict.Exit() != report.ExitOK {
			c.Missing = append(c.Missing, fmt.Sprintf("%s: %s", name, w.Reason))
		}
		return err
	}
	return c, visit(h, h.String())
}

// references are those of a path, as the first namespace in use says that lists it.
func (v verbs) references(ctx context.Context, h nix.PathHash) []nix.StorePath {
	for _, sp := range v.node.Spaces() {
		if entries, err := v.catalog.Lookup(ctx, sp.Address, h); err == nil && sp.Use {
			return entries[0].Entry().References
		}
	}
	return nil
}
