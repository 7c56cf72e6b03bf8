package node

import (
	"context"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// expiresNext is how far ahead Expired looks.
const expiresNext = 30 * 24 * time.Hour

// Expired lists what of a namespace would go first when room is needed here, in that order: what has expired, the one that was
// asked for longest ago first, then what will expire within expiresNext and no pin has renewed.
func (n *Node) Expired(ctx context.Context, alias string) (report.Expired, error) {
	sp, err := n.space(alias)
	if err != nil {
		return report.Expired{}, err
	}
	out := report.Expired{Schema: "flurry/expired/1", Alias: sp.Alias, Publications: []report.ExpiredPublication{}}
	s, err := n.survey(ctx, sp.Address)
	if err != nil {
		return out, err
	}
	place := make(map[namespace.ID]int)
	asked := make(map[namespace.ID]time.Time)
	for i, c := range s.claims {
		place[c.publication], asked[c.publication] = i+1, c.asked
	}
	now := n.Now()
	var gone, due []report.ExpiredPublication
	for info, err := range n.Catalog.Publications(ctx, sp.Address) {
		if err != nil {
			return out, err
		}
		p := report.ExpiredPublication{ID: info.ID.String(), Signer: info.Signer.Name, Roots: []string{}, Ends: info.Expires, NarBytes: info.NarBytes}
		for _, root := range info.Roots {
			p.Roots = append(p.Roots, root.String())
		}
		if at := asked[info.ID]; !at.IsZero() {
			p.Asked = &at
		}
		switch {
		case info.Entries == 0:
		case info.Standing.State == trust.Expired:
			p.Expired, p.Place = true, place[info.ID]
			gone = append(gone, p)
		case info.Standing.State == trust.Live && info.Lives.Sub(now) < expiresNext:
			p.Ends = info.Lives
			due = append(due, p)
		}
	}
	// What has no place yet expired less than expiredGrace ago.
	slices.SortStableFunc(gone, func(a, b report.ExpiredPublication) int {
		if (a.Place == 0) != (b.Place == 0) {
			return b.Place - a.Place
		}
		return a.Place - b.Place
	})
	slices.SortStableFunc(due, func(a, b report.ExpiredPublication) int { return a.Ends.Compare(b.Ends) })
	out.Publications = append(append(out.Publications, gone...), due...)
	return out, nil
}
