package node

import (
	"context"
	"errors"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// ShowQuery says how much of a namespace is wanted beyond its card.
type ShowQuery struct {
	Alias        string
	Glob         string // paths whose name matches; empty: none
	Publications bool
	Writers      bool
	Document     bool
	Revoked      bool
	Most         int // paths and publications at the most
}

// Show says what is known of a namespace.
func (n *Node) Show(ctx context.Context, q ShowQuery) (report.Show, error) {
	sp, err := n.space(q.Alias)
	if err != nil {
		return report.Show{}, err
	}
	stats := n.Catalog.Stats(sp.Address)
	s := report.Show{Schema: "flurry/show/1", Alias: sp.Alias, Address: sp.Address.String(), Trusted: sp.Use, Only: sp.Only, Threshold: sp.threshold(), Publisher: sp.Publish,
		Serial: stats.Serial, Paths: stats.Paths, Publications: stats.Publications, NarBytes: stats.NarBytes, Serving: []string{}}
	if t, ok := n.spaces.syncedAt(sp.Address); ok {
		s.Synced = &t
	}
	for _, r := range n.peers.serving(sp.Address, nil) {
		s.Serving = append(s.Serving, string(r.conn.Peer()))
	}
	if network := n.network(); network != nil && sp.Publish {
		s.Listen = network.Self().Addrs
	}
	s.Problems = n.documentProblems(sp, stats)
	n.showDocument(ctx, sp, q, &s)
	if q.Glob != "" {
		if err := n.showPaths(ctx, sp, q, &s); err != nil {
			return s, err
		}
	}
	if q.Publications {
		return s, n.showPublications(ctx, sp, q, &s)
	}
	return s, nil
}

func (n *Node) showDocument(ctx context.Context, sp Space, q ShowQuery, s *report.Show) {
	policy, ok := n.Catalog.Policy(sp.Address)
	if !ok {
		return
	}
	d, ok := policy.Document()
	if !ok {
		return
	}
	v := d.Value()
	expires := v.Expires
	s.About, s.Expires, s.Seeds = v.About, &expires, v.Seeds
	if q.Document {
		s.Document = string(d.Raw())
		if _, rival, err := n.Catalog.Documents(ctx, sp.Address); err == nil {
			s.Rival = string(rival)
		}
	}
	if q.Revoked {
		s.Revoked = revoked(v)
	}
	if !q.Writers {
		return
	}
	s.Writers = []report.Writer{{Name: "(root)", Key: sp.Address.String()}}
	for _, w := range v.Writers {
		one := report.Writer{Name: w.Key.Name, Key: w.Key.String()}
		if !w.Until.IsZero() {
			until := w.Until
			one.Until = &until
		}
		s.Writers = append(s.Writers, one)
	}
}

func (n *Node) showPaths(ctx context.Context, sp Space, q ShowQuery, s *report.Show) error {
	s.Found = []report.ShowPath{}
	for v, err := range n.Catalog.Entries(ctx, sp.Address, q.Glob) {
		if err != nil {
			return err
		}
		if q.Most > 0 && len(s.Found) == q.Most {
			break
		}
		s.Found = append(s.Found, report.ShowPath{Path: v.Path().String(), NarSize: v.Entry().NarSize, Signer: v.Signer().Name,
			Publication: v.Publication().Short(), Held: n.whole(ctx, v)})
	}
	return nil
}

func (n *Node) showPublications(ctx context.Context, sp Space, q ShowQuery, s *report.Show) error {
	s.Acts = []report.Publication{}
	for p, err := range n.Catalog.Publications(ctx, sp.Address) {
		if err != nil {
			return err
		}
		if q.Most > 0 && len(s.Acts) == q.Most {
			break
		}
		act := report.Publication{ID: p.ID.String(), Signer: p.Signer.Name, Time: p.Time, Expires: p.Expires, Entries: p.Entries, Standing: standing(p.Standing), Roots: []string{}}
		for _, r := range p.Roots {
			act.Roots = append(act.Roots, r.String())
		}
		s.Acts = append(s.Acts, act)
	}
	return nil
}

// standing is what a publication counts for, in a word: the reason where it is refused.
func standing(s trust.Standing) string {
	var refusal *trust.Refusal
	switch {
	case s.State == trust.Live:
		return "live"
	case s.State == trust.Held:
		return "held"
	case s.State == trust.Expired:
		return "expired"
	case s.State == trust.Frozen:
		return "frozen"
	case errors.As(s.Err, &refusal):
		return string(refusal.Why)
	}
	return "refused"
}

// revoked is what a document takes back, for people.
func revoked(d *namespace.Document) []report.Revoked {
	out := []report.Revoked{}
	for _, c := range d.Closed {
		r := report.Revoked{Kind: "writer", What: c.Key.String(), Reason: "all but " + c.Keep.Short() + " is void"}
		if c.None {
			r.Reason = "all of it is void"
		}
		out = append(out, r)
	}
	for _, w := range d.Withdrawn {
		out = append(out, report.Revoked{Kind: "publication", What: w.Publication.String(), Reason: w.Reason})
	}
	for _, x := range d.Denied {
		out = append(out, report.Revoked{Kind: "path", What: x.Path.String(), Reason: x.Reason})
	}
	return out
}
