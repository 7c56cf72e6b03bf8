package node

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// Whether a body and its chunks are all in the store is looked up chunk by chunk: thousands of questions for a large NAR, which may take
// longer than Nix is to wait, on a machine that is busy or has just started. So each such look is one for all who want to know it, and goes on when
// they have left; and while it finds one chunk after the other here, Nix is told that the path is, unless the last look found one lacking.

// wholes are the looks under way.
type wholes struct {
	mu     sync.Mutex
	byID   map[content.BodyID]*wholeLook
	lacked map[content.BodyID]bool // by the last look; bounded by wholeLacked
}

// wholeLook is one look. whole is set before done is closed.
type wholeLook struct {
	done  chan struct{}
	found atomic.Int64 // contents so far
	moved atomic.Int64 // when it began or found one last, in nanoseconds since 1970
	whole bool
}

// finds notes a content that is here.
func (l *wholeLook) finds() {
	l.found.Add(1)
	l.moved.Store(time.Now().UnixNano())
}

// begin returns the look at id and whether it is the caller's to carry out; nil: too many are under way.
func (w *wholes) begin(id content.BodyID) (*wholeLook, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if have := w.byID[id]; have != nil {
		return have, false
	}
	if len(w.byID) >= wholeLooks {
		return nil, false
	}
	if w.byID == nil {
		w.byID = make(map[content.BodyID]*wholeLook)
	}
	l := &wholeLook{done: make(chan struct{})}
	l.moved.Store(time.Now().UnixNano())
	w.byID[id] = l
	return l, true
}

// stuck reports whether a look is under way that has found nothing for long: a question to the store takes microseconds.
func (w *wholes) stuck() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.byID {
		if time.Since(time.Unix(0, l.moved.Load())) > lookStall {
			return true
		}
	}
	return false
}

// Stuck reports whether the store is asked something for Nix and does not answer.
func (n *Node) Stuck() bool { return n.wholes.stuck() }

func (w *wholes) end(id content.BodyID, l *wholeLook, whole bool) {
	w.mu.Lock()
	delete(w.byID, id)
	switch {
	case whole:
		delete(w.lacked, id)
	case w.lacked == nil || len(w.lacked) >= wholeLacked:
		w.lacked = map[content.BodyID]bool{id: true}
	default:
		w.lacked[id] = true
	}
	w.mu.Unlock()
	l.whole = whole
	close(l.done)
}

// doubted reports whether the last look at id found something lacking.
func (w *wholes) doubted(id content.BodyID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lacked[id]
}

// whole reports whether body and chunks of v are all in the store. When ctx ends before that is known it says no.
func (n *Node) whole(ctx context.Context, v trust.Verified) bool {
	id := v.Entry().Body
	l, whole := n.look(ctx, id)
	if l == nil {
		return whole
	}
	select {
	case <-l.done:
		return l.whole
	case <-ctx.Done():
		return false
	}
}

// likelyWhole is whole for somebody who can wait for wholeWait only: if it is not known by then and what was found meanwhile is here, it
// says yes. A store that does not answer at all makes it wait until ctx ends, and say no.
func (n *Node) likelyWhole(ctx context.Context, v trust.Verified) bool {
	if n.wholes.doubted(v.Entry().Body) {
		return n.whole(ctx, v)
	}
	l, whole := n.look(ctx, v.Entry().Body)
	if l == nil {
		return whole
	}
	before := l.found.Load()
	for {
		wait := time.NewTimer(wholeWait)
		select {
		case <-l.done:
			wait.Stop()
			return l.whole
		case <-wait.C:
			if l.found.Load() > before {
				return true
			}
		case <-ctx.Done():
			wait.Stop()
			return l.found.Load() > before
		}
	}
}

// look begins or joins a look at a body; nil: the answer is known.
func (n *Node) look(ctx context.Context, id content.BodyID) (l *wholeLook, whole bool) {
	if n.bodies.isWhole(id) {
		return nil, true
	}
	l, mine := n.wholes.begin(id)
	if l == nil {
		return nil, n.lookAll(ctx, id, new(wholeLook))
	}
	if mine && !n.tasks.Go(func(ctx context.Context) { n.wholes.end(id, l, n.lookAll(ctx, id, l)) }) {
		n.wholes.end(id, l, n.lookAll(ctx, id, l)) // the node does not run
	}
	return l, false
}

// lookAll is a look.
func (n *Node) lookAll(ctx context.Context, id content.BodyID, l *wholeLook) bool {
	b, err := n.localBody(ctx, id)
	if err != nil {
		return false
	}
	l.finds()
	if has, err := hasAll(ctx, counting{n.Store, l}, b); err != nil || !has {
		return false
	}
	n.bodies.setWhole(id, true)
	return true
}

// counting counts what is there.
type counting struct {
	store.Reader
	look *wholeLook
}

func (c counting) Has(ctx context.Context, k store.Key) (bool, error) {
	has, err := c.Reader.Has(ctx, k)
	if has && err == nil {
		c.look.finds()
	}
	return has, err
}
