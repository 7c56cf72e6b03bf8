package catalog

import (
	"cmp"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// publication is what memory holds of one: its facts, its place among those that
// use each other, and how it stands. Times are seconds since 1970.
type publication struct {
	id            namespace.ID
	signer        *signer // nil: another one uses it, but it is not here
	time, expires int64
	received      int64
	entries, text uint64
	nar           uint64

	uses  []*publication
	users []*publication // those here that use it

	verdict verdict
	life    int64  // latest expiry among itself and its users, transitively; 0 unless valid
	alive   bool   // valid, and life is not over
	quiet   bool   // nobody is told of it: see AddUnlisted
	told    bool   // alive, and not quiet: in the set and in the order of arrival
	arrival uint64 // its number in the order of arrival, when told
	alarm   int64  // when the timeline looks at it next; 0: never
}

// verdict is what the policy says of a publication, its expiry apart.
type verdict byte

const (
	refused verdict = iota // withdrawn, voided by closing its writer, …
	frozen                 // dated after the document's expiry
	held                   // dated too far ahead
	valid                  // counts while it lives
)

func (p *publication) here() bool { return p.signer != nil }

// signer is one key's share of a namespace.
type signer struct {
	key nix.PublicKey
	has totals
}

// graph is the publications of one namespace and how they stand at one moment.
//
// A valid publication lives until the latest expiry among itself and those that
// use it, transitively, the path leading through valid ones alone: what was
// withdrawn keeps nothing alive. Hence a life only grows while the policy stays
// and time goes on, each change is carried down from user to used until nothing
// grows, and cycles end by themselves.
//
// graph does no I/O and knows no clock; its owner locks.
type graph struct {
	judge func(p *publication, now int64) (v verdict, until int64) // until: when held ends
	now   int64                                                    // of the last judgement

	pubs    map[namespace.ID]*publication
	signers map[nix.PublicKey]*signer
	all     totals

	line   timeline
	living int      // how many are alive
	set    idSet    // of those that others are told of
	order  arrivals // of the same

	version uint64 // grows when what is alive changes
	losses  uint64 // grows when something stops being alive
}

func newGraph(judge func(*publication, int64) (verdict, int64)) *graph {
	return &graph{
		judge:   judge,
		pubs:    make(map[namespace.ID]*publication),
		signers: make(map[nix.PublicKey]*signer),
	}
}

// insert adds a publication that is not here yet, without judging it.
func (g *graph) insert(f *facts) *publication {
	p := g.pubs[f.id]
	if p == nil {
		p = &publication{id: f.id}
		g.pubs[f.id] = p
	}
	p.signer = g.signer(f.signer)
	p.time, p.expires, p.received = f.time, f.expires, f.received
	p.entries, p.text, p.nar = f.entries, f.text, f.nar
	for _, user := range p.users {
		user.signer.has.missing--
		g.all.missing--
	}
	p.uses = make([]*publication, len(f.uses))
	for i, id := range f.uses {
		used := g.pubs[id]
		if used == nil {
			used = &publication{id: id}
			g.pubs[id] = used
		}
		p.uses[i] = used
		used.users = append(used.users, p)
	}
	t := p.totals()
	p.signer.has.add(t)
	g.all.add(t)
	return p
}

func (g *graph) signer(k nix.PublicKey) *signer {
	s := g.signers[k]
	if s == nil {
		s = &signer{key: k}
		g.signers[k] = s
	}
	return s
}

// remove takes away a publication that is not alive. Where others use it, its
// place stays.
func (g *graph) remove(p *publication) {
	p.verdict, p.life, p.alarm = refused, 0, 0
	g.refresh(p)
	t := p.totals()
	p.signer.has.subtract(t)
	g.all.subtract(t)
	for _, used := range p.uses {
		used.users = slices.DeleteFunc(used.users, func(u *publication) bool { return u == p })
		g.prune(used)
	}
	if p.signer.has.publications == 0 {
		delete(g.signers, p.signer.key)
	}
	p.signer, p.uses, p.quiet, p.received = nil, nil, false, 0
	for _, user := range p.users {
		user.signer.has.missing++
		g.all.missing++
	}
	g.prune(p)
}

// prune forgets the place of a publication that is not here and that nobody
// uses.
func (g *graph) prune(p *publication) {
	if !p.here() && len(p.users) == 0 {
		delete(g.pubs, p.id)
	}
}

// settle judges one publication and carries its life on.
func (g *graph) settle(p *publication) {
	var until int64
	p.verdict, until = g.judge(p, g.now)
	switch p.verdict {
	case held:
		g.line.watch(p, max(until, g.now+1))
	case valid:
		g.extend(p, p.longest(p.expires))
	}
}

// longest returns the latest of own and the lives of p's users.
func (p *publication) longest(own int64) int64 {
	for _, user := range p.users {
		own = max(own, user.life) // 0 unless valid
	}
	return own
}

// extend gives a valid publication at least that life, and with it all valid
// ones that it uses.
func (g *graph) extend(p *publication, life int64) {
	if life <= p.life {
		return
	}
	p.life = life
	for todo := []*publication{p}; len(todo) > 0; {
		p, todo = todo[len(todo)-1], todo[:len(todo)-1]
		g.refresh(p)
		for _, used := range p.uses {
			if used.verdict == valid && used.life < p.life {
				used.life = p.life
				todo = append(todo, used)
			}
		}
	}
}

// refresh makes alive follow from verdict and life, and everything that is kept
// of what is alive follow from that.
func (g *graph) refresh(p *publication) {
	alive := p.verdict == valid && p.life > g.now
	if alive {
		g.line.watch(p, p.life)
	}
	changed := alive != p.alive
	p.alive = alive
	switch {
	case changed && alive:
		g.living++
	case changed:
		g.living--
		g.losses++
	}
	if g.tell(p) || changed {
		g.version++
	}
}

// tell makes the set and the order of arrival follow from alive and quiet, and
// reports whether they changed.
func (g *graph) tell(p *publication) bool {
	told := p.alive && !p.quiet
	if told == p.told {
		return false
	}
	p.told = told
	if told {
		g.set.insert(p.id)
		g.order.append(p)
	} else {
		g.set.remove(p.id)
		g.order.drop()
	}
	return true
}

// advance moves time forward. What became due appears, what has expired goes.
func (g *graph) advance(now int64) {
	g.now = max(g.now, now)
	for {
		p := g.line.next(g.now)
		switch {
		case p == nil:
			return
		case p.verdict == held:
			g.settle(p)
		default:
			g.refresh(p)
		}
	}
}

// reassess judges everything anew: under another policy, or at another time,
// before or after the last. Whatever is alive before and after keeps its place
// in the order of arrival.
func (g *graph) reassess(now int64) {
	g.now = now
	g.line = timeline{}
	var counted []*publication
	for _, p := range g.pubs {
		p.life, p.alarm = 0, 0
		if !p.here() {
			continue
		}
		var until int64
		switch p.verdict, until = g.judge(p, now); p.verdict {
		case held:
			g.line.watch(p, max(until, now+1))
		case valid:
			counted = append(counted, p)
		}
	}
	// The longest life first: each publication is given its own once.
	slices.SortFunc(counted, func(a, b *publication) int { return cmp.Compare(b.expires, a.expires) })
	for _, p := range counted {
		flood(p, p.expires)
	}
	g.refreshAll()
}

// flood gives life to p and to what it uses where there is none yet.
func flood(p *publication, life int64) {
	if p.life != 0 {
		return
	}
	p.life = life
	for todo := []*publication{p}; len(todo) > 0; {
		p, todo = todo[len(todo)-1], todo[:len(todo)-1]
		for _, used := range p.uses {
			if used.verdict == valid && used.life == 0 {
				used.life = life
				todo = append(todo, used)
			}
		}
	}
}

// refreshAll refreshes everything, the oldest first, so that what appears now
// is passed on in an order that mostly has dependencies before their users.
func (g *graph) refreshAll() {
	all := make([]*publication, 0, len(g.pubs))
	for _, p := range g.pubs {
		if p.here() {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *publication) int {
		return cmp.Or(cmp.Compare(a.time, b.time), a.id.Compare(b.id))
	})
	g.set.close()
	var told []namespace.ID
	for _, p := range all {
		g.refresh(p)
		if p.told {
			told = append(told, p.id)
		}
	}
	g.set.fill(told)
}
