package daemon

import (
	"context"
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/nix"
)

// Closure returns the roots and everything that they refer to, directly or not.
// What a path refers to comes before it, so that whoever takes the paths in
// order always has a closed set; for one set of roots the order is always the
// same. Roots that are not valid make a *NotValidError that names each of them.
func (s *Store) Closure(ctx context.Context, roots []nix.StorePath) ([]PathInfo, error) {
	roots = slices.SortedFunc(slices.Values(roots), nix.StorePath.Compare)
	roots = slices.Compact(roots)

	known := make(map[nix.StorePath]*PathInfo) // nil: asked for, no answer yet
	for wave := roots; len(wave) > 0; {
		for _, p := range wave {
			known[p] = nil
		}
		if len(known) > maxClosure {
			return nil, fmt.Errorf("closure of %s: more than %d paths", roots[0], maxClosure)
		}
		infos, err := s.pathInfos(ctx, wave)
		if err != nil {
			return nil, err
		}
		wave = nil
		for _, info := range infos {
			known[info.Path] = &info
			for _, ref := range info.References {
				if _, ok := known[ref]; !ok {
					known[ref] = nil
					wave = append(wave, ref)
				}
			}
		}
	}
	return dependenciesFirst(roots, known), nil
}

// dependenciesFirst walks the graph depth first and lists each path after what
// it refers to. The stack is ours, not the program's, since a chain may be long.
func dependenciesFirst(roots []nix.StorePath, known map[nix.StorePath]*PathInfo) []PathInfo {
	type visit struct {
		info *PathInfo
		next int // the reference to go to next
	}
	list := make([]PathInfo, 0, len(known))
	seen := make(map[nix.StorePath]bool, len(known))
	var stack []visit
	enter := func(p nix.StorePath) {
		if !seen[p] {
			seen[p] = true
			stack = append(stack, visit{info: known[p]})
		}
	}
	for _, root := range roots {
		enter(root)
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next < len(top.info.References) {
				top.next++
				enter(top.info.References[top.next-1])
				continue
			}
			list = append(list, *top.info)
			stack = stack[:len(stack)-1]
		}
	}
	return list
}
