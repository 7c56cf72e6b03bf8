package ledger

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
)

// Roster is who is connected, and tells those who want to know. Make one with
// [NewRoster], and close it.
type Roster struct {
	closed chan struct{}
	wait   sync.WaitGroup // for the goroutines of readers

	mu      sync.Mutex
	down    bool
	conns   map[peer.ID]transfer.Conn
	readers map[*reader]struct{}
}

// NewRoster returns a roster of nobody.
func NewRoster() *Roster {
	return &Roster{
		closed:  make(chan struct{}),
		conns:   make(map[peer.ID]transfer.Conn),
		readers: make(map[*reader]struct{}),
	}
}

// Close ends all events, and waits until their goroutines have ended. The
// roster is empty then, and stays so.
func (r *Roster) Close() {
	r.mu.Lock()
	if !r.down {
		r.down = true
		close(r.closed)
	}
	clear(r.conns)
	r.mu.Unlock()
	r.wait.Wait()
}

// Put says that c's peer is connected, and returns the connection that stands
// for it: c, or the one that was there already. It is nil when the roster is
// closed.
func (r *Roster) Put(c transfer.Conn) transfer.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil
	}
	if old, ok := r.conns[c.Peer()]; ok {
		return old
	}
	r.conns[c.Peer()] = c
	r.tell(c.Peer())
	return c
}

// Remove says that p is not connected.
func (r *Roster) Remove(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.conns[p]; ok {
		delete(r.conns, p)
		r.tell(p)
	}
}

// Get returns the connection to p, or nil.
func (r *Roster) Get(p peer.ID) transfer.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns[p]
}

// Connected lists the connections, by peer.
func (r *Roster) Connected() []transfer.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]transfer.Conn, 0, len(r.conns))
	for _, c := range r.conns {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b transfer.Conn) int { return strings.Compare(string(a.Peer()), string(b.Peer())) })
	return all
}

// Events is [transfer.Dialer]'s.
func (r *Roster) Events(ctx context.Context) <-chan transfer.Event {
	rd := &reader{
		events: make(chan transfer.Event),
		told:   make(map[peer.ID]bool),
		queued: make(map[peer.ID]bool),
		wake:   make(chan struct{}, 1),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		close(rd.events)
		return rd.events
	}
	r.readers[rd] = struct{}{}
	for p := range r.conns {
		rd.enqueue(p)
	}
	r.wait.Go(func() { r.feed(ctx, rd) })
	return rd.events
}

// tell lets every reader know that something is new about p. The lock is held.
func (r *Roster) tell(p peer.ID) {
	for rd := range r.readers {
		rd.enqueue(p)
	}
}

// reader is one who asked for events. Its fields, but for the channels, belong
// to the roster's lock.
type reader struct {
	events chan transfer.Event
	wake   chan struct{} // something was queued

	told   map[peer.ID]bool // who it was told is connected
	queue  []peer.ID        // peers about whom something may be new, each once
	queued map[peer.ID]bool
}

func (rd *reader) enqueue(p peer.ID) {
	if rd.queued[p] {
		return
	}
	rd.queued[p] = true
	rd.queue = append(rd.queue, p)
	select {
	case rd.wake <- struct{}{}:
	default:
	}
}

// feed gives events to a reader until ctx or the roster ends.
func (r *Roster) feed(ctx context.Context, rd *reader) {
	defer close(rd.events)
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.readers, rd)
	}()
	for {
		e, ok := r.nextEvent(rd)
		if !ok {
			select {
			case <-rd.wake:
			case <-ctx.Done():
				return
			case <-r.closed:
				return
			}
			continue
		}
		select {
		case rd.events <- e:
		case <-ctx.Done():
			return
		case <-r.closed:
			return
		}
	}
}

// nextEvent takes from the queue until something differs from what was told.
func (r *Roster) nextEvent(rd *reader) (transfer.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(rd.queue) > 0 {
		p := rd.queue[0]
		rd.queue = rd.queue[1:]
		delete(rd.queued, p)
		c := r.conns[p]
		if (c != nil) == rd.told[p] {
			continue
		}
		if c != nil {
			rd.told[p] = true
		} else {
			delete(rd.told, p)
		}
		return transfer.Event{Peer: p, Conn: c}, true
	}
	return transfer.Event{}, false
}
