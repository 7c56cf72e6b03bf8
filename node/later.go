package node

import (
	"context"
	"errors"
	"sync"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
)

// later makes durable what came from origins, many NARs at a time: each could be had again, and a wait for the disk for each would
// also wait for what Nix writes there meanwhile.
type later struct {
	codec *store.Codec

	mu      sync.Mutex
	batches []store.Batch
	waiting bool
}

// commit takes over a batch.
func (l *later) commit(n *Node, b store.Batch) {
	l.mu.Lock()
	l.batches = append(l.batches, b)
	begins := !l.waiting
	l.waiting = true
	l.mu.Unlock()
	if begins && !n.tasks.Go(func(ctx context.Context) { pause(ctx, throughCommit); l.commitAll(ctx, n) }) {
		l.giveUp(n) // the node has ended, and what calls this does, too
	}
}

// giveUp closes all batches: also those of who came between and relied on this one.
func (l *later) giveUp(n *Node) {
	for _, b := range l.take() {
		if err := b.Close(); err != nil {
			n.Log.Warn("what came from an origin is not given up", "err", err)
		}
	}
}

// take returns the batches that wait, and whoever comes next begins anew.
func (l *later) take() []store.Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.batches
	l.batches, l.waiting = nil, false
	return all
}

func (l *later) commitAll(ctx context.Context, n *Node) {
	for _, b := range l.take() {
		if err := errors.Join(keep(ctx, b), b.Close()); err != nil {
			n.Log.Warn("what came from an origin is not kept", "err", err)
		}
	}
}

// mayFail puts chunks until that fails once: what is not kept passes all the same.
type mayFail struct {
	put func(content.ChunkID, []byte) error

	mu  sync.Mutex
	err error
}

func (m *mayFail) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (m *mayFail) chunk(id content.ChunkID, data []byte) error {
	if m.failed() != nil {
		return nil
	}
	if err := m.put(id, data); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.err = err
	}
	return nil
}
