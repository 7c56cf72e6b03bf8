package node

import (
	"context"
	"fmt"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// judgeUpstream says whether v, of an upstream namespace, can be had, and where.
func (n *Node) judgeUpstream(ctx context.Context, sp Space, v trust.Verified) (report.Why, error) {
	e := v.Entry()
	w := report.Why{Source: sp.Alias, Published: &report.WhyEntry{Signer: v.Signer().String(), NarSize: e.NarSize, ToFetch: e.NarSize, Providers: []string{}}}
	if e.HasBody() {
		missing, err := n.missingBytes(ctx, v)
		if err != nil {
			return w, err
		}
		w.Published.ToFetch = missing
	}
	for _, said := range n.heard(v) {
		w.Published.Providers = append(w.Published.Providers, string(said.from.conn.Peer()))
	}
	switch {
	case !sp.Use:
		w.Verdict, w.Reason = report.Untrusted, fmt.Sprintf("only %s has it, which this machine does not use", sp.Alias)
		w.Try = []string{"flurry use " + sp.Address.String()}
	case w.Published.ToFetch == 0, len(w.Published.Providers) > 0:
		w.Verdict, w.Reason = report.Available, "from "+sp.Alias
	case n.originHas(v):
		w.Verdict, w.Reason = report.FromOrigin, fmt.Sprintf("from %s (no peer has it)", shownURL(sp.Origin))
	default:
		w.Verdict, w.Reason = report.NoProvider, fmt.Sprintf("%s signed it, but neither %s gives it now nor a peer", sp.Alias, shownURL(sp.Origin))
	}
	w.Exit = w.Verdict.Exit()
	return w, nil
}

// upstreamAbsence says what is remembered of the origin of sp about a path that the catalog does not list.
func (n *Node) upstreamAbsence(sp Space, h nix.PathHash) string {
	at := shownURL(sp.Origin)
	u := n.upstreams.known(sp.Address)
	switch {
	case u == nil:
		return "not asked: this node has not asked " + at + " for anything yet"
	case u.lacks(h, n.Now()):
		return fmt.Sprintf("%s does not have it, or gave what may not be served, less than a minute ago", at)
	case u.breaker.open():
		return "not asked: " + at + " does not answer"
	}
	return "not asked: " + at + " was not asked for it in the last minute"
}
