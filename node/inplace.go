package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// InPlace is the part of a store that reads chunks from this machine's /nix/store. *inplace.Store is one.
type InPlace interface {
	// Place has the chunks of a body read from the files of a path.
	Place(p nix.StorePath, id content.BodyID, b *content.Body) error
	// Withdraw ends that.
	Withdraw(p nix.StorePath, id content.BodyID)
	// Placed reports whether some path has all chunks of a body.
	Placed(id content.BodyID) bool
	// Places are the paths that chunks are read from, each with every body that it has.
	Places() iter.Seq2[nix.StorePath, content.BodyID]
	// Check withdraws what is gone, and tells what was made anew.
	Check(ctx context.Context, changed func(p nix.StorePath, id content.BodyID)) error
}

// Installed tells what this machine's Nix knows. *daemon.Store is one.
type Installed interface {
	// Infos returns what is known of those of paths that are valid.
	Infos(ctx context.Context, paths []nix.StorePath) ([]daemon.PathInfo, error)
}

// places keeps content that Nix has imported from lying here twice: it is read from /nix/store, and what lies in the store
// goes with the next collection. Only what is merely used is: what is published or mirrored here was promised to others, and
// does not depend on Nix's collector.
type places struct {
	node  *Node
	given chan trust.Verified // NARs that Nix was given
	spare atomic.Int64        // raw bytes that lie in the store as well, at most

	// Of keepPlaces alone.
	waiting map[waitKey]*toPlace

	mu   sync.Mutex
	of   map[place][]namespace.Address // who listed what is placed
	lent map[place]int                 // how many copy it just now
	bad  map[nix.StorePath]bool        // is not what Nix says: until the next start
}

type waitKey struct {
	address namespace.Address
	path    nix.PathHash
}

// place is a path and what it is cut into: two namespaces may cut one path otherwise.
type place struct {
	path nix.StorePath
	body content.BodyID
}

func placeOf(v trust.Verified) place { return place{v.Path(), v.Entry().Body} }

// toPlace is a path that Nix was given and may have imported by now.
type toPlace struct {
	verified trust.Verified
	until    time.Time
	due      time.Time     // when Nix is asked next
	pause    time.Duration // after that
}

// asked notes that Nix was asked in vain: it is asked ever more seldom.
func (w *toPlace) asked(now time.Time) {
	w.pause = min(max(2*w.pause, placeEvery), placeSeldom)
	w.due = now.Add(w.pause)
}

// refresh finds out the body of what came from an origin: it is known only when all of it has come.
func (w *toPlace) refresh(ctx context.Context, c *catalog.Catalog) error {
	if w.verified.Entry().HasBody() {
		return nil
	}
	entries, err := c.Lookup(ctx, w.verified.Address(), w.verified.Path().Hash())
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	for _, v := range entries {
		if v.Entry().HasBody() && v.Entry().NarHash == w.verified.Entry().NarHash {
			w.verified = v
		}
	}
	return err
}

func newPlaces(n *Node) *places {
	return &places{node: n, given: make(chan trust.Verified, placeQueue), waiting: make(map[waitKey]*toPlace), of: make(map[place][]namespace.Address), lent: make(map[place]int), bad: make(map[nix.StorePath]bool)}
}

// expect notes that Nix was given a NAR, and will have imported it soon. What finds no room is found by the next round.
func (p *places) expect(v trust.Verified) {
	if p.node.InPlace == nil {
		return
	}
	select {
	case p.given <- v:
	default:
	}
}

// keepPlaces places what Nix has imported, and looks after what is placed, until ctx ends.
func (n *Node) keepPlaces(ctx context.Context) {
	p := n.places
	var round, check time.Time
	tick := time.NewTicker(placeEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		changed := n.spaces.changes()
		now := n.Now()
		if !now.Before(round) {
			round, check = now.Add(placeRound), now.Add(placeCheck)
			if err := p.round(ctx); err != nil {
				p.say(ctx, err)
				round = now.Add(placeCheck)
			}
		}
		if !now.Before(check) {
			check = now.Add(placeCheck)
			p.say(ctx, p.check(ctx))
		}
		select {
		case v := <-p.given:
			p.wait(v)
			continue
		case <-tick.C:
			p.say(ctx, p.placeWaiting(ctx))
		case <-changed: // and so what is merely used
			round = time.Time{}
		case <-ctx.Done():
		}
	}
}

// say logs what went wrong. That there is no Nix is nothing wrong.
func (p *places) say(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !errors.Is(err, daemon.ErrNoNix) {
		p.node.Log.Debug("what Nix has imported is not known", "err", err)
	}
}

func (p *places) wait(v trust.Verified) {
	if p.node.worthOf(v.Address()) != worthCached || len(p.waiting) >= placeQueue {
		return
	}
	p.waiting[waitKey{v.Address(), v.Path().Hash()}] = &toPlace{verified: v, until: p.node.Now().Add(placeWait)}
}

// placeWaiting places those of the given paths that are valid by now.
func (p *places) placeWaiting(ctx context.Context) error {
	if len(p.waiting) == 0 {
		return nil
	}
	var all []trust.Verified
	now := p.node.Now()
	for k, w := range p.waiting {
		if now.After(w.until) {
			delete(p.waiting, k)
			continue
		}
		if now.Before(w.due) {
			continue
		}
		w.asked(now)
		if err := w.refresh(ctx, p.node.Catalog); err != nil {
			return err
		}
		all = append(all, w.verified)
	}
	placed, err := p.place(ctx, all)
	for _, v := range placed {
		delete(p.waiting, waitKey{v.Address(), v.Path().Hash()})
	}
	return err
}

// round looks at all that is merely used and here: what is valid is placed, and what is placed and not used any more withdrawn.
func (p *places) round(ctx context.Context) error {
	n := p.node
	known := make(map[place]bool)
	for _, a := range n.Catalog.Namespaces() {
		if n.worthOf(a) != worthCached {
			continue
		}
		var some []trust.Verified
		place := func() error {
			_, err := p.place(ctx, some)
			some = some[:0]
			return err
		}
		for use, err := range n.Catalog.Bodies(ctx, a) {
			if errors.Is(err, catalog.ErrNotFound) {
				break // it was left just now
			}
			if err != nil {
				return err
			}
			v, ok, err := p.held(ctx, a, use)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			known[placeOf(v)] = true
			if some = append(some, v); len(some) == placeBatch {
				if err := place(); err != nil {
					return err
				}
			}
		}
		if err := place(); err != nil {
			return err
		}
	}
	gone := false
	for path, body := range n.InPlace.Places() {
		if at := (place{path, body}); !known[at] && p.withdraw(at) {
			gone = true
		}
	}
	if gone {
		n.bodies.forget() // some are whole no more
	}
	return nil
}

// held is what a body is used for, if that is proven and the body is here. Whether its chunks are is not asked: Nix may have
// them.
func (p *places) held(ctx context.Context, a namespace.Address, use catalog.BodyUse) (v trust.Verified, ok bool, err error) {
	n := p.node
	if has, err := n.Store.Has(ctx, store.BodyKey(use.Body)); err != nil || !has {
		return v, false, err
	}
	entries, err := n.Catalog.Lookup(ctx, a, use.Path)
	if errors.Is(err, catalog.ErrNotFound) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	for _, v := range entries {
		if v.Entry().Body == use.Body {
			return v, true, nil
		}
	}
	return v, false, nil
}

// place asks Nix about paths, and places those that are valid and what was published. It returns those that need not be asked
// about again.
func (p *places) place(ctx context.Context, all []trust.Verified) (settled []trust.Verified, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	valid, err := p.valid(ctx, all)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		info, ok := valid[v.Path()]
		if !ok {
			continue
		}
		if info.NarHash != v.Entry().NarHash {
			settled = append(settled, v) // Nix has another build of it
			continue
		}
		done, err := p.placeOne(ctx, v)
		if err != nil {
			return settled, err
		}
		if done {
			settled = append(settled, v)
		}
	}
	return settled, nil
}

// placeOne places a path that is valid with the hash that v says. It is false while that cannot be yet: its proof or its body
// comes a moment after Nix was given the NAR.
func (p *places) placeOne(ctx context.Context, v trust.Verified) (bool, error) {
	n, path := p.node, v.Path()
	if proven, err := n.Catalog.Proven(ctx, v); err != nil || !proven || !v.Entry().HasBody() {
		return false, err
	}
	if p.isBad(path) || n.InPlace.Placed(v.Entry().Body) && p.listed(v) {
		return true, nil
	}
	b, err := n.localBody(ctx, v.Entry().Body)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p.list(v)
	if err := n.InPlace.Place(path, b.id, b.body); err != nil {
		p.unlistOne(v)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		n.Log.Debug("not served in place", "path", path.Base(), "err", err)
		return true, nil
	}
	if len(b.body.Chunks) == 0 {
		return true, nil
	}
	_, twice, err := n.Store.Stored(ctx, store.ChunkKey(b.body.Chunks[0].ID))
	if twice {
		p.spare.Add(int64(b.body.Size))
	}
	return true, err
}

func (p *places) listed(v trust.Verified) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.of[placeOf(v)], v.Address())
}

func (p *places) list(v trust.Verified) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := placeOf(v); !slices.Contains(p.of[at], v.Address()) {
		p.of[at] = append(p.of[at], v.Address())
	}
}

func (p *places) unlistOne(v trust.Verified) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := placeOf(v)
	if p.of[at] = slices.DeleteFunc(p.of[at], func(a namespace.Address) bool { return a == v.Address() }); len(p.of[at]) == 0 {
		delete(p.of, at)
	}
}

func (p *places) unlist(at place) []namespace.Address {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.of[at]
	delete(p.of, at)
	return of
}

// withdraw ends the serving of what nobody copies just now, and reports whether it did.
func (p *places) withdraw(at place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent[at] > 0 {
		return false
	}
	delete(p.of, at)
	p.node.InPlace.Withdraw(at.path, at.body)
	return true
}

func (p *places) isBad(path nix.StorePath) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bad[path]
}

// check looks after what is placed: what is gone is withdrawn, of what was made anew Nix is asked whether it is what it was. As
// long as Nix does not answer it stays placed: what is read of it is verified.
func (p *places) check(ctx context.Context) error {
	n := p.node
	var changed []place
	err := n.InPlace.Check(ctx, func(path nix.StorePath, id content.BodyID) { changed = append(changed, place{path, id}) })
	if err != nil || len(changed) == 0 {
		return err
	}
	if _, err := n.Installed.Infos(ctx, []nix.StorePath{changed[0].path}); err != nil {
		return err
	}
	var all []trust.Verified
	for _, at := range changed {
		for _, a := range p.unlist(at) {
			entries, err := n.Catalog.Lookup(ctx, a, at.path.Hash())
			if err != nil && !errors.Is(err, catalog.ErrNotFound) {
				return err
			}
			for _, v := range entries {
				if placeOf(v) == at {
					all = append(all, v)
				}
			}
		}
		n.InPlace.Withdraw(at.path, at.body)
	}
	n.bodies.forget()
	if _, err := p.place(ctx, all); err != nil {
		return err
	}
	for _, v := range all {
		if !n.InPlace.Placed(v.Entry().Body) {
			n.unannounce([]namespace.Address{v.Address()}, v.Path(), v.Entry().Body)
		}
	}
	return nil
}

// LostPlace notes that a path that chunks were read from is gone, or is not what it was: this node has its content no more.
func (n *Node) LostPlace(path nix.StorePath, id content.BodyID, why error) {
	p := n.places
	of := p.unlist(place{path, id})
	n.bodies.forget() // others may have shared chunks with it
	switch {
	case errors.Is(why, fs.ErrNotExist):
		n.Log.Debug("Nix has collected what was served in place", "path", path.Base())
	case errors.Is(why, store.ErrNotFound), errors.Is(why, store.ErrCorrupt):
		n.Log.Debug("not served in place any more: its body is not here", "path", path.Base(), "err", why)
	default:
		p.mu.Lock()
		p.bad[path] = true
		p.mu.Unlock()
		n.Log.Error("a path in the Nix store is not what was imported; it is not given to others: nix-store --verify-path says more", "path", path.Base(), "err", why)
	}
	n.unannounce(of, path, id)
}

// unannounce takes back what others are told of a path that is not placed any more, unless it is here all the same.
func (n *Node) unannounce(of []namespace.Address, path nix.StorePath, id content.BodyID) {
	n.revision.Add(1)
	router := n.router()
	if router == nil {
		return
	}
	n.tasks.Go(func(ctx context.Context) {
		for _, a := range of {
			if err := n.withdrawLost(ctx, router, a, path, id); err != nil && ctx.Err() == nil {
				n.Log.Warn("what is not here any more is still announced", "path", path.Base(), "err", err)
			}
		}
	})
}

// withdrawLost takes back the announcement of a path, unless it is here all the same.
func (n *Node) withdrawLost(ctx context.Context, router dht.Router, a namespace.Address, path nix.StorePath, id content.BodyID) error {
	b, err := n.localBody(ctx, id)
	if err == nil {
		if has, err := hasAll(ctx, n.Store, b); err != nil || has {
			return err
		}
	} else if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	return router.Withdraw(ctx, dht.PathKey(a, path.Hash()))
}

// placed reports whether content of a namespace that is merely used is read from /nix/store: as long as Nix has it.
func (n *Node) placed(a namespace.Address, id content.BodyID) bool {
	return n.InPlace != nil && n.worthOf(a) == worthCached && n.InPlace.Placed(id)
}

// spareBytes is how much may lie in the store although it is read from /nix/store as well.
func (n *Node) spareBytes() int64 { return n.places.spare.Load() }

// markPlaced gives up what lies in the store of bodies that are read from /nix/store, where nothing better names it.
func (c *collection) markPlaced(ctx context.Context, ids []content.BodyID) error {
	for _, id := range ids {
		chunks, err := c.marks.chunks(ctx, id)
		if err != nil {
			return fmt.Errorf("body %s: %w", id, err)
		}
		for _, piece := range chunks {
			if err := c.marks.spare(ctx, store.ChunkKey(piece.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}
