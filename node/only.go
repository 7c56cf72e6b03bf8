package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// gives reports whether this machine takes a path of that name from the namespace. It bounds accidents: who may publish may give
// any content any name.
func (sp Space) gives(p nix.StorePath) bool {
	if len(sp.Only) == 0 {
		return true
	}
	_, ok := matches(sp.Only, p.Name())
	return ok
}

// undecided are the namespaces of which it is not known already that this machine does not take h from them: whoever has it is not
// to be asked.
func (n *Node) undecided(ctx context.Context, spaces []Space, h nix.PathHash) []Space {
	keptOut := func(sp Space) bool {
		if len(sp.Only) == 0 || n.unlisted(sp.Address, h) {
			return false
		}
		entries, err := n.Catalog.Lookup(ctx, sp.Address, h)
		return err == nil && !sp.gives(entries[0].Path())
	}
	if !slices.ContainsFunc(spaces, keptOut) {
		return spaces
	}
	return slices.DeleteFunc(slices.Clone(spaces), keptOut)
}

// whyOnly says that a path is not among those that this machine takes from sp.
func whyOnly(sp Space, p nix.StorePath) report.Why {
	return report.Why{Source: sp.Alias, Verdict: report.Only, Exit: report.Only.Exit(), Reason: fmt.Sprintf("your `only` for %s does not match the name %q", sp.Alias, p.Name()),
		Try: []string{fmt.Sprintf("flurry use %s --only GLOB        for each name that it may give; '*' for all", sp.Alias)}}
}
