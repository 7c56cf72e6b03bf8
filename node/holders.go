package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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

// hearsay is one peer's word that it has all of a path, whose NAR has that hash and body.
type hearsay struct {
	from    *remote
	narHash nix.NarHash
	body    content.BodyID
	slots   []nix.PathHash
}

// vain is until when peers are not asked for a path. barred: nor believed, since something went wrong with it.
type vain struct {
	until  time.Time
	barred bool
}

func newHolders() *holders {
	return &holders{said: make(map[nix.PathHash][]hearsay), vain: make(map[nix.PathHash]vain), asking: make(map[nix.PathHash]chan struct{}), shy: make(map[peer.ID]time.Time)}
}

// forget forgets who has h: it is here now.
func (hs *holders) forget(h nix.PathHash) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	delete(hs.said, h)
}

// add notes what a peer said. Its last word counts.
func (hs *holders) add(h nix.PathHash, one hearsay) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for old := range hs.said { // by chance: it is only asked for once more
		if len(hs.said) < hearsayPaths {
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

// reopen forgets what nobody had: somebody has come who was not asked.
func (hs *holders) reopen() {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	for h, v := range hs.vain {
		if !v.barred {
			delete(hs.vain, h)
		}
	}
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
	if !n.tasks.Go(func(ctx context.Context) { defer end(); n.learnHolders(ctx, u, who, h, end) }) {
		end()
	}
	return c
}

// learnHolders asks all of who at once, and calls found when one has it.
func (n *Node) learnHolders(ctx context.Context, u *upstream, who []*remote, h nix.PathHash, found func()) {
	ctx, cancel := context.WithTimeout(ctx, n.settings.BudgetWAN)
	defer cancel()
	var all sync.WaitGroup
	var once sync.Once
	var open atomic.Bool // somebody did not say
	for _, r := range who {
		all.Go(func() {
			has, err := n.hear(ctx, r, u, h)
			if has {
				once.Do(found)
			}
			if err != nil {
				open.Store(true)
			}
		})
	}
	all.Wait()
	if len(u.holders.of(h, n.Now())) == 0 && !open.Load() {
		u.holders.setVain(h, n.Now().Add(absentMemory), false)
	}
}

// hearSome asks r for hashes, and takes in what it says of those and of their references. It calls has for each path that r has, as soon
// as that is taken in.
func (n *Node) hearSome(ctx context.Context, r *remote, u *upstream, hashes []nix.PathHash, has func(nix.PathHash)) error {
	asking, cancel := context.WithTimeout(ctx, n.settings.BudgetWAN)
	defer cancel()
	answers, err := r.conn.Lookup(asking, u.address, hashes)
	n.noteAnswer(asking, r, err)
	if err == nil {
		if err = checkAnswers(answers); err != nil {
			err = lied(err)
		}
	}
	switch {
	case isLie(err):
		n.ban(r, err.Error())
		return err
	case errors.Is(err, transfer.ErrAbsent), errors.Is(err, transfer.ErrRefused):
		n.peers.setServes(r, u.address, false)
		u.holders.setShy(r.conn.Peer(), n.Now())
		return nil
	case err != nil:
		return err
	}
	n.peers.setServes(r, u.address, true)
	for _, answer := range answers {
		for _, e := range answer.Entries {
			usable, err := n.hearEntry(ctx, r, u, e)
			switch {
			case isLie(err):
				n.ban(r, err.Error())
				return err
			case err != nil:
				n.Log.Warn("what a peer has of an upstream namespace is not kept", "path", e.Entry.Path.Base(), "err", err)
			case usable:
				has(answer.Hash)
			}
		}
	}
	return nil
}

// hearEntry takes one entry of an answer by r: the path into the catalog, as the upstream's key signed it, and the rest as hearsay. It
// reports whether r can be asked for the content.
func (n *Node) hearEntry(ctx context.Context, r *remote, u *upstream, told transfer.LookupEntry) (usable bool, err error) {
	e := told.Entry
	if !told.Publication.IsZero() || !e.HasBody() {
		return false, nil
	}
	h, said := e.Path.Hash(), hearsay{r, e.NarHash, e.Body, e.Slots}
	have, err := n.Catalog.Lookup(ctx, u.address, h)
	switch {
	case err == nil && have[0].Entry().NarHash != e.NarHash:
		return false, nil // another build of it, perhaps signed as well: what is known here stays
	case err != nil:
		e.Body, e.Slots, e.Deriver, e.Unknown = content.BodyID{}, nil, "", nil // no signature covers them
		v, err := n.upstreamPolicy(u.address).Recall(&e, namespace.ID{}, u.address.Key())
		if err != nil {
			return false, lied(fmt.Errorf("%s: %w", e.Path.Base(), err))
		}
		if err := n.Catalog.Keep(ctx, v); err != nil {
			return false, err
		}
	}
	u.holders.add(h, said)
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
		switch {
		case one.narHash != v.Entry().NarHash || !n.peers.gives(one.from, v.Address(), one.body):
		case one.from.conn.LAN():
			near = append(near, one)
		default:
			far = append(far, one)
		}
	}
	return append(near, far...)
}

// believing is v with the body that a peer says it has.
func (n *Node) believing(v trust.Verified, said hearsay) (trust.Verified, error) {
	e := *v.Entry()
	e.Body, e.Slots = said.body, said.slots
	with, err := n.upstreamPolicy(v.Address()).Recall(&e, namespace.ID{}, v.Address().Key())
	if err != nil {
		return with, fmt.Errorf("%w: %s: %w", ErrWrongNar, e.Path.Base(), err)
	}
	return with, nil
}

// gives reports whether r is connected, answers for a, and has not just said that it lacks b.
func (p *peers) gives(r *remote, a namespace.Address, b content.BodyID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, lacks := r.absent[b]
	return p.byID[r.conn.Peer()] == r && r.serves[a] && !(lacks && p.now().Sub(t) < absentMemory)
}

// disbelieve drops the peers that named a body and slots for v which are not its content: whoever answers with one has proven it.
func (n *Node) disbelieve(v trust.Verified, lie hearsay, why error) {
	u := n.upstreams.known(v.Address())
	if u == nil {
		return
	}
	for _, one := range u.holders.of(v.Path().Hash(), n.Now()) {
		if one.body == lie.body && slices.Equal(one.slots, lie.slots) {
			n.ban(one.from, why.Error())
		}
	}
}
