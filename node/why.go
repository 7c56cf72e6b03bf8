package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// Why says what the node knows about one path: which namespaces list it, who holds it, and why it is or is not given to
// this machine's Nix. It asks no peer: what was not asked is said to be so. What Nix and the gateway know is for the
// caller to add.
func (n *Node) Why(ctx context.Context, h nix.PathHash) (report.Why, error) {
	w := report.Why{Schema: "flurry/why/1", Path: h.String(), Verdict: report.Unknown, Steps: []report.WhyStep{}}
	var hidden report.Why // the best of the reasons not to give it
	for _, sp := range n.spaces.all() {
		entries, err := n.Catalog.Lookup(ctx, sp.Address, h)
		switch {
		case errors.Is(err, catalog.ErrNotFound):
			one, err := n.withheld(ctx, sp, h)
			if err != nil {
				return w, err
			}
			answer := n.absence(sp, h)
			if one.Verdict != "" {
				answer = one.Reason
			}
			w.Steps = append(w.Steps, report.WhyStep{Asked: sp.Alias, Answer: answer})
			if hidden.Verdict == "" && one.Verdict != "" {
				hidden = one
			}
			continue
		case err != nil:
			return w, err
		}
		v := entries[0]
		if agreed, err := n.agreed(ctx, sp, h, entries); err != nil {
			return w, err
		} else if len(agreed) > 0 {
			v = agreed[0]
		}
		w.Path = v.Path().String()
		answer := "signed by " + v.Signer().Name
		if !n.isUpstream(sp.Address) {
			answer = "published by " + v.Signer().Name + ", publication " + v.Publication().Short()
			if len(entries) > 1 {
				others, err := n.differ(ctx, v)
				if err != nil {
					return w, err
				}
				answer += others
			}
		}
		w.Steps = append(w.Steps, report.WhyStep{Asked: sp.Alias, Answer: answer})
		one, err := n.judge(ctx, sp, v)
		if err != nil {
			return w, err
		}
		if one.Verdict == report.Available || one.Verdict == report.FromOrigin {
			one.Path, one.Steps, one.Schema = w.Path, w.Steps, w.Schema
			return one, nil
		}
		if hidden.Verdict == "" {
			hidden = one
		}
	}
	w.Exit, w.Reason = w.Verdict.Exit(), "no namespace in use has published it"
	if hidden.Verdict != "" {
		hidden.Path, hidden.Steps, hidden.Schema = w.Path, w.Steps, w.Schema
		return hidden, nil
	}
	return w, nil
}

// withheld says why a path that sp once published does not count; no verdict: nothing of that is known here.
func (n *Node) withheld(ctx context.Context, sp Space, h nix.PathHash) (report.Why, error) {
	w := report.Why{Source: sp.Alias, Exit: report.ExitUnavailable}
	policy, ok := n.Catalog.Policy(sp.Address)
	if !ok {
		return w, nil
	}
	infos, err := n.Catalog.Listing(ctx, sp.Address, h)
	if err != nil {
		return w, err
	}
	d, ok := policy.Document()
	if !ok {
		return w, nil
	}
	for _, denied := range d.Value().Denied {
		if denied.Path == h {
			w.Verdict, w.Reason = report.Retracted, fmt.Sprintf("%s retracted it: %q", sp.Alias, denied.Reason)
			return w, nil
		}
	}
	for _, info := range infos { // the newest first
		verdict, reason := whyNot(sp, d.Value(), info)
		if verdict == "" {
			if verdict, reason, err = n.whyCorrupt(ctx, sp, info, h); err != nil {
				return w, err
			}
		}
		if w.Verdict == "" || verdict == report.WriterGone { // which explains why a countersignature was withdrawn, too
			w.Verdict, w.Reason = verdict, reason
		}
	}
	return w, nil
}

// whyNot says why a publication does not count.
func whyNot(sp Space, d *namespace.Document, info catalog.PublicationInfo) (report.Verdict, string) {
	var refusal *trust.Refusal
	switch {
	case info.Standing.State == trust.Frozen:
		return report.Frozen, fmt.Sprintf("published after %s's document expired (%s)", sp.Alias, d.Expires.Format(time.DateOnly))
	case info.Standing.State == trust.Held:
		return report.Unknown, fmt.Sprintf("%s published it with a date in the future, %s: it is held back until then", sp.Alias, info.Time.Format(time.RFC3339))
	case info.Standing.State == trust.Expired:
		return report.RanOut, fmt.Sprintf("%s published it until %s, and nobody renewed it", sp.Alias, info.Expires.Format(time.DateOnly))
	case !errors.As(info.Standing.Err, &refusal):
		return "", ""
	case refusal.Why == trust.Withdrawn:
		for _, w := range d.Withdrawn {
			if w.Publication == info.ID {
				return report.Retracted, fmt.Sprintf("%s retracted it: %q", sp.Alias, w.Reason)
			}
		}
	}
	return report.WriterGone, fmt.Sprintf("%s revoked its writer %s", sp.Alias, info.Signer.Name)
}

// whyCorrupt says whether what a publication names turned out here not to be what it says.
func (n *Node) whyCorrupt(ctx context.Context, sp Space, info catalog.PublicationInfo, h nix.PathHash) (report.Verdict, string, error) {
	why, err := n.Catalog.DistrustOf(ctx, sp.Address, info.ID, h)
	if err != nil || why == "" {
		return "", "", err
	}
	return report.Corrupt, fmt.Sprintf("what %s published of %s does not match its NarHash, whoever sends it (%s)", info.Signer.Name, sp.Alias, why), nil
}

// absence says why sp does not list a path.
func (n *Node) absence(sp Space, h nix.PathHash) string {
	if sp.Origin != "" {
		return n.upstreamAbsence(sp, h)
	}
	if t, ok := n.spaces.syncedAt(sp.Address); ok {
		return fmt.Sprintf("synced %s ago, no such path", n.Now().Sub(t).Round(1e9))
	}
	if sp.Publish {
		return "you publish here; no such path"
	}
	return "never synced: nobody who holds it was found yet"
}

// judge says whether v can be had, and if not, why.
func (n *Node) judge(ctx context.Context, sp Space, v trust.Verified) (report.Why, error) {
	if sp.Use && !sp.gives(v.Path()) {
		return whyOnly(sp, v.Path()), nil
	}
	if n.isUpstream(v.Address()) {
		return n.judgeUpstream(ctx, sp, v)
	}
	if below, err := n.below(ctx, sp, v); err != nil || below.Verdict != "" {
		return below, err
	}
	w := report.Why{Source: sp.Alias}
	published, err := n.whyEntry(ctx, v)
	if err != nil {
		return w, err
	}
	w.Published = published
	complete, missing, err := n.Catalog.Complete(ctx, v, sp.builders(), n.externPresent, n.holeFilled)
	if err != nil {
		return w, err
	}
	switch {
	case !sp.Use:
		w.Verdict = report.Untrusted
		w.Reason = fmt.Sprintf("only %s has it, which this machine does not use", sp.Alias)
		w.Try = []string{"flurry use " + sp.Address.String()}
	case !complete:
		w.Verdict = report.Incomplete
		w.Reason = fmt.Sprintf("it needs %s, which %s left out", missing, sp.Alias)
		if builds, err := n.Catalog.Builds(ctx, sp.Address, missing.Hash()); err != nil {
			return w, err
		} else if len(builds) > 0 && sp.builders() > 1 {
			w.Reason = fmt.Sprintf("it needs %s, and of that %s", missing, n.whyBelow(sp, builds).Reason)
		}
		w.Missing = []string{missing.String()}
	case !n.available(ctx, v):
		w.Verdict = report.NoProvider
		w.Reason = sp.Alias + " published it, nobody reachable has it"
	default:
		w.Verdict = report.Available
		w.Reason = fmt.Sprintf("from %s: %d peers, %d bytes to fetch of %d", sp.Alias, len(published.Providers), published.ToFetch, published.NarSize)
	}
	w.Exit = w.Verdict.Exit()
	return w, nil
}

func (n *Node) whyEntry(ctx context.Context, v trust.Verified) (*report.WhyEntry, error) {
	e := &report.WhyEntry{Publication: v.Publication().String(), Signer: v.Signer().String(), NarSize: v.Entry().NarSize, Providers: []string{}}
	if info, err := n.Catalog.PublicationInfo(ctx, v.Address(), v.Publication()); err == nil {
		e.Time = info.Time
	}
	id := v.Entry().Body
	for _, r := range n.peers.serving(v.Address(), &id) {
		e.Providers = append(e.Providers, string(r.conn.Peer()))
	}
	missing, err := n.missingBytes(ctx, v)
	e.ToFetch = missing
	return e, err
}

// missingBytes is the raw size of the chunks of v that are not in the store; without its body, the whole NAR's.
func (n *Node) missingBytes(ctx context.Context, v trust.Verified) (uint64, error) {
	b, err := n.localBody(ctx, v.Entry().Body)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return v.Entry().NarSize, nil
	}
	if err != nil {
		return 0, err
	}
	var missing uint64
	for _, c := range b.body.Chunks {
		has, err := n.Store.Has(ctx, store.ChunkKey(c.ID))
		if err != nil {
			return 0, err
		}
		if !has {
			missing += uint64(c.Length)
		}
	}
	return missing, nil
}
