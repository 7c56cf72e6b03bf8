package node_test

import (
	"errors"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
)

// TestSkipExcluded: of roots that nobody named, those that are excluded or need what is are left out, with what only they
// need; the others are published as ever.
func TestSkipExcluded(t *testing.T) {
	w := newWorld(t)
	m := w.machine("m", node.ShareNone, nil)
	m.creates("acme-1")
	shared := m.nix.build("shared", "", 1000)
	alone := m.nix.build("alone", "", 1000)
	secret := m.nix.build("app-secrets", "", 1000, shared)
	blocked := m.nix.build("blocked", "", 1000, secret, alone)
	good := m.nix.build("good", "", 1000, shared)
	request := node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{blocked, secret, good}, Filters: node.Filters{Exclude: []string{"*-secrets"}}}

	var excluded *node.ExcludedRootError
	if _, err := m.Publish(t.Context(), m.nix, request); !errors.As(err, &excluded) {
		t.Fatalf("roots that were named: %v", err)
	}
	request.SkipExcluded = true
	r, err := m.Publish(t.Context(), m.nix, request)
	if err != nil {
		t.Fatal(err)
	}
	if r.Paths != 2 || len(r.Excluded) != 1 || len(r.Blocked) != 1 || len(r.Publications) != 1 {
		t.Errorf("%+v", r)
	}
	s, err := m.Show(t.Context(), node.ShowQuery{Alias: "acme-1", Glob: "*"})
	if err != nil || len(s.Found) != 2 {
		t.Fatalf("%+v, %v", s.Found, err)
	}
	for _, f := range s.Found {
		if f.Path != shared.String() && f.Path != good.String() {
			t.Errorf("%s is published", f.Path)
		}
	}

	request.Roots = []nix.StorePath{blocked}
	if r, err := m.Publish(t.Context(), m.nix, request); err != nil || len(r.Publications) != 0 {
		t.Errorf("nothing but what is blocked: %+v, %v", r, err)
	}
}
