package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// Info answers for one path in one view: "" for all namespaces in use, else an alias. The error is ErrNotHere when
// nobody has it, and anything else when the node could not find out before ctx ended.
func (n *Node) Info(ctx context.Context, view string, h nix.PathHash) (trust.Verified, error) {
	v, err := n.info(ctx, n.spaces.inUse(view), h)
	switch {
	case err != nil:
	case n.isUpstream(v.Address()):
		n.foresight.tell(v, n.Now())
	case v.Entry().HasBody():
		n.bodyAhead(ctx, v)
	}
	return v, err
}

// Absent reports, from memory and at once, that no namespace of the view lists h and that there is nobody to ask: Info
// would say ErrNotHere. False says nothing.
func (n *Node) Absent(view string, h nix.PathHash) bool {
	return n.spaces.everyInUse(view, func(sp Space, synced bool) bool {
		return (synced || sp.Publish || n.originLacks(sp, h)) && n.unlisted(sp.Address, h)
	})
}

// unlisted reports that the catalog certainly has no h in a namespace.
func (n *Node) unlisted(a namespace.Address, h nix.PathHash) bool {
	if _, known := n.Catalog.Policy(a); !known {
		return true
	}
	return n.Catalog.Absent(a, h)
}

func (n *Node) info(ctx context.Context, spaces []Space, h nix.PathHash) (trust.Verified, error) {
	v, err := n.known(ctx, spaces, h)
	if err == nil && n.confirm(ctx, v) {
		return n.known(ctx, spaces, h)
	}
	if err == nil || !errors.Is(err, ErrNotHere) {
		return v, err
	}
	if ctx.Err() != nil {
		return trust.Verified{}, err
	}
	n.askAll(ctx, n.undecided(ctx, spaces, h), h)
	return n.known(ctx, spaces, h)
}

// askAll asks the peers that serve namespaces which were never synced, and of upstream namespaces the origins and whoever may hold
// the path, all at once, and waits until one of them has h, or nobody has.
func (n *Node) askAll(ctx context.Context, spaces []Space, h nix.PathHash) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var asked []<-chan struct{}
	if open := n.unsynced(spaces); len(open) > 0 {
		peers := make(chan struct{})
		if n.tasks.Go(func(context.Context) { defer close(peers); n.ask(ctx, open, h) }) {
			asked = append(asked, peers)
		}
	}
	for _, sp := range spaces {
		if sp.Origin != "" {
			asked = append(asked, n.askOrigin(sp, h), n.askHolders(sp, h))
		}
	}
	answered, waiting := make(chan struct{}, len(asked)), 0
	for _, c := range asked {
		select {
		case <-c:
			continue
		default:
		}
		if n.tasks.Go(func(context.Context) { await(ctx, c); answered <- struct{}{} }) {
			waiting++
		}
	}
	for ; waiting > 0; waiting-- {
		if !await(ctx, answered) || n.obtainable(ctx, spaces, h) {
			return
		}
	}
}

// await waits for c, and reports whether it came before ctx ended.
func await(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

// obtainable reports whether the catalog lists h in one of spaces, and the content can be had.
func (n *Node) obtainable(ctx context.Context, spaces []Space, h nix.PathHash) bool {
	for _, sp := range spaces {
		if n.unlisted(sp.Address, h) {
			continue
		}
		found, err := n.Catalog.Lookup(ctx, sp.Address, h)
		if err == nil {
			found, err = n.agreed(ctx, sp, h, found)
		}
		if err == nil && slices.ContainsFunc(found, func(v trust.Verified) bool { return sp.gives(v.Path()) && n.available(ctx, v) }) {
			return true
		}
	}
	return false
}

// known answers from the catalog, if the content is here or somebody who may have it is connected.
func (n *Node) known(ctx context.Context, spaces []Space, h nix.PathHash) (trust.Verified, error) {
	candidates, err := n.candidates(ctx, spaces, h)
	if err != nil {
		return trust.Verified{}, err
	}
	for _, v := range candidates {
		if n.available(ctx, v) {
			return v, nil
		}
	}
	if len(candidates) == 0 {
		return trust.Verified{}, ErrNotHere
	}
	// Listed, but nobody is known to have it: look for a holder as long as the question may take, unless that was in vain a
	// moment ago.
	v := candidates[0]
	for _, other := range candidates { // nobody but its origin gives out what is of an upstream namespace
		if n.isUpstream(v.Address()) {
			v = other
		}
	}
	gone := nobodyHas(v)
	if n.peers.deserted(v.Address()) || n.isUpstream(v.Address()) {
		return trust.Verified{}, gone
	}
	n.tasks.Go(func(ctx context.Context) { n.seek(ctx, v.Address(), h) })
	for {
		changed := n.peers.changes()
		for _, v := range candidates {
			if n.available(ctx, v) {
				return v, nil
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) { // not when the asker just left
				n.peers.setDeserted(v.Address())
			}
			return trust.Verified{}, gone
		case <-changed:
		}
	}
}

func nobodyHas(v trust.Verified) error {
	return fmt.Errorf("%w: %s is published by %s, but nobody reachable has it", ErrNotHere, v.Path().Base(), v.Address().Name())
}

// candidates are the entries for h that may be given to Nix, in order of preference: what was served here before, then
// the order of namespaces, then the catalog's own order.
func (n *Node) candidates(ctx context.Context, spaces []Space, h nix.PathHash) ([]trust.Verified, error) {
	var first, rest []trust.Verified
	for _, sp := range spaces {
		entries, err := n.Catalog.Lookup(ctx, sp.Address, h)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if entries, err = n.agreed(ctx, sp, h, entries); err != nil {
			return nil, err
		}
		for _, v := range entries {
			if !sp.gives(v.Path()) {
				continue
			}
			complete, _, err := n.Catalog.Complete(ctx, v, sp.builders(), n.externPresent, n.holeFilled)
			if err != nil {
				return nil, err
			}
			if !complete {
				continue
			}
			if len(spaces) == 1 { // the catalog's order is all there is
				rest = append(rest, v)
				continue
			}
			if proven, err := n.Catalog.Proven(ctx, v); err == nil && proven {
				first = append(first, v)
			} else {
				rest = append(rest, v)
			}
		}
	}
	return append(first, rest...), nil
}

// externPresent reports whether Nix has what is signed by k from elsewhere or from here.
func (n *Node) externPresent(k nix.PublicKey) bool {
	if sp, ok := n.spaces.get(namespace.AddressOf(k)); ok && sp.Use {
		return true
	}
	for _, t := range n.settings.TrustedByNix {
		if t == k {
			return true
		}
	}
	return false
}

func (n *Node) holeFilled(p nix.StorePath) bool {
	return n.settings.HoleFilled != nil && n.settings.HoleFilled(p)
}

// available reports whether v can be given: it is whole here, or a peer is connected that serves its namespace and has
// not just said that it lacks it. What is of an upstream namespace is given by its origin, and by peers that say they have it.
func (n *Node) available(ctx context.Context, v trust.Verified) bool {
	id := v.Entry().Body
	if n.isUpstream(v.Address()) {
		return v.Entry().HasBody() && n.likelyWhole(ctx, v) || n.originHas(v) || len(n.heard(v)) > 0 || n.passing(v) != nil
	}
	return len(n.peers.serving(v.Address(), &id)) > 0 || v.Entry().HasBody() && n.likelyWhole(ctx, v) || n.originHas(v)
}

// unsynced are the namespaces whose catalog says nothing about what it lacks, since this node never held all of it.
func (n *Node) unsynced(spaces []Space) []Space {
	var out []Space
	for _, sp := range spaces {
		if _, ok := n.spaces.syncedAt(sp.Address); !ok && !sp.Publish && sp.Origin == "" {
			out = append(out, sp)
		}
	}
	return out
}

// ask puts h to the connected peers that serve the namespaces, and waits until one of them names the path, all have
// answered, or the namespaces are synced; with nobody to ask it waits for no longer than the grace after the start.
func (n *Node) ask(ctx context.Context, spaces []Space, h nix.PathHash) {
	var asked []question
	now := n.Now()
	for _, sp := range spaces {
		for _, r := range n.peers.serving(sp.Address, nil) {
			if r.breaker.allows(now) {
				asked = append(asked, question{r, sp.Address})
			}
		}
	}
	patience := n.patience(asked)
	if n.network() == nil || patience <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answered := make(chan bool, len(asked))
	for _, q := range asked {
		n.tasks.Go(func(context.Context) { answered <- n.lookup(ctx, q.of, q.about, h) })
	}
	for waiting := len(asked); ; {
		changes := n.spaces.changes()
		if len(n.unsynced(spaces)) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case found := <-answered:
			if waiting--; found || waiting == 0 && n.graceLeft() <= 0 {
				return
			}
		case <-changes:
		}
	}
}

// question is one peer to be asked about one namespace.
type question struct {
	of    *remote
	about namespace.Address
}

// patience is how long an unsynced namespace may hold up an answer: the rest of the grace after the start, and then the
// budget of the slowest that is asked, which for nobody is none. The caller's context bounds it, too.
func (n *Node) patience(asked []question) time.Duration {
	var budget time.Duration
	for _, q := range asked {
		if q.of.conn.LAN() {
			budget = max(budget, n.settings.BudgetLAN)
		} else {
			budget = max(budget, n.settings.BudgetWAN)
		}
	}
	return max(n.graceLeft(), budget)
}

// lookup asks r for h and takes in the publications that its answer names; it reports whether it named any.
func (n *Node) lookup(ctx context.Context, r *remote, a namespace.Address, h nix.PathHash) bool {
	answers, err := r.conn.Lookup(ctx, a, []nix.PathHash{h})
	n.noteAnswer(ctx, r, err)
	if isLie(err) {
		n.ban(r, err.Error())
		return false
	}
	if err != nil {
		return false
	}
	if err := checkAnswers(answers); err != nil {
		n.ban(r, err.Error())
		return false
	}
	named := false
	for _, answer := range answers {
		for _, e := range answer.Entries {
			took, err := n.takePublications(ctx, r, a, []namespace.ID{e.Publication})
			if isLie(err) {
				n.ban(r, err.Error())
				return named
			}
			named = named || took > 0 && answer.Hash == h
		}
	}
	return named
}

// noteAnswer notes whether r answers what Nix waits for. A question that was broken off since somebody else had the answer
// says nothing of it.
func (n *Node) noteAnswer(ctx context.Context, r *remote, err error) {
	switch {
	case err == nil, errors.Is(err, transfer.ErrAbsent), errors.Is(err, transfer.ErrRefused), busyFor(err) > 0:
		r.breaker.worked()
	case !errors.Is(ctx.Err(), context.Canceled):
		r.breaker.failed(n.Now())
	}
}

// checkAnswers refuses an entry that stands under another path's hash.
func checkAnswers(answers []transfer.Answer) error {
	for _, a := range answers {
		for _, e := range a.Entries {
			if e.Entry.Path.Hash() != a.Hash {
				return fmt.Errorf("answered for %s with %s", a.Hash, e.Entry.Path.Base())
			}
		}
	}
	return nil
}
