package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
)

// Reading ahead: chunks are decoded and checked on assembleWorkers goroutines while earlier ones are written, at most
// assembleAhead of them. Memory of one NAR being read: assembleAhead × 256 KiB.
const (
	assembleWorkers = 2
	assembleAhead   = 12
)

// piece is one chunk on its way to the reader.
type piece struct {
	index int
	ready chan struct{} // closed when data or err is set
	data  []byte
	room  *[]byte // where data is, if it had room
	err   error
}

// copy writes n bytes of the NAR from off to w, chunk by chunk, in order.
func (f *Nar) copy(ctx context.Context, w io.Writer, off, n int64) error {
	defer f.node.crowd.enter(f.body.id)()
	ctx, cancel := context.WithCancel(ctx)
	first, last := f.body.index.Find(uint64(off)), f.body.index.Find(uint64(off+n-1))
	ordered := make(chan *piece, assembleAhead)
	jobs := make(chan *piece, assembleAhead)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	workers.Go(func() {
		defer close(jobs)
		defer close(ordered)
		for i := first; i <= last; i++ {
			p := &piece{index: i, ready: make(chan struct{})}
			select {
			case ordered <- p:
			case <-ctx.Done():
				return
			}
			jobs <- p // never blocks: it has room for all that ordered has
		}
	})
	for range min(assembleWorkers, last-first+1) {
		workers.Go(func() {
			source := &chunkSource{nar: f}
			defer source.close()
			for p := range jobs {
				p.room = f.node.rooms.get(f.body.body.Chunks[p.index].Length)
				p.data, p.err = source.chunk(ctx, p.index, *p.room)
				close(p.ready)
			}
		})
	}
	for p := range ordered {
		<-p.ready
		if p.err != nil {
			return p.err
		}
		data := f.cut(p, off, n)
		if _, err := w.Write(data); err != nil {
			return err
		}
		f.node.rooms.put(p.room)
	}
	return ctx.Err()
}

// cut returns the part of the chunk that lies within n bytes from off.
func (f *Nar) cut(p *piece, off, n int64) []byte {
	start := int64(f.body.index.Start(p.index))
	from, to := max(off-start, 0), min(off+n-start, int64(len(p.data)))
	return p.data[from:to]
}

// chunkSource gives raw chunks of one NAR: from the store, else by a download that it joins at the first need.
type chunkSource struct {
	nar      *Nar
	download *download
}

func (s *chunkSource) close() {
	if s.download != nil {
		s.download.leave()
	}
}

// chunk returns chunk i with the hashes written back, in buffer if it has room.
func (s *chunkSource) chunk(ctx context.Context, i int, buffer []byte) ([]byte, error) {
	n, want := s.nar.node, s.nar.body.body.Chunks[i]
	if s.download != nil {
		if data := s.download.peek(i); data != nil {
			return s.nar.rewriter.Chunk(i, append(buffer[:0], data...)), nil
		}
	}
	data, err := s.stored(ctx, want, buffer)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		if errors.Is(err, store.ErrCorrupt) {
			n.Log.Error("damaged chunk is out of use and fetched again", "chunk", want.ID, "err", err)
		}
		n.bodies.setWhole(s.nar.body.id, false)
		data, err = s.fetch(ctx, i, buffer)
	}
	if err != nil {
		return nil, err
	}
	if len(data) != int(want.Length) {
		return nil, fmt.Errorf("%w: chunk %d of %s has %d bytes, its body says %d", ErrWrongNar, i, s.nar.verified.Path().Base(), len(data), want.Length)
	}
	return s.nar.rewriter.Chunk(i, data), nil
}

// stored returns a chunk that is in the store, in buffer if it has room.
func (s *chunkSource) stored(ctx context.Context, c content.Piece, buffer []byte) ([]byte, error) {
	n := s.nar.node
	if !n.crowd.many(s.nar.body.id) {
		return store.AppendGet(ctx, buffer[:0], n.Store, n.Codec, store.ChunkKey(c.ID))
	}
	return n.crowd.chunk(c.ID, c.Length, buffer, func(room []byte) ([]byte, error) {
		return store.AppendGet(ctx, room[:0], n.Store, n.Codec, store.ChunkKey(c.ID))
	})
}

// fetchTries bounds how often a chunk that was fetched, or said to be here, is found damaged or gone when it is read.
const fetchTries = 4

// fetch gets chunk i by a download. A download that runs already may hold chunk i for here, since it was not damaged, or
// not known to be, when that was looked at: then it is told.
func (s *chunkSource) fetch(ctx context.Context, i int, buffer []byte) (data []byte, err error) {
	n, key := s.nar.node, store.ChunkKey(s.nar.body.body.Chunks[i].ID)
	for tries := 0; tries < fetchTries; {
		if s.download == nil {
			if s.download, err = n.join(s.nar.verified, s.nar.body); err != nil {
				return nil, err
			}
		}
		held, err := s.download.wait(ctx, i)
		switch {
		case errors.Is(err, errEnded): // while it was told: another one finds out anew what is missing
			s.close()
			s.download = nil
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			continue
		case err != nil:
			return nil, err
		case held != nil:
			return append(buffer[:0], held...), nil
		}
		data, err = store.AppendGet(ctx, buffer[:0], n.Store, n.Codec, key)
		if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
			return data, err
		}
		s.download.lost(i)
		tries++
	}
	return nil, fmt.Errorf("chunk %d of %s was fetched %d times and each time damaged here", i, s.nar.verified.Path().Base(), fetchTries)
}
