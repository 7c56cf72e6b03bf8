package catalog

import (
	"cmp"
	"fmt"
	"slices"
)

// totals is what is bounded: see limits.go.
type totals struct {
	publications, entries, text, uses uint64
	missing                           uint64 // uses of what is not here
}

func totalsOf(f *facts) totals {
	return totals{publications: 1, entries: f.entries, text: f.text, uses: uint64(len(f.uses))}
}

func (p *publication) totals() totals {
	t := totals{publications: 1, entries: p.entries, text: p.text, uses: uint64(len(p.uses))}
	for _, used := range p.uses {
		if !used.here() {
			t.missing++
		}
	}
	return t
}

func (t *totals) add(o totals) {
	t.publications += o.publications
	t.entries += o.entries
	t.text += o.text
	t.uses += o.uses
	t.missing += o.missing
}

func (t *totals) subtract(o totals) {
	t.publications -= o.publications
	t.entries -= o.entries
	t.text -= o.text
	t.uses -= o.uses
	t.missing -= o.missing
}

// limits are those of limits.go that tests set lower.
type limits struct {
	signer, namespace totals
	kept              int // entries of an upstream namespace
	closure           int // paths of one walk
	memo, rests       int // what Complete remembers of a namespace
}

func defaultLimits() limits {
	return limits{
		signer: totals{
			publications: MaxPublications,
			entries:      MaxSignerEntries,
			text:         MaxSignerText,
			uses:         MaxSignerUses,
			missing:      MaxSignerMissing,
		},
		namespace: totals{
			publications: MaxNamespacePublications,
			entries:      MaxNamespaceEntries,
			text:         MaxNamespacePublications * MaxSignerText / MaxPublications,
			uses:         MaxNamespacePublications * MaxSignerUses / MaxPublications,
			missing:      MaxNamespacePublications * MaxSignerMissing / MaxPublications,
		},
		kept:    MaxKept,
		closure: maxClosure,
		memo:    maxMemo,
		rests:   maxRests,
	}
}

// over returns what of t is more than allowed, or "".
func (t totals) over(allowed totals) string {
	switch {
	case t.publications > allowed.publications:
		return fmt.Sprintf("%d publications, at most %d are kept", t.publications, allowed.publications)
	case t.entries > allowed.entries:
		return fmt.Sprintf("%d entries, at most %d are kept", t.entries, allowed.entries)
	case t.text > allowed.text:
		return fmt.Sprintf("%d bytes of publications, at most %d are kept", t.text, allowed.text)
	case t.uses > allowed.uses:
		return fmt.Sprintf("%d uses, at most %d are kept", t.uses, allowed.uses)
	case t.missing > allowed.missing:
		return fmt.Sprintf("%d uses of what is not here, at most %d wait", t.missing, allowed.missing)
	}
	return ""
}

// room returns the dead publications that have to go for f to be kept within l,
// the longest dead first, or ErrLimit. What f uses does not go for f; and when
// f is dead itself, what died later does not.
func (g *graph) room(f *facts, l limits) ([]*publication, error) {
	need := totalsOf(f)
	for _, id := range f.uses {
		if used := g.pubs[id]; used == nil || !used.here() {
			need.missing++
		}
	}
	mine := totals{}
	if s := g.signers[f.signer]; s != nil {
		mine = s.has
	}
	all := g.all
	mine.add(need)
	all.add(need)
	if mine.over(l.signer) == "" && all.over(l.namespace) == "" {
		return nil, nil
	}
	var gone []*publication
	for _, p := range g.dead(f) {
		if mine.over(l.signer) == "" && all.over(l.namespace) == "" {
			break
		}
		gone = append(gone, p)
		mine.subtract(p.totals())
		all.subtract(p.totals())
	}
	for _, over := range []string{mine.over(l.signer), all.over(l.namespace)} {
		if over != "" {
			return nil, fmt.Errorf("%w: %s would have %s", ErrLimit, f.signer.Name, over)
		}
	}
	return gone, nil
}

// dead returns the publications of f's signer that may go for f: refused ones,
// then expired ones in the order of their ends.
func (g *graph) dead(f *facts) []*publication {
	used := make(map[*publication]bool, len(f.uses))
	for _, id := range f.uses {
		used[g.pubs[id]] = true
	}
	life := g.lifeOf(f)
	var dead []*publication
	for _, p := range g.pubs {
		if !p.here() || p.signer.key != f.signer || p.alive || used[p] {
			continue
		}
		expired := p.verdict == valid && p.life < life
		if p.verdict == refused || expired {
			dead = append(dead, p)
		}
	}
	slices.SortFunc(dead, func(a, b *publication) int {
		return cmp.Or(cmp.Compare(a.life, b.life), a.id.Compare(b.id))
	})
	return dead
}

// lifeOf returns how long f would live.
func (g *graph) lifeOf(f *facts) int64 {
	if place := g.pubs[f.id]; place != nil {
		return place.longest(f.expires)
	}
	return f.expires
}
