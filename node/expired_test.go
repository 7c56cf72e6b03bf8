package node_test

import (
	"strings"
	"testing"
	"time"
)

// TestExpired: what has expired is listed in the order in which it goes, then what will.
func TestExpired(t *testing.T) {
	w := newWorld(t)
	alice := w.keeper("alice")
	a := alice.creates("acme-1")
	listed := func(want ...string) {
		t.Helper()
		e, err := alice.Expired(t.Context(), "acme-1")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range e.Publications {
			root := p.Roots[0]
			got = append(got, root[strings.LastIndex(root, "-")+1:])
			if p.Expired != (p.Place > 0) || p.NarBytes == 0 {
				t.Errorf("%+v", p)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("listed are %q, not %q", got, want)
		}
	}
	one, two := alice.nix.build("one", "1", 100_000), alice.nix.build("two", "1", 100_000)
	alice.publishesShortly("acme-1", one)
	alice.publishesShortly("acme-1", two)
	alice.publishes("acme-1", alice.nix.build("lasting", "1", 100_000))
	body := alice.contentOf(a, one)[0].ID
	w.passes(60 * time.Hour)
	if err := alice.list.Touch(t.Context(), a, body); err != nil {
		t.Fatal(err)
	}
	listed("two", "one")
	w.passes(40 * 24 * time.Hour)
	listed("two", "one")
	w.passes(25 * 24 * time.Hour)
	listed("two", "one", "lasting")
}
