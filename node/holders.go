package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// holders are the peers that say they hold paths of one upstream namespace, and what they said. The upstream's key signed each
// path, so that it may be told to Nix; its body and slots are hearsay until NarHash proves them. All of it is in memory, and bounded.
type holders struct {
	mu     sync.Mutex
	said   map[nix.PathHash][]hearsay
	vain   map[nix.PathHash]vain
	asking map[nix.PathHash]chan struct{} // closed when somebody has it, or nobody
	shy    map[peer.ID]time.Time          // until when a peer is not asked that shares nothing of this namespace
}

// hearsay is one peer's word that it has all of v, with that body.
type hearsay struct {
	from *remote
	v    trust.Verified
}

// vain is until when peers are not asked for a path. barred: nor believed, since something went wrong with it.
type vain struct {
	until  time.Time
	barred bool
}

func newHolders() *holders {
	return &holders{said: make(map[nix.PathHash][]hearsay), vain: make(map[nix.PathHash]vain), asking: make(map[nix.PathHash]chan struct{}), shy: make(map[peer.ID]time.Time)}
}

// add notes what a peer said. Its last word counts.
func (hs *holders) add(one hearsay) {
	h := one.v.Path().Hash()
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for old := range hs.said { // by chance: it is only asked for once more
		if len(hs.said) < upstreamInfos {
			break
		}
		delete(hs.said, old)
	}
	all := slices.DeleteFunc(slices.Clone(hs.said[h]), func(x hearsay) bool { return x.from == one.from })
	if len(all) == answerEntries {
		all = all[1:]
	}
	hs.said[h] = append(all, one)
}

// of returns what was said of h.
func (hs *holders) of(h nix.PathHash, now time.Time) []hearsay {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if v := hs.vain[h]; v.barred && now.Before(v.until) {
		return nil
	}
	return hs.said[h]
}

// setVain notes that nobody has h, or, barred, that nobody is to be believed who says so.
func (hs *holders) setVain(h nix.PathHash, until time.Time, barred bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for old := range hs.vain { // by chance: it is only asked for once more
		if len(hs.vain) < upstreamAbsent {
			break
		}
		delete(hs.vain, old)
	}
	if barred {
		delete(hs.said, h)
	}
	hs.vain[h] = vain{until, barred}
}

// wanted reports whether there is something to find out by asking for h now.
func (hs *holders) wanted(h nix.PathHash, now time.Time) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return !now.Before(hs.vain[h].until)
}

func (hs *holders) setShy(p peer.ID, now time.Time) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for id, until := range hs.shy {
		if now.After(until) {
			delete(hs.shy, id)
		}
	}
	hs.shy[p] = now.Add(pollInterval)
}

func (hs *holders) isShy(p peer.ID, now time.Time) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return now.Before(hs.shy[p])
}

// begin reports whether the caller is the one to ask for h; if not, the channel is closed when whoever does has an answer.
func (hs *holders) begin(h nix.PathHash) (chan struct{}, bool) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if c := hs.asking[h]; c != nil {
		return c, false
	}
	hs.asking[h] = make(chan struct{})
	return hs.asking[h], true
}

func (hs *holders) end(h nix.PathHash, c chan struct{}) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	delete(hs.asking, h)
	close(c)
}

// mayHold are the connected peers that may learn what is asked for in the upstream namespace sp: those on the LAN, and the seeds
// that its owner or this machine's named for it. Nobody else hears of it.
func (n *Node) mayHold(sp Space, u *upstream) []*remote {
	var named []peer.ID
	if len(sp.Peers) > 0 && !sp.nearby() && n.Named != nil {
		named = n.Named(sp.Peers)
	}
	now := n.Now()
	return slices.DeleteFunc(n.peers.connected(), func(r *remote) bool {
		id := r.conn.Peer()
		return !r.conn.LAN() && !slices.Contains(named, id) || u.holders.isShy(id, now)
	})
}

// askHolders asks peers for h, of the upstream namespace sp, unless somebody does already or it is of no use, and returns what is
// closed when one of them has it, or all have answered. The question goes on when whoever asked first has left.
func (n *Node) askHolders(sp Space, h nix.PathHash) <-chan struct{} {
	nobody := make(chan struct{})
	u := n.upstreams.of(sp)
	if u == nil || !u.holders.wanted(h, n.Now()) {
		close(nobody)
		return nobody
	}
	who := slices.DeleteFunc(n.mayHold(sp, u), func(r *remote) bool { return !r.breaker.allows(n.Now()) })
	if len(who) == 0 {
		close(nobody)
		return nobody
	}
	c, mine := u.holders.begin(h)
	if !mine {
		return c
	}
	end := sync.OnceFunc(func() { u.holders.end(h, c) })
	if !n.tasks.Go(func(ctx context.Context) { defer end(); n.learnHolders(ctx, sp, u, who, h, end) }) {
		end()
	}
	return c
}

// learnHolders asks all of who at once, for as long as the slowest of them may take, and calls found when one has it.
func (n *Node) learnHolders(ctx context.Context, sp Space, u *upstream, who []*remote, h nix.PathHash, found func()) {
	patience := n.settings.BudgetLAN
	if slices.ContainsFunc(who, func(r *remote) bool { return !r.conn.LAN() }) {
		patience = max(patience, n.settings.BudgetWAN)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all sync.WaitGroup
	var once sync.Once
	for _, r := range who {
		all.Go(func() {
			if n.hear(ctx, r, sp.Address, u, h) {
				once.Do(found)
			}
		})
	}
	all.Wait()
	if len(u.holders.of(h, n.Now())) == 0 {
		u.holders.setVain(h, n.Now().Add(absentMemory), false)
	}
}

// hear asks r for h, and takes in what it says of that and of its references; it reports whether r has h.
func (n *Node) hear(ctx context.Context, r *remote, a namespace.Address, u *upstream, h nix.PathHash) (has bool) {
	answers, err := r.conn.Lookup(ctx, a, []nix.PathHash{h})
	n.noteAnswer(ctx, r, err)
	switch {
	case isLie(err):
		n.ban(r, err.Error())
		return false
	case errors.Is(err, transfer.ErrAbsent), errors.Is(err, transfer.ErrRefused):
		n.peers.setServes(r, a, false)
		u.holders.setShy(r.conn.Peer(), n.Now())
		return false
	case err != nil:
		return false
	}
	if err := checkAnswers(answers); err != nil {
		n.ban(r, err.Error())
		return false
	}
	n.peers.setServes(r, a, true)
	for _, answer := range answers {
		for _, e := range answer.Entries {
			usable, err := n.hearEntry(ctx, r, a, u, e)
			if isLie(err) {
				n.ban(r, err.Error())
				return has
			}
			if err != nil {
				n.Log.Warn("what a peer has of an upstream namespace is not kept", "path", e.Entry.Path.Base(), "err", err)
			}
			has = has || usable && answer.Hash == h
		}
	}
	return has
}

// hearEntry takes one entry of an answer by r: the path into the catalog, as the upstream's key signed it, and the rest as hearsay. It
// reports whether r can be asked for the content.
func (n *Node) hearEntry(ctx context.Context, r *remote, a namespace.Address, u *upstream, told transfer.LookupEntry) (usable bool, err error) {
	e := told.Entry
	if !told.Publication.IsZero() || !e.HasBody() {
		return false, nil
	}
	e.Deriver, e.Unknown = "", nil // no signature covers them
	policy := n.upstreamPolicy(a)
	v, err := policy.Recall(&e, namespace.ID{}, a.Key())
	if err != nil {
		return false, lied(fmt.Errorf("%s: %w", e.Path.Base(), err))
	}
	have, err := n.Catalog.Lookup(ctx, a, e.Path.Hash())
	switch {
	case err == nil && have[0].Entry().NarHash != e.NarHash:
		return false, nil // another build of it, signed as well: what is known here stays
	case err != nil:
		bare := e
		bare.Body, bare.Slots = content.BodyID{}, nil
		known, err := policy.Recall(&bare, namespace.ID{}, a.Key())
		if err != nil {
			return false, err
		}
		if err := n.Catalog.Keep(ctx, known); err != nil {
			return false, err
		}
	}
	u.holders.add(hearsay{r, v})
	return true, nil
}

// heard is what connected peers say of v: that they have it, and with which body; nearby ones first.
func (n *Node) heard(v trust.Verified) []hearsay {
	u := n.upstreams.known(v.Address())
	if u == nil {
		return nil
	}
	var near, far []hearsay
	for _, one := range u.holders.of(v.Path().Hash(), n.Now()) {
		e := one.v.Entry()
		switch {
		case e.NarHash != v.Entry().NarHash || e.NarSize != v.Entry().NarSize || !n.peers.gives(one.from, v.Address(), e.Body):
		case one.from.conn.LAN():
			near = append(near, one)
		default:
			far = append(far, one)
		}
	}
	return append(near, far...)
}

// gives reports whether r is connected, answers for a, and has not just said that it lacks b.
func (p *peers) gives(r *remote, a namespace.Address, b content.BodyID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, lacks := r.absent[b]
	return p.byID[r.conn.Peer()] == r && r.serves[a] && !(lacks && p.now().Sub(t) < absentMemory)
}

// disbelieve drops the peers that named a body and slots for v which are not its content: whoever answers with one has proven it.
func (n *Node) disbelieve(v trust.Verified, why error) {
	u := n.upstreams.known(v.Address())
	if u == nil {
		return
	}
	e := v.Entry()
	for _, one := range u.holders.of(v.Path().Hash(), n.Now()) {
		if said := one.v.Entry(); said.Body == e.Body && slices.Equal(said.Slots, e.Slots) {
			n.ban(one.from, why.Error())
		}
	}
}
