package daemon

import (
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/nixtest"
)

// listing answers one question for all valid paths, then those about single ones.
func (f fakeStore) listing(t *testing.T, bases ...string) script {
	return func(c *fakeConn) {
		c.greet(35)
		if op, err := c.in.uint(); err != nil || operation(op) != opQueryAllValidPaths {
			t.Errorf("asked %d, %v", op, err)
		}
		var abs []string
		for _, base := range bases {
			abs = append(abs, "/nix/store/"+base)
		}
		c.send(stderrLast, abs)
		for {
			q, ok := c.question()
			if !ok {
				return
			}
			f.answer(c, q)
		}
	}
}

// TestBuiltSince: what was valid before, recipes, and what was collected meanwhile are left out.
func TestBuiltSince(t *testing.T) {
	have := fakeStore{hashA + "-a": nil, hashB + "-b": nil}
	s := startFake(t, have.listing(t, hashA+"-a", hashB+"-b", hashC+"-gone")).open()
	built, err := s.BuiltSince(t.Context(), []nix.StorePath{storePath(t, hashA+"-a")})
	if err != nil || len(built) != 1 || built[0].Path != storePath(t, hashB+"-b") {
		t.Errorf("%v, %v", bases(built), err)
	}
	recipe := fakeStore{hashB + "-b.drv": nil}
	s = startFake(t, recipe.listing(t, hashB+"-b.drv")).open()
	if built, err := s.BuiltSince(t.Context(), nil); err != nil || len(built) != 0 {
		t.Errorf("%v, %v", bases(built), err)
	}
}

// TestBuiltSinceCopied: what Nix copied here was not built here.
func TestBuiltSinceCopied(t *testing.T) {
	s := startFake(t, func(c *fakeConn) {
		c.greet(35)
		c.in.uint()
		c.send(stderrLast, []string{"/nix/store/" + hashA + "-a"})
		c.question()
		c.send(stderrLast, 1, "", hex64, []string{}, 1_700_000_000, 112, 0, []string{}, "")
		c.wait()
	}).open()
	if built, err := s.BuiltSince(t.Context(), nil); err != nil || len(built) != 0 {
		t.Errorf("%v, %v", bases(built), err)
	}
}

// TestValidPathsBounds: a broken daemon's list is an error, not a full memory or a wrong path.
func TestValidPathsBounds(t *testing.T) {
	for name, said := range map[string][]any{
		"too many":    {stderrLast, uint64(maxValid + 1)},
		"not a path":  {stderrLast, []string{"/tmp/x"}},
		"cut in two":  {stderrLast, 2, "/nix/store/" + hashA + "-a"},
		"no number":   {stderrLast},
		"of one type": {stderrLast, uint64(1 << 63)},
	} {
		lie := func(c *fakeConn) {
			c.greet(35)
			c.in.uint()
			c.send(said...)
		}
		s := startFake(t, lie, lie).open()
		if paths, err := s.ValidPaths(t.Context()); err == nil {
			t.Errorf("%s: accepted %v", name, paths)
		}
	}
}

// TestIsTrusted: what a daemon says of its client, and that an old one says nothing.
func TestIsTrusted(t *testing.T) {
	for _, test := range []struct {
		minor          int
		said           []any
		trusted, known bool
	}{
		{35, []any{"2.99", 1}, true, true},
		{35, []any{"2.99", 2}, false, true},
		{35, []any{"2.99", 0}, false, false},
		{34, []any{"2.99"}, false, false},
	} {
		s := startFake(t, func(c *fakeConn) {
			c.in.uint()
			c.send(serverMagic, major|test.minor)
			for range 3 {
				c.in.uint()
			}
			c.send(append(test.said, stderrLast)...)
			c.wait()
		}).open()
		if trusted, known, err := s.IsTrusted(t.Context()); err != nil || trusted != test.trusted || known != test.known {
			t.Errorf("%+v: %t, %t, %v", test, trusted, known, err)
		}
	}
}

// TestRealBuiltSince: the real Nix marks what it built, and knows everything that is valid.
func TestRealBuiltSince(t *testing.T) {
	s := openReal(t)
	before, err := s.ValidPaths(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := mustPath(t, nixtest.Build(t, nixtest.Chain("since", t.TempDir(), 3)))
	built, err := s.BuiltSince(t.Context(), before)
	if err != nil || !slices.ContainsFunc(built, func(i PathInfo) bool { return i.Path == root }) {
		t.Fatalf("%v, %v", bases(built), err)
	}
	for _, info := range built { // other tests may build at the same time
		if !info.Ultimate || slices.Contains(before, info.Path) {
			t.Errorf("%s", info.Path)
		}
	}
}
