package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/trust"
)

// Label says what publish does with one path of a closure, and why.
type Label byte

const (
	// Take: it is published.
	Take Label = iota
	// Have: a live publication of the namespace has it; the new one keeps that alive. What this machine built is published all the
	// same unless its key has said something of it: others may want to know that two have built it.
	Have
	// Upstream: it carries a valid signature of an upstream cache, from which users get it.
	Upstream
	// LeftOut: its name matches a leave-out filter; what needs it is published, and the hole is recorded.
	LeftOut
	// Excluded: its name matches an exclude filter, it is larger than allowed, or the namespace has retracted it.
	Excluded
	// Blocked: it refers, perhaps indirectly, to something excluded, so that nobody could substitute it.
	Blocked
)

// String is the word that people are shown.
func (l Label) String() string {
	return [...]string{"take", "have", "upstream", "left-out", "excluded", "blocked"}[l]
}

// Filters choose what of a closure is published.
type Filters struct {
	Upstream []nix.PublicKey // paths with a valid signature of one of these are left to that cache
	Exclude  []string        // globs on the name after the hash
	LeaveOut []string
	MaxSize  uint64 // largest NarSize; 0: any
}

// labelled is one path of a closure with its label.
type labelled struct {
	daemon.PathInfo
	label    Label
	why      string         // the filter that matched, or the path that blocks
	upstream nix.PublicKey  // for Upstream
	have     trust.Verified // for Have
}

// label gives every path of a closure, dependencies first, exactly one label. by is the key that it is to be published with.
func (n *Node) label(ctx context.Context, a namespace.Address, by nix.PublicKey, closure []daemon.PathInfo, f Filters) ([]labelled, error) {
	out := make([]labelled, 0, len(closure))
	bad := make(map[nix.StorePath]bool) // excluded or blocked
	for _, p := range closure {
		l, err := n.labelOne(ctx, a, by, p, f)
		if err != nil {
			return nil, err
		}
		if l.label == Take {
			for _, r := range p.References {
				if r != p.Path && bad[r] {
					l.label, l.why = Blocked, r.Base()
					break
				}
			}
		}
		if l.label == Excluded || l.label == Blocked {
			bad[p.Path] = true
		}
		out = append(out, l)
	}
	return out, nil
}

func (n *Node) labelOne(ctx context.Context, a namespace.Address, by nix.PublicKey, p daemon.PathInfo, f Filters) (labelled, error) {
	l := labelled{PathInfo: p}
	entries, err := n.Catalog.Lookup(ctx, a, p.Path.Hash())
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return l, err
	}
	again := false // this machine's build is another one's
	if p.Ultimate && len(entries) > 0 {
		builds, err := n.Catalog.Builds(ctx, a, p.Path.Hash())
		if err != nil {
			return l, err
		}
		again = !slices.ContainsFunc(builds, func(b catalog.Build) bool { return slices.Contains(b.Builders, by) })
	}
	for _, v := range entries {
		if n.whole(ctx, v) && !again {
			l.label, l.have = Have, v
			return l, nil
		}
	}
	if reason, denied := n.denied(a, p); denied {
		l.label, l.why = Excluded, fmt.Sprintf("%s retracted it: %q", a.Name(), reason)
		return l, nil
	}
	print := nix.Fingerprint(p.Path, p.NarHash, p.NarSize, p.References)
	for _, k := range f.Upstream {
		for _, s := range p.Sigs {
			if k.Verify(print, s) {
				l.label, l.upstream = Upstream, k
				return l, nil
			}
		}
	}
	if glob, ok := matches(f.LeaveOut, p.Path.Name()); ok {
		l.label, l.why = LeftOut, fmt.Sprintf("left out by %q", glob)
		return l, nil
	}
	if glob, ok := matches(f.Exclude, p.Path.Name()); ok {
		l.label, l.why = Excluded, fmt.Sprintf("excluded by %q", glob)
		return l, nil
	}
	if f.MaxSize > 0 && p.NarSize > f.MaxSize {
		l.label, l.why = Excluded, fmt.Sprintf("%d bytes, more than %d", p.NarSize, f.MaxSize)
	}
	return l, nil
}

// denied reports whether the document of a takes back this content of a path, and why: to publish it again changes nothing.
func (n *Node) denied(a namespace.Address, p daemon.PathInfo) (string, bool) {
	policy, ok := n.Catalog.Policy(a)
	if !ok {
		return "", false
	}
	d, ok := policy.Document()
	if !ok {
		return "", false
	}
	for _, x := range d.Value().Denied {
		if x.Path == p.Path.Hash() && x.NarHash == p.NarHash {
			return x.Reason, true
		}
	}
	return "", false
}

// matches reports the first glob that matches the whole name. `*` matches anything.
func matches(globs []string, name string) (string, bool) {
	for _, g := range globs {
		if ok, err := path.Match(g, strings.ReplaceAll(name, "/", "")); err == nil && ok {
			return g, true
		}
	}
	return "", false
}

// ExcludedRootError says that a path that was asked for by name cannot be published.
type ExcludedRootError struct {
	Root  nix.StorePath
	Chain []string // names from the root to what is excluded
	Why   string
}

func (e *ExcludedRootError) Error() string {
	return fmt.Sprintf("%s cannot be published: %s (%s)", e.Root, strings.Join(e.Chain, " -> "), e.Why)
}

// refuseBadRoots returns an *ExcludedRootError for the first root that is excluded or blocked.
func refuseBadRoots(roots []nix.StorePath, all []labelled) error {
	byPath := make(map[string]labelled, len(all))
	for _, l := range all {
		byPath[l.Path.Base()] = l
	}
	for _, root := range roots {
		l := byPath[root.Base()]
		if l.label != Excluded && l.label != Blocked {
			continue
		}
		e := &ExcludedRootError{Root: root}
		for l.label == Blocked {
			e.Chain = append(e.Chain, l.Path.Name())
			l = byPath[l.why]
		}
		e.Chain, e.Why = append(e.Chain, l.Path.Name()), l.why
		return e
	}
	return nil
}

// withoutBadRoots is all, dependencies first, without what only roots need that are excluded or blocked. Those themselves
// stay, to be told of.
func withoutBadRoots(roots []nix.StorePath, all []labelled) []labelled {
	needed := make(map[nix.StorePath]bool, len(all))
	for _, r := range roots {
		needed[r] = true
	}
	kept := make([]labelled, 0, len(all))
	for _, l := range slices.Backward(all) {
		bad := l.label == Excluded || l.label == Blocked
		if !needed[l.Path] && !bad {
			continue
		}
		kept = append(kept, l)
		if bad {
			continue
		}
		for _, r := range l.References {
			needed[r] = true
		}
	}
	slices.Reverse(kept)
	return kept
}
