package catalog

import (
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// TestMemoBounds: over its bounds a memo forgets rather than grows.
func TestMemoBounds(t *testing.T) {
	l := limits{memo: 3, rests: 2}
	at := moment{version: 1, losses: 1}
	yes := func(nix.PublicKey) bool { return true }
	no := func(nix.StorePath) bool { return false }
	var m closureMemo
	if _, known := m.recall(step{}, at, yes, no); known {
		t.Fatal("an empty memo knows")
	}
	nodes := func(n int) []*node {
		all := make([]*node, n)
		for i := range all {
			all[i] = &node{step: step{id: namespace.ID{byte(len(m.found) + i)}}}
		}
		return all
	}
	remember := func(n int, externs ...int) {
		r := newRests(yes, no)
		for _, x := range externs {
			r.present(signerOf(x), nix.StorePath{})
		}
		m.remember(nodes(n), at, &r, l)
	}
	remember(2)
	remember(1)
	if len(m.found) != 3 {
		t.Fatalf("%d results, want 3", len(m.found))
	}
	remember(1)
	if len(m.found) != 0 {
		t.Fatalf("%d results are over the bound", len(m.found))
	}
	remember(1, 1)
	remember(1, 2)
	if len(m.found) != 2 || len(m.rests) != 2 {
		t.Fatalf("%d results on %d answers, want 2 on 2", len(m.found), len(m.rests))
	}
	remember(1, 3)
	if len(m.found) != 0 || len(m.rests) != 0 {
		t.Fatalf("%d results on %d answers are over the bound", len(m.found), len(m.rests))
	}
	// What was found before something went is not taken.
	m.recall(step{}, moment{version: 2, losses: 2}, yes, no)
	remember(1)
	if len(m.found) != 0 {
		t.Fatal("an outdated result was taken")
	}
}
