package node

import (
	"context"
	"sync"

	"github.com/flurry-nix/flurry/nix"
)

// batches gather the questions that peers are asked about paths of upstream namespaces: where they come faster than they are answered,
// several go in one lookup. Nix asks for hundreds of paths at once, and a peer beyond the LAN answers 200 questions a second.
type batches struct {
	mu    sync.Mutex
	byKey map[batchKey]*batch
}

type batchKey struct {
	of    *remote
	about *upstream
}

// batch is what one peer is to be asked about one namespace.
type batch struct {
	waiting []*single
	running int // lookups under way
}

// single is one question. has and err are set before done is closed.
type single struct {
	hash nix.PathHash
	done chan struct{}
	has  bool
	err  error
}

func newBatches() *batches { return &batches{byKey: make(map[batchKey]*batch)} }

// put adds a question, and reports whether one more is to see to them.
func (bs *batches) put(k batchKey, q *single) bool {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.byKey[k]
	if b == nil {
		b = &batch{}
		bs.byKey[k] = b
	}
	b.waiting = append(b.waiting, q)
	if b.running == lookupsAtOnce {
		return false
	}
	b.running++
	return true
}

// take returns the questions for the next lookup; none: whoever asks is done.
func (bs *batches) take(k batchKey) []*single {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.byKey[k]
	if len(b.waiting) == 0 {
		if b.running--; b.running == 0 {
			delete(bs.byKey, k)
		}
		return nil
	}
	n := min(len(b.waiting), lookupHashes)
	next := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return next
}

// hear asks r for h, perhaps together with other paths, and reports whether r has it. What r said is taken in then.
func (n *Node) hear(ctx context.Context, r *remote, u *upstream, h nix.PathHash) (has bool, err error) {
	k, q := batchKey{r, u}, &single{hash: h, done: make(chan struct{})}
	if n.batches.put(k, q) && !n.tasks.Go(func(ctx context.Context) { n.hearAll(ctx, k) }) {
		return false, ErrOffline
	}
	select {
	case <-q.done:
		return q.has, q.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// hearAll makes one lookup after the other while there are questions.
func (n *Node) hearAll(ctx context.Context, k batchKey) {
	for {
		questions := n.batches.take(k)
		if questions == nil {
			return
		}
		open := make(map[nix.PathHash][]*single, len(questions))
		hashes := make([]nix.PathHash, 0, len(questions))
		for _, q := range questions {
			if open[q.hash] == nil {
				hashes = append(hashes, q.hash)
			}
			open[q.hash] = append(open[q.hash], q)
		}
		answer := func(h nix.PathHash, has bool, err error) {
			for _, q := range open[h] {
				q.has, q.err = has, err
				close(q.done)
			}
			delete(open, h)
		}
		err := n.hearSome(ctx, k.of, k.about, hashes, func(h nix.PathHash) { answer(h, true, nil) })
		for h := range open {
			answer(h, false, err)
		}
	}
}
