package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// publicationKey is one publication of one namespace.
type publicationKey struct {
	address namespace.Address
	id      namespace.ID
}

// pulls is what this node knows of publications that are not in its catalog: which are being fetched, so that what several
// peers name is fetched from one of them, and which it may not take now, so that they are not fetched over and over.
type pulls struct {
	mu      sync.Mutex
	running map[publicationKey]chan struct{} // closed when the fetch is over
	parked  map[publicationKey]parked
}

// parked says why a publication was not taken: under this document, at this time. Under another document, or after a
// while (a bound may have room again), it is asked for anew. Its text is not kept: whoever named it still has it.
type parked struct {
	document namespace.ID
	until    time.Time
}

func newPulls() *pulls {
	return &pulls{running: make(map[publicationKey]chan struct{}), parked: make(map[publicationKey]parked)}
}

// start reports whether the caller is the one to fetch k; if not, the channel is closed when whoever does is done.
func (p *pulls) start(k publicationKey) (<-chan struct{}, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.running[k]; c != nil {
		return c, false
	}
	p.running[k] = make(chan struct{})
	return nil, true
}

func (p *pulls) end(k publicationKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.running[k])
	delete(p.running, k)
}

// park notes that k was not taken under a document.
func (p *pulls) park(k publicationKey, document namespace.ID, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for old, q := range p.parked {
		if len(p.parked) < parkedMost && now.Before(q.until) {
			break
		}
		delete(p.parked, old) // any: it is only asked for once more
	}
	p.parked[k] = parked{document, now.Add(recompareEvery)}
}

func (p *pulls) isParked(k publicationKey, document namespace.ID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	q, ok := p.parked[k]
	return ok && q.document == document && now.Before(q.until)
}

// pull is one taking in of what one peer names. It goes in waves: while one is added, the next one is fetched.
type pull struct {
	node     *Node
	from     *remote
	address  namespace.Address
	verifier *trust.Verifier
	document namespace.ID // in force when it began

	queue []namespace.ID
	named int // how many ids were asked for at first
	took  int
}

// wave is some publications that are fetched and added together.
type wave struct {
	ids []namespace.ID

	pubs []trust.Publication // what came, verified
	left []namespace.ID      // what there was no room for in memory

	results []catalog.AddResult // of pubs
	err     error               // why they could not be added
	added   chan struct{}       // closed when results and err say
}

// errVain says that a peer named so much that this node may not take that the rest has to wait.
var errVain = errors.New("the peer names publications that may not be taken here")

// takePublications fetches those of ids that are not here, and what they use, verifies and adds them; it returns how many
// were new. What was taken stays taken whatever the error is.
func (n *Node) takePublications(ctx context.Context, r *remote, a namespace.Address, ids []namespace.ID) (int, error) {
	policy, ok := n.Catalog.Policy(a)
	if !ok || len(ids) == 0 {
		return 0, nil // without a document nothing is accepted
	}
	p := &pull{node: n, from: r, address: a, verifier: policy.NewVerifier(), queue: ids, named: len(ids)}
	if d, ok := policy.Document(); ok {
		p.document = d.ID()
	}
	err := p.run(ctx)
	return p.took, err
}

func (p *pull) run(ctx context.Context) error {
	var before *wave // it is being added
	for {
		w, others, err := p.next(ctx)
		if err == nil {
			err = p.fetch(ctx, w)
		}
		if before != nil {
			err = errors.Join(err, p.finish(before))
			before = nil
		}
		if len(w.ids) > 0 {
			before = w
			p.add(ctx, w)
		}
		switch {
		case err != nil:
			if before != nil {
				err = errors.Join(err, p.finish(before))
			}
			return err
		case before != nil || p.more() && others == nil:
		case !p.more():
			return nil
		default: // all that is left is being fetched from other peers
			select {
			case <-others:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func (p *pull) more() bool { return len(p.queue) > 0 && p.took < p.named+maxParkedFetch }

// next takes from the queue what is to be fetched now, perhaps nothing. What other pulls fetch stays in it, to be looked at
// again; others is closed when one of them is done.
func (p *pull) next(ctx context.Context) (w *wave, others <-chan struct{}, err error) {
	w = &wave{added: make(chan struct{})}
	if !p.more() {
		return w, nil, nil
	}
	var later []namespace.ID
	for len(p.queue) > 0 && len(w.ids) < publicationsAtOnce {
		id := p.queue[0]
		p.queue = p.queue[1:]
		k := publicationKey{p.address, id}
		known, err := p.node.knows(ctx, p.address, id)
		if err != nil {
			return w, nil, err
		}
		if known || p.node.pulls.isParked(k, p.document, p.node.Now()) {
			continue
		}
		running, mine := p.node.pulls.start(k)
		if !mine {
			later, others = append(later, id), running
			continue
		}
		w.ids = append(w.ids, id)
	}
	p.queue = append(later, p.queue...)
	return w, others, nil
}

// fetch fetches and verifies a wave, several at a time.
func (p *pull) fetch(ctx context.Context, w *wave) error {
	var mu sync.Mutex
	bytes := 0
	todo := make([]int, len(w.ids))
	for i := range todo {
		todo[i] = i
	}
	return inParallel(ctx, textsAtOnce, todo, func(ctx context.Context, i int) error {
		mu.Lock()
		full := bytes >= publicationsBytes
		if full {
			w.left = append(w.left, w.ids[i])
		}
		mu.Unlock()
		if full {
			return nil
		}
		pub, err := p.fetchOne(ctx, w.ids[i])
		if err != nil || pub.IsZero() {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		w.pubs, bytes = append(w.pubs, pub), bytes+len(pub.Raw())
		return nil
	})
}

// add adds what came of a wave. It returns at once; finish waits for it.
func (p *pull) add(ctx context.Context, w *wave) {
	go func() {
		defer close(w.added)
		if len(w.pubs) > 0 {
			w.results, w.err = p.node.acceptAll(ctx, p.address, w.pubs)
		}
	}()
}

// finish waits until a wave is added, and queues what it uses and is not here.
func (p *pull) finish(w *wave) error {
	<-w.added
	for _, id := range w.ids {
		p.node.pulls.end(publicationKey{p.address, id})
	}
	p.queue = append(w.left, p.queue...)
	if w.err != nil {
		return w.err
	}
	came := 0
	for i, res := range w.results {
		switch {
		case res.Err != nil:
			if err := p.refused(w.pubs[i].ID(), res.Err); err != nil {
				return err
			}
		case res.New:
			if res.Standing.State == trust.Held {
				p.node.Log.Info("publication dated ahead; held until then, not refused", "namespace", p.address.Name(), "publication", w.pubs[i].ID().Short(),
					"by", w.pubs[i].Signer().Name, "dated", w.pubs[i].Value().Time)
			}
			came++
			p.queue = append(p.queue, res.Missing...)
		}
	}
	p.took += came
	if p.node.peers.inVain(p.from, p.address, len(w.ids)-len(w.left)-came, came) {
		return errVain
	}
	return nil
}

// fetchOne fetches and verifies one publication; none, without an error, if the peer does not have it or this node may not
// take it.
func (p *pull) fetchOne(ctx context.Context, id namespace.ID) (trust.Publication, error) {
	raw, err := p.node.fetchText(ctx, p.from, p.address, id)
	if errors.Is(err, transfer.ErrAbsent) {
		return trust.Publication{}, nil // withdrawn or expired there meanwhile
	}
	if err != nil {
		return trust.Publication{}, err
	}
	pub, err := p.verifier.VerifyPublication(raw)
	if err == nil && pub.ID() == id {
		return pub, nil
	}
	if other := checkText(raw, id); other != nil {
		return trust.Publication{}, other
	}
	return trust.Publication{}, p.refused(id, err)
}

// refused tells a lie (nobody's signature) from a difference of view (a writer that one of the two documents knows, or what is
// over a bound here), and both from what is wrong with this node itself, which is returned as it is.
func (p *pull) refused(id namespace.ID, err error) error {
	var refusal *trust.Refusal
	switch {
	case errors.As(err, &refusal) && forged(refusal.Why):
		return lied(fmt.Errorf("publication %s: %w", id.Short(), err))
	case refusal == nil && !errors.Is(err, catalog.ErrLimit):
		return err
	}
	p.node.Log.Debug("publication not taken", "namespace", p.address.Name(), "publication", id.Short(), "why", err)
	p.node.pulls.park(publicationKey{p.address, id}, p.document, p.node.Now())
	return nil
}

// checkText makes sure that raw is the text that was asked for.
func checkText(raw []byte, id namespace.ID) error {
	if got, err := namespace.TextID(raw); err != nil || got != id {
		return lied(fmt.Errorf("publication %s: other bytes came", id.Short()))
	}
	return nil
}

// fetchText fetches the text of a publication from r, which may be other bytes. A peer that is busy is asked again for a while.
func (n *Node) fetchText(ctx context.Context, r *remote, a namespace.Address, id namespace.ID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTextTimeout)
	defer cancel()
	for {
		raw, err := r.conn.Text(ctx, a, transfer.Publication, id)
		if wait := busyFor(err); wait > 0 {
			if pause(ctx, wait); ctx.Err() == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		return raw, nil
	}
}
