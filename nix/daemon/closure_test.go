package daemon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/nix"
)

// base is a base name whose hash part spells i.
func base(i int) string {
	var h nix.PathHash
	h[19], h[18], h[17] = byte(i), byte(i>>8), byte(i>>16)
	return fmt.Sprintf("%s-n%d", h, i)
}

func bases(infos []PathInfo) []string {
	var list []string
	for _, info := range infos {
		list = append(list, info.Path.Base())
	}
	return list
}

func TestClosureOrder(t *testing.T) {
	// 1 -> 2 -> 4, 1 -> 3 -> 4, 3 -> 3, 5 -> 4; 6 belongs to nobody.
	graph := fakeStore{base(1): {base(2), base(3)}, base(2): {base(4)}, base(3): {base(3), base(4)}, base(4): nil, base(5): {base(4)}, base(6): nil}
	d := startFake(t, graph.play)
	s := d.open()
	path := func(i int) nix.StorePath { return storePath(t, base(i)) }
	for _, roots := range [][]nix.StorePath{{path(1), path(5)}, {path(5), path(1)}, {path(5), path(5), path(1), path(2)}} {
		infos, err := s.Closure(t.Context(), roots)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := bases(infos), []string{base(4), base(2), base(3), base(1), base(5)}; !slices.Equal(got, want) {
			t.Errorf("closure of %v is %v, want %v", roots, got, want)
		}
		if n := len(d.seen); n != 5 {
			t.Errorf("closure of %v: %d questions about 5 paths", roots, n)
		}
		for range len(d.seen) {
			<-d.seen
		}
	}
	if infos, err := s.Closure(t.Context(), nil); err != nil || len(infos) != 0 {
		t.Errorf("closure of nothing: %v, %v", infos, err)
	}
}

func TestClosureOfRandomGraphs(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		graph := fakeStore{}
		n := 1 + rng.IntN(200)
		for i := range n {
			refs := []string{}
			for range rng.IntN(4) {
				refs = append(refs, base(rng.IntN(i+1))) // itself among them
			}
			graph[base(i)] = refs
		}
		s := startFake(t, graph.play).open()
		infos, err := s.Closure(t.Context(), []nix.StorePath{storePath(t, base(n-1))})
		if err != nil {
			t.Fatal(err)
		}
		at := make(map[nix.StorePath]int)
		for i, info := range infos {
			at[info.Path] = i
			for _, ref := range info.References {
				if j, ok := at[ref]; !ok || j > i {
					t.Fatalf("%s comes before %s, which it refers to", info.Path, ref)
				}
			}
		}
		if len(at) != len(infos) || len(at) != reachable(graph, base(n-1), map[string]bool{}) {
			t.Fatalf("%d paths, %d different", len(infos), len(at))
		}
	}
}

func reachable(graph fakeStore, from string, seen map[string]bool) int {
	seen[from] = true
	for _, ref := range graph[from] {
		if !seen[ref] {
			reachable(graph, ref, seen)
		}
	}
	return len(seen)
}

// A daemon whose graph has a cycle gets no endless walk.
func TestClosureOfACycle(t *testing.T) {
	s := startFake(t, fakeStore{base(1): {base(2)}, base(2): {base(3)}, base(3): {base(1)}}.play).open()
	infos, err := s.Closure(t.Context(), []nix.StorePath{storePath(t, base(1))})
	if err != nil || len(infos) != 3 {
		t.Errorf("%v, %v", bases(infos), err)
	}
}

// A chain is as deep as it is long.
func TestClosureOfALongChain(t *testing.T) {
	graph := fakeStore{base(0): nil}
	const n = 3000
	for i := 1; i < n; i++ {
		graph[base(i)] = []string{base(i - 1)}
	}
	infos, err := startFake(t, graph.play).open().Closure(t.Context(), []nix.StorePath{storePath(t, base(n-1))})
	if err != nil || len(infos) != n || infos[0].Path.Base() != base(0) || infos[n-1].Path.Base() != base(n-1) {
		t.Errorf("%d paths, %v", len(infos), err)
	}
}

func TestClosureNamesEachRootThatIsNotValid(t *testing.T) {
	graph := fakeStore{}
	for i := range 30 {
		graph[base(i)] = nil
	}
	s := startFake(t, graph.play).open()
	var roots, want []nix.StorePath
	for i := range 60 {
		roots = append(roots, storePath(t, base(i)))
		if i >= 30 {
			want = append(want, storePath(t, base(i)))
		}
	}
	_, err := s.Closure(t.Context(), roots)
	var e *NotValidError
	if !errors.As(err, &e) || !errors.Is(err, ErrNotValid) || !slices.Equal(e.Paths, want) {
		t.Fatalf("got %v", err)
	}
	if text := err.Error(); !strings.Contains(text, want[0].String()+" ") || !strings.Contains(text, "and 20 more: not valid") {
		t.Errorf("it says %q", text)
	}
}

func TestClosureWithAReferenceThatIsNotValid(t *testing.T) {
	s := startFake(t, fakeStore{base(1): {base(2)}}.play).open()
	_, err := s.Closure(t.Context(), []nix.StorePath{storePath(t, base(1))})
	var e *NotValidError
	if !errors.As(err, &e) || len(e.Paths) != 1 || e.Paths[0].Base() != base(2) {
		t.Errorf("got %v", err)
	}
}
