package node

import (
	"context"
	"sync"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/trust"
)

// flights are the fetches of bodies under way. Whoever wants a body that is being fetched waits for that fetch.
type flights struct {
	mu   sync.Mutex
	byID map[content.BodyID]*flight
}

// flight is one fetch. body and err are set before done is closed.
type flight struct {
	done chan struct{}
	body *parsedBody
	err  error
}

// begin returns the flight for id, and whether the caller is the one who has to fly it.
func (f *flights) begin(id content.BodyID, most int) (*flight, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if have, ok := f.byID[id]; ok {
		return have, false
	}
	if most > 0 && len(f.byID) >= most {
		return nil, false
	}
	if f.byID == nil {
		f.byID = make(map[content.BodyID]*flight)
	}
	mine := &flight{done: make(chan struct{})}
	f.byID[id] = mine
	return mine, true
}

func (f *flights) end(id content.BodyID, mine *flight, body *parsedBody, err error) {
	f.mu.Lock()
	delete(f.byID, id)
	f.mu.Unlock()
	mine.body, mine.err = body, err
	close(mine.done)
}

// bodyOnce fetches the body of v from peers, or waits for the fetch that is under way. The fetch runs under the node's
// context: a caller that leaves costs those who wait nothing.
func (n *Node) bodyOnce(ctx context.Context, v trust.Verified) (*parsedBody, error) {
	f, mine := n.flights.begin(v.Entry().Body, 0)
	if mine && !n.fly(f, v) {
		return nil, ErrOffline
	}
	select {
	case <-f.done:
		return f.body, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly starts the fetch that f stands for.
func (n *Node) fly(f *flight, v trust.Verified) bool {
	id := v.Entry().Body
	started := n.tasks.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 2*fetchTextTimeout)
		defer cancel()
		b, err := n.fetchBody(ctx, v)
		n.flights.end(id, f, b, err)
	})
	if !started {
		n.flights.end(id, f, nil, ErrOffline)
	}
	return started
}
