package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// bodyAhead begins to fetch the body of v, since Nix, having been told of the path, asks for its NAR next.
func (n *Node) bodyAhead(ctx context.Context, v trust.Verified) {
	id := v.Entry().Body
	if n.bodies.get(id) != nil {
		return
	}
	if has, err := n.Store.Has(ctx, store.BodyKey(id)); err != nil || has {
		return
	}
	if f, mine := n.flights.begin(id, aheadAtOnce); mine {
		n.fly(f, v)
	}
}

// foresight knows which NARs of upstream namespaces Nix will ask for. It asks for the narinfos of all that it wants at first, and
// then for the NARs, of a path after those of its references, a few at a time. So, when it has begun to ask for NARs, those that
// come next are fetched while it is busy with what it has; before that nothing is, since whoever only wants to know what is
// there asks for narinfos as well.
type foresight struct {
	mu         sync.Mutex
	told       map[throughKey]told // which Nix has been told of, and whose NARs it has not asked for
	order      []throughKey        // in which it was told, and some that are not in told any more
	references int                 // of those in told, together
	going      map[throughKey]*going
	last       time.Time // when Nix asked for something
}

// told is a path that Nix was told of.
type told struct {
	v     trust.Verified
	since time.Time
}

// going is a NAR that was or is fetched ahead, and that Nix has not asked for.
type going struct {
	bytes   int64
	since   time.Time
	arrived bool
}

func newForesight() *foresight {
	return &foresight{told: make(map[throughKey]told), going: make(map[throughKey]*going)}
}

// tell notes that Nix was told of v.
func (f *foresight) tell(v trust.Verified, now time.Time) {
	key := throughKey{v.Address(), v.Path().Hash()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at(now)
	_, known := f.told[key]
	references := len(v.Entry().References)
	if known || f.going[key] != nil || len(f.order) == aheadTold || f.references+references > aheadReferences {
		return
	}
	f.told[key], f.order, f.references = told{v, now}, append(f.order, key), f.references+references
}

// at forgets everything when Nix has not asked for anything for a while: it was stopped, or has all that it wants. It is called with mu held.
func (f *foresight) at(now time.Time) {
	if now.Sub(f.last).Abs() > aheadMemory {
		f.told, f.order, f.references, f.going = make(map[throughKey]told), nil, 0, make(map[throughKey]*going)
	}
	f.last = now
}

// asked notes that Nix asks for the NAR of v.
func (f *foresight) asked(v trust.Verified, now time.Time) {
	key := throughKey{v.Address(), v.Path().Hash()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at(now)
	f.leave(key)
	delete(f.going, key)
}

// leave takes key out of told. It is called with mu held.
func (f *foresight) leave(key throughKey) {
	if t, ok := f.told[key]; ok {
		delete(f.told, key)
		f.references -= len(t.v.Entry().References)
	}
}

// next takes what Nix will ask for next, if there is room for it: of which all references were asked for, or are on their way.
func (f *foresight) next(now time.Time) (v trust.Verified, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tidy(now)
	atOnce, bytes := 0, int64(0)
	for _, g := range f.going {
		bytes += g.bytes
		if !g.arrived {
			atOnce++
		}
	}
	if atOnce >= aheadNars {
		return v, false
	}
	for _, key := range f.order {
		v := f.told[key].v
		if size := int64(v.Entry().NarSize); bytes+size <= aheadBytes && f.ready(v) {
			f.leave(key)
			f.going[key] = &going{bytes: size, since: now}
			return v, true
		}
	}
	return v, false
}

// tidy forgets what Nix was told of and did not ask for in a long time, though it asked for others. It is called with mu held.
func (f *foresight) tidy(now time.Time) {
	f.order = slices.DeleteFunc(f.order, func(key throughKey) bool {
		t, there := f.told[key]
		if there && now.Sub(t.since) > aheadStale {
			f.leave(key)
		}
		return !there || now.Sub(t.since) > aheadStale
	})
	for key, g := range f.going {
		if g.arrived && now.Sub(g.since) > aheadStale {
			delete(f.going, key)
		}
	}
}

// ready reports whether nothing that v refers to comes before it. It is called with mu held.
func (f *foresight) ready(v trust.Verified) bool {
	return !slices.ContainsFunc(v.Entry().References, func(r nix.StorePath) bool {
		_, waits := f.told[throughKey{v.Address(), r.Hash()}]
		return waits && r != v.Path()
	})
}

// arrive notes that the NAR of key came, or does not come, and reports whether it was one that was fetched ahead.
func (f *foresight) arrive(key throughKey, came bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.going[key]
	switch {
	case g == nil:
		return false // Nix asked for it
	case came:
		g.arrived = true
	default:
		delete(f.going, key)
	}
	return true
}

// narAsked notes that Nix asks for the NAR of v, and fetches what it will ask for next.
func (n *Node) narAsked(v trust.Verified) {
	n.foresight.asked(v, n.Now())
	n.tasks.Go(n.narsAhead)
}

// narsAhead begins to fetch NARs that Nix will ask for, as far as there is room to put them aside.
func (n *Node) narsAhead(ctx context.Context) {
	for ctx.Err() == nil && n.scratches.ample() {
		v, ok := n.foresight.next(n.Now())
		if !ok {
			return
		}
		if n.has(ctx, v) || n.passing(v) != nil || !n.originHas(v) {
			n.foresight.arrive(throughKey{v.Address(), v.Path().Hash()}, false)
			continue
		}
		if _, err := n.pullThrough(v, false); err != nil {
			return
		}
	}
}

// arrived notes that the NAR of key came, or does not come, and fetches what comes after it.
func (n *Node) arrived(key throughKey, came bool) {
	if n.foresight.arrive(key, came) {
		n.tasks.Go(n.narsAhead)
	}
}

// has reports whether the NAR of v is here by now, also if it was not when v was looked up.
func (n *Node) has(ctx context.Context, v trust.Verified) bool {
	entries, err := n.Catalog.Lookup(ctx, v.Address(), v.Path().Hash())
	return err == nil && slices.ContainsFunc(entries, func(now trust.Verified) bool {
		return now.Entry().NarHash == v.Entry().NarHash && now.Entry().HasBody() && n.whole(ctx, now)
	})
}
