package content

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/flurry-nix/flurry/nix"
)

// ErrClosed is returned by a Splitter that has been closed or aborted.
var ErrClosed = errors.New("splitter is closed")

// SplitOptions are what a [Splitter] needs to know.
type SplitOptions struct {
	// Candidates are the hash parts to take out of the NAR: those of the
	// references and of the path itself. Repeats do no harm.
	Candidates []nix.PathHash

	// Workers is how many goroutines hash and put chunks; 0 is GOMAXPROCS.
	Workers int

	// Put is given every chunk of the body, and not in order: a chunk that
	// occurs twice is given twice. It is called by several workers at a time. It may
	// read data, and no more than that, until it returns. Its first error ends
	// the split. Nil puts nothing.
	Put func(id ChunkID, data []byte) error

	// Pool lends the buffers. Nil is a new one, of this Splitter alone.
	Pool *Pool
}

// Split is a NAR taken apart.
type Split struct {
	Body    *Body
	Slots   []nix.PathHash // what the body's rewrites number
	NarHash nix.NarHash    // of the NAR as it was written
	NarSize uint64         // in bytes
}

// Splitter takes a NAR apart as it is written: it hashes, normalises, cuts, and
// gives the chunks to Put. It must be closed or aborted. One goroutine at a time
// may call its methods.
//
// A Splitter holds 4 MiB of buffers, and 1 MiB more for every four workers,
// however large the NAR is; when all are in use, Write waits. The body takes
// 72 bytes a chunk (about 1 MiB for each GiB) and some 40 a rewrite on top.
//
// The NAR goes through in blocks, from goroutine to goroutine: Write fills one,
// one is hashed for NarHash, one is normalised and cut, and the workers take its
// chunks. The order matters: normalising overwrites what NarHash is taken of.
type Splitter struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	opts   SplitOptions

	// Of the goroutine that writes.
	cur     *block // being filled
	taken   int    // blocks that are the Splitter's, not the pool's
	started bool
	closed  bool

	pipes
	tasks sync.WaitGroup

	// Of one stage's goroutine each, until tasks are done.
	narHash nix.NarHash
	chunker *chunker
}

// pipes lead from stage to stage. A block is in at most one of the first three,
// and each has room for all blocks, so that only free and jobs are waited for.
type pipes struct {
	free   chan *block // from the workers back to Write
	raw    chan *block // from Write to hashNar
	hashed chan *block // from hashNar to cut
	jobs   chan job    // from cut to the workers
}

// job is a chunk for a worker, which releases the block afterwards.
type job struct {
	block *block
	chunk []byte
	piece *Piece
}

const (
	// minBlocks lets every stage have a block while Write fills the next.
	minBlocks = 4
	// workersPerBlock is how many of the longest chunks one block holds, nearly.
	workersPerBlock = 4
)

// NewSplitter returns a Splitter. When ctx ends, so does the split, with ctx's
// error. No goroutine is started before a Write or Close that needs it.
func NewSplitter(ctx context.Context, o SplitOptions) *Splitter {
	return newSplitter(ctx, o, bounds{chunks: MaxChunks, rewrites: MaxRewrites})
}

func newSplitter(ctx context.Context, o SplitOptions, b bounds) *Splitter {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Pool == nil {
		o.Pool = new(Pool)
	}
	blocks := minBlocks + (o.Workers+workersPerBlock-1)/workersPerBlock
	s := &Splitter{
		opts:    o,
		narHash: sha256.Sum256(nil), // until there is a block
		pipes: pipes{
			free:   make(chan *block, blocks),
			raw:    make(chan *block, blocks),
			hashed: make(chan *block, blocks),
			jobs:   make(chan job, o.Workers),
		},
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.chunker = newChunker(o.Candidates, b, s.emit)
	return s
}

// Write takes the NAR's next bytes. It does not keep p. Its error is the first
// one of the whole split, and lasts.
func (s *Splitter) Write(p []byte) (int, error) {
	if s.closed {
		return 0, ErrClosed
	}
	written := 0
	for len(p) > 0 {
		if err := s.ready(); err != nil {
			return written, err
		}
		n := s.cur.fill(p)
		written += n
		p = p[n:]
		if s.cur.full() {
			s.dispatch()
		}
	}
	return written, nil
}

// Close takes the NAR's end, waits for the last chunk to be put, and returns the
// outcome. Its goroutines have ended when it returns.
func (s *Splitter) Close() (Split, error) {
	if s.closed {
		return Split{}, ErrClosed
	}
	if s.cur != nil {
		s.dispatch()
	}
	err := s.end()
	if err != nil {
		return Split{}, err
	}
	b := s.chunker.body()
	return Split{Body: b, Slots: s.chunker.slots, NarHash: s.narHash, NarSize: b.Size}, nil
}

// Abort gives up. It waits for calls of Put that have begun; afterwards nothing
// of the Splitter runs. After Close, it does nothing.
func (s *Splitter) Abort() {
	if s.closed {
		return
	}
	s.cancel(ErrClosed)
	_ = s.end() // it is ErrClosed, or why the split had failed already
}

// end waits for everything that was started and gives the buffers back. It
// returns why the split failed.
func (s *Splitter) end() error {
	s.closed = true
	close(s.raw)
	if s.started {
		s.tasks.Wait()
	}
	err := context.Cause(s.ctx)
	s.cancel(ErrClosed)
	if s.cur != nil {
		s.free <- s.cur
		s.cur = nil
	}
	for len(s.free) > 0 {
		s.opts.Pool.put(<-s.free)
		s.taken--
	}
	return err
}

// ready sees to it that there is a block to fill.
func (s *Splitter) ready() error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if s.cur != nil {
		return nil
	}
	if s.taken < cap(s.free) && len(s.free) == 0 {
		s.taken++
		s.cur = s.opts.Pool.get()
	} else {
		select {
		case s.cur = <-s.free:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	s.cur.reset()
	return nil
}

// dispatch sends the current block on its way.
func (s *Splitter) dispatch() {
	if !s.started {
		s.started = true
		s.tasks.Go(s.hashNar)
		s.tasks.Go(s.cut)
		for range s.opts.Workers {
			s.tasks.Go(s.work)
		}
	}
	s.cur.uses.Store(1)
	s.raw <- s.cur
	s.cur = nil
}

// hashNar is the first stage: NarHash.
func (s *Splitter) hashNar() {
	defer close(s.hashed)
	h := sha256.New()
	for b := range s.raw {
		if s.ctx.Err() == nil {
			h.Write(b.added())
		}
		s.hashed <- b
	}
	h.Sum(s.narHash[:0])
}

// cut is the second stage: chunks, in order.
func (s *Splitter) cut() {
	defer close(s.jobs)
	for b := range s.hashed {
		if s.ctx.Err() != nil {
			s.release(b)
			continue
		}
		before, err := s.chunker.next(b)
		s.release(before)
		if err != nil {
			s.cancel(err)
		}
	}
	last := s.chunker.b
	if s.ctx.Err() == nil {
		if err := s.chunker.finish(); err != nil {
			s.cancel(err)
		}
	}
	s.release(last)
}

// emit hands a chunk to the workers. They take every job, also after a failure.
func (s *Splitter) emit(b *block, chunk []byte, piece *Piece) {
	b.uses.Add(1)
	s.jobs <- job{b, chunk, piece}
}

// work is the last stage, on several goroutines: the chunks' ids, and Put.
func (s *Splitter) work() {
	for j := range s.jobs {
		if s.ctx.Err() == nil {
			s.put(j)
		}
		s.release(j.block)
	}
}

func (s *Splitter) put(j job) {
	j.piece.ID = sha256.Sum256(j.chunk)
	if s.opts.Put == nil {
		return
	}
	if err := s.opts.Put(j.piece.ID, j.chunk); err != nil {
		s.cancel(fmt.Errorf("put chunk %s: %w", j.piece.ID, err))
	}
}

// release gives up one use of the block; the last one frees it.
func (s *Splitter) release(b *block) {
	if b != nil && b.uses.Add(-1) == 0 {
		s.free <- b
	}
}
