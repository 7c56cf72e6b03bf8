package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/trust"
)

// builders is how many builders have to say the same of a path before this machine takes it from the namespace.
func (sp Space) builders() int {
	if sp.Origin != "" {
		return 1 // an HTTP cache has one key
	}
	return max(sp.Threshold, 1)
}

// threshold is builders as people are shown it: 0 where one is enough.
func (sp Space) threshold() int {
	if sp.builders() == 1 {
		return 0
	}
	return sp.builders()
}

// agreed are those of the entries of sp for h that as many builders say the same of as this machine wants.
func (n *Node) agreed(ctx context.Context, sp Space, h nix.PathHash, entries []trust.Verified) ([]trust.Verified, error) {
	if sp.builders() == 1 {
		return entries, nil
	}
	builds, err := n.Catalog.Builds(ctx, sp.Address, h)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(entries), func(v trust.Verified) bool { return !agree(builds, v, sp.builders()) }), nil
}

// agree reports whether as many builders as that say the same of v.
func agree(builds []catalog.Build, v trust.Verified, builders int) bool {
	return slices.ContainsFunc(builds, func(b catalog.Build) bool { return b.Of(v.Entry()) && b.Agreed(builders) })
}

// ThresholdTooHigh says why as many builders as sp wants can never agree; empty: they can, or it is not known.
func (n *Node) ThresholdTooHigh(sp Space) string {
	if sp.builders() == 1 {
		return ""
	}
	policy, ok := n.Catalog.Policy(sp.Address)
	if !ok {
		return ""
	}
	d, ok := policy.Document()
	if !ok {
		return ""
	}
	writers, word := 0, "writers"
	for _, w := range d.Value().Writers {
		if w.Until.IsZero() || w.Until.After(n.Now()) {
			writers++
		}
	}
	if sp.builders() <= 1+writers {
		return ""
	}
	if writers == 1 {
		word = "writer"
	}
	return fmt.Sprintf("%s has 1 root and %d %s; %d can never agree", sp.Alias, writers, word, sp.builders())
}

// below says that too few say the same of v; no verdict: enough do, or it is not in use.
func (n *Node) below(ctx context.Context, sp Space, v trust.Verified) (report.Why, error) {
	if !sp.Use || sp.builders() == 1 {
		return report.Why{}, nil
	}
	builds, err := n.Catalog.Builds(ctx, sp.Address, v.Path().Hash())
	if err != nil || agree(builds, v, sp.builders()) {
		return report.Why{}, err
	}
	return n.whyBelow(sp, builds), nil
}

// whyBelow says that too few say the same of a path.
func (n *Node) whyBelow(sp Space, builds []catalog.Build) report.Why {
	w := report.Why{Source: sp.Alias, Verdict: report.BelowThreshold, Exit: report.BelowThreshold.Exit()}
	w.Reason = fmt.Sprintf("%s wants %d builders to agree, ", sp.Alias, sp.builders())
	switch len(builds) {
	case 0:
		w.Reason += "and none that is known has built it"
	case 1:
		have, verb := len(builds[0].Builders), "have"
		if have == 1 {
			verb = "has"
		}
		w.Reason += fmt.Sprintf("%d %s signed: %s", have, verb, namesOf(builds[0]))
	default:
		w.Reason += "and they disagree: " + saidBy(builds)
	}
	if why := n.ThresholdTooHigh(sp); why != "" {
		w.Reason += "; " + why
	}
	return w
}

// saidBy is who says what.
func saidBy(builds []catalog.Build) string {
	said := make([]string, len(builds))
	for i, b := range builds {
		said[i] = b.NarHash.String() + " by " + namesOf(b)
	}
	return strings.Join(said, ", ")
}

// differ says who built v's path differently; empty: nobody.
func (n *Node) differ(ctx context.Context, v trust.Verified) (string, error) {
	builds, err := n.Catalog.Builds(ctx, v.Address(), v.Path().Hash())
	if err != nil || !slices.ContainsFunc(builds, func(b catalog.Build) bool { return b.NarHash != v.Entry().NarHash }) {
		return "", err
	}
	return "; builders disagree: " + saidBy(builds), nil
}

// namesOf are the builders of b.
func namesOf(b catalog.Build) string {
	names := make([]string, len(b.Builders))
	for i, k := range b.Builders {
		names[i] = k.Name
	}
	return strings.Join(names, ", ")
}
