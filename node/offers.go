package node

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// CopiesRequest asks for copies of publications on other machines.
type CopiesRequest struct {
	Alias        string
	Publications []namespace.ID
	Copies       int
	// Names are what people call peers, by id. Who is named is reported also when it mirrors nothing.
	Names map[peer.ID]string
	// Patience is how long a peer may say nothing, and how long is waited for more peers when none is left to ask; 0:
	// OfferPatience.
	Patience time.Duration
	// Progress is told how far each peer is; nil: nobody is. It is called from several goroutines, never at once.
	Progress func(report.OfferProgress)
}

// MakeCopies offers publications to every peer that may be asked, as they come, until so many have given their receipts
// for all of them, or nobody is left who might. What is still wanted then is offered again in the background.
func (n *Node) MakeCopies(ctx context.Context, r CopiesRequest) (report.Copies, error) {
	sp, err := n.space(r.Alias)
	if err != nil {
		return report.Copies{}, err
	}
	if err := n.want(ctx, sp.Address, r.Copies, r.Publications); err != nil {
		return report.Copies{}, err
	}
	o := &offering{node: n, space: sp, request: r, asked: make(map[peer.ID]bool), copies: make(map[peer.ID]report.Copy), refused: make(map[peer.ID]string), have: make(map[peer.ID]uint64), moved: n.Now()}
	if r.Patience == 0 {
		o.request.Patience = OfferPatience
	}
	if r.Copies > 0 && len(r.Publications) > 0 && n.network() != nil {
		o.run(ctx)
	}
	return o.report(), ctx.Err()
}

// WantCopies has copies made in the background, as MakeCopies does for those that it could not get at once.
func (n *Node) WantCopies(ctx context.Context, alias string, copies int, ids []namespace.ID) error {
	sp, err := n.space(alias)
	if err != nil {
		return err
	}
	if err := n.want(ctx, sp.Address, copies, ids); err != nil {
		return err
	}
	select {
	case n.wishes <- struct{}{}:
	default:
	}
	return nil
}

func (n *Node) want(ctx context.Context, a namespace.Address, copies int, ids []namespace.ID) error {
	for _, id := range ids {
		if err := n.Catalog.Want(ctx, a, id, copies); err != nil {
			return err
		}
	}
	return nil
}

// offering is one call of MakeCopies.
type offering struct {
	node    *Node
	space   Space
	request CopiesRequest

	mu      sync.Mutex
	asked   map[peer.ID]bool
	copies  map[peer.ID]report.Copy // who has all of it: its last receipt
	refused map[peer.ID]string
	busy    int // peers that are being asked
	have    map[peer.ID]uint64
	moved   time.Time // when a peer last came to have more, or ended
}

// run offers to whoever is connected, and to whoever comes, until there are enough copies or nobody is left.
func (o *offering) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var peers sync.WaitGroup
	defer peers.Wait()
	defer cancel()
	ended := make(chan struct{}, 1)
	idle := time.NewTimer(o.request.Patience)
	defer idle.Stop()
	for {
		changed := o.node.peers.changes()
		for _, r := range o.node.peers.connected() {
			if !o.begin(r) {
				continue
			}
			peers.Go(func() {
				o.offerAll(ctx, r)
				select {
				case ended <- struct{}{}:
				default:
				}
			})
		}
		enough, busy := o.state()
		if enough {
			return
		}
		if busy {
			idle.Reset(o.request.Patience)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-ended:
		case <-idle.C:
			if _, busy := o.state(); !busy || o.still() {
				return
			}
		}
	}
}

// begin reports whether r is to be asked now.
func (o *offering) begin(r *remote) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := r.conn.Peer()
	if o.asked[id] || !o.node.mayAsk(r, o.space) {
		return false
	}
	o.asked[id] = true
	o.busy++
	return true
}

func (o *offering) state() (enough, busy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.copies) >= o.request.Copies, o.busy > 0
}

// still reports whether for a long time no peer came to have more: those that are left say that they will, and do not.
func (o *offering) still() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.node.Now().Sub(o.moved) > offerStill
}

// offerAll offers all publications to one peer.
func (o *offering) offerAll(ctx context.Context, r *remote) {
	id := r.conn.Peer()
	var last trust.Receipt
	why := ""
	for _, pub := range o.request.Publications {
		receipt, refused, err := o.node.offerTo(ctx, r, o.space.Address, pub, o.request.Patience, func(u transfer.OfferUpdate) { o.tell(id, u) })
		switch {
		case err != nil:
			why = reasonOf(err, o.request.Patience)
		case refused != nil:
			why = refusalWords(*refused)
		}
		if why != "" {
			break
		}
		last = receipt
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy--
	o.moved = o.node.Now()
	switch {
	case why == "":
		o.copies[id] = copyOf(last, o.name(id))
	case ctx.Err() == nil && (why != transfer.RefusedNotHosted.String() || o.request.Names[id] != ""):
		o.refused[id] = why
	}
}

func (o *offering) name(id peer.ID) string { return cmp.Or(o.request.Names[id], id.Short()) }

// tell passes on what a peer says; of those that mirror nothing, nothing.
func (o *offering) tell(id peer.ID, u transfer.OfferUpdate) {
	if u.State == transfer.OfferHave {
		o.mu.Lock()
		if u.Have != o.have[id] {
			o.have[id], o.moved = u.Have, o.node.Now()
		}
		o.mu.Unlock()
	}
	if o.request.Progress == nil || u.State == transfer.OfferQueued || u.Why == transfer.RefusedNotHosted {
		return
	}
	p := report.OfferProgress{Node: o.name(id), Peer: string(id), State: u.State.String(), Have: u.Have, Of: u.Of}
	if u.State == transfer.OfferRefused {
		p.Why = refusalWords(u)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.request.Progress(p)
}

func (o *offering) report() report.Copies {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := report.Copies{Wanted: o.request.Copies, Copies: []report.Copy{}, Refused: []report.OfferRefused{}}
	for _, one := range o.copies {
		c.Copies = append(c.Copies, one)
	}
	for id, why := range o.refused {
		c.Refused = append(c.Refused, report.OfferRefused{Node: o.name(id), Why: why})
	}
	slices.SortFunc(c.Copies, func(x, y report.Copy) int { return cmp.Or(cmp.Compare(x.Node, y.Node), cmp.Compare(x.Peer, y.Peer)) })
	slices.SortFunc(c.Refused, func(x, y report.OfferRefused) int { return cmp.Compare(x.Node, y.Node) })
	return c
}

// refusalWords are a refusal as people are told it.
func refusalWords(u transfer.OfferUpdate) string {
	words := u.Why.String()
	switch {
	case u.Why == transfer.RefusedQuota && u.Quota > 0:
		words += ", " + report.Part(u.Used, u.Quota) + " are live"
	case u.Why == transfer.RefusedByOperator && u.Text != "":
		words += ": " + transfer.Printable(u.Text)
	}
	return words
}

func reasonOf(err error, patience time.Duration) string {
	switch {
	case errors.Is(err, transfer.ErrStalled):
		return "no answer for " + patience.String()
	case errors.Is(err, transfer.ErrDisconnected):
		return "the connection broke"
	}
	return err.Error()
}

// offerTo offers one publication to r and waits until it is stored or refused. A peer that says nothing for patience has
// stalled.
func (n *Node) offerTo(ctx context.Context, r *remote, a namespace.Address, id namespace.ID, patience time.Duration, tell func(transfer.OfferUpdate)) (receipt trust.Receipt, refused *transfer.OfferUpdate, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(patience, func() { cancel(transfer.ErrStalled) })
	defer watchdog.Stop()
	var stored []byte
	err = r.conn.Offer(ctx, a, id, func(u transfer.OfferUpdate) error {
		watchdog.Reset(patience)
		switch u.State {
		case transfer.OfferStored:
			stored = u.Receipt
		case transfer.OfferRefused:
			refused = &u
		}
		tell(u)
		return nil
	})
	if err == nil && stored != nil {
		receipt, err = n.takeReceipt(ctx, r, a, id, stored)
	}
	n.peers.setSeeds(r, a, err == nil && (refused == nil || refused.Why != transfer.RefusedNotHosted))
	if isLie(err) {
		n.ban(r, err.Error())
	}
	return receipt, refused, err
}

// offerWanted offers, in the background, what wants more copies than it has: every now and then, and when a peer comes.
func (n *Node) offerWanted(ctx context.Context) {
	tried := make(map[peer.ID]time.Time)
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		busy = make(map[peer.ID]bool) // a peer that takes long holds up itself alone
	)
	defer all.Wait()
	for ctx.Err() == nil {
		met := n.peers.arrivals()
		now := n.Now()
		for _, r := range n.peers.connected() {
			id := r.conn.Peer()
			mu.Lock()
			skip := busy[id] || now.Sub(tried[id]) < offerEvery
			busy[id] = busy[id] || !skip
			mu.Unlock()
			if skip {
				continue
			}
			tried[id] = now
			all.Go(func() {
				n.offerWantedTo(ctx, r)
				mu.Lock()
				defer mu.Unlock()
				delete(busy, id)
			})
		}
		for id, at := range tried {
			if now.Sub(at) > offerEvery && n.peers.named(id) == nil {
				delete(tried, id)
			}
		}
		look := time.NewTimer(offerEvery / 10)
		select {
		case <-ctx.Done():
		case <-n.wishes:
			clear(tried)
		case <-met:
			pause(ctx, time.Second) // until it has introduced itself
		case <-look.C:
		}
		look.Stop()
	}
}

// offerWantedTo offers r what wants copies and has too few, some at a time.
func (n *Node) offerWantedTo(ctx context.Context, r *remote) {
	for _, sp := range n.spaces.all() {
		if !n.mayAsk(r, sp) {
			continue
		}
		wanted, err := n.stillWanted(ctx, sp.Address)
		if err != nil {
			n.Log.Warn("offers stopped for a while", "namespace", sp.Alias, "err", err)
			continue
		}
		todo := make([]int, len(wanted))
		for i := range todo {
			todo[i] = i
		}
		err = inParallel(ctx, offersAtOnce, todo, func(ctx context.Context, i int) error {
			_, refused, err := n.offerTo(ctx, r, sp.Address, wanted[i], OfferPatience, func(transfer.OfferUpdate) {})
			if err != nil {
				return err
			}
			if refused != nil && refused.Why == transfer.RefusedNotHosted {
				return errNotHosted
			}
			return nil
		})
		if err != nil && !errors.Is(err, errNotHosted) && ctx.Err() == nil {
			n.Log.Debug("offering failed", "namespace", sp.Alias, "peer", r.conn.Peer().Short(), "err", err)
		}
	}
}

// errNotHosted ends the offers to one peer: it mirrors nothing of the namespace.
var errNotHosted = errors.New("not hosted there")

// stillWanted are the publications of a that want more copies than there are receipts for. A wish that is fulfilled ends.
func (n *Node) stillWanted(ctx context.Context, a namespace.Address) ([]namespace.ID, error) {
	var ids []namespace.ID
	for w, err := range n.Catalog.Wanted(ctx, a) {
		if errors.Is(err, catalog.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		receipts, err := n.Catalog.Receipts(ctx, a, w.Publication)
		if err != nil {
			return nil, err
		}
		if others := n.others(receipts); len(others) < w.Copies {
			ids = append(ids, w.Publication)
		} else if err := n.Catalog.Want(ctx, a, w.Publication, 0); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// others are the receipts of other nodes.
func (n *Node) others(all []trust.Receipt) []trust.Receipt {
	network := n.network()
	if network == nil {
		return all
	}
	self := string(network.Self().ID)
	return slices.DeleteFunc(slices.Clone(all), func(r trust.Receipt) bool { return r.Seed() == self })
}
