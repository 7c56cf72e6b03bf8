package node

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/store"
)

// Scratch is room on a disk for as long as it is open. It is empty at first, and gone when it is closed, also by a crash.
type Scratch interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
}

// scratches is the room for NARs that came from origins and are not in the store yet: to cut, hash and compress them takes more
// processor time than to fetch them, and Nix, which waits for them, needs the processors as well. So that is done when it is
// quiet, one NAR after the other, or when too much waits.
type scratches struct {
	open func() (Scratch, error) // nil: there is no such room
	turn chan struct{}           // holds a token while one is taken into the store

	mu   sync.Mutex
	used int64     // bytes of all
	most int64     // that may be
	last time.Time // when any of them was written or read last
}

func newScratches(open func() (Scratch, error)) *scratches {
	return &scratches{open: open, turn: make(chan struct{}, 1), most: scratchMost}
}

// scratch is the room of one NAR, written from its beginning in blocks of throughBlock. Each has a checksum in memory: what comes
// back from the disk is what was written, or an error.
type scratch struct {
	all  *scratches
	size int64
	now  func() time.Time

	mu     sync.RWMutex // held while the file is used, against closing it
	file   Scratch      // nil: closed
	sumsMu sync.Mutex
	sums   []uint32
}

// errScratchClosed: what was put aside is in the store by now, or nowhere.
var errScratchClosed = errors.New("what was put aside is given up")

// checksum is that of a block.
func checksum(block []byte) uint32 { return crc32.Checksum(block, crc32.MakeTable(crc32.Castagnoli)) }

// scratch gives room for a NAR, or nil: then it goes into the store as it comes.
func (n *Node) scratch(ctx context.Context, size int64) *scratch {
	s := n.scratches
	if s.open == nil {
		return nil
	}
	room, err := n.Store.Room(ctx)
	if err != nil || !s.take(size, room) {
		return nil
	}
	file, err := s.open()
	if err != nil {
		s.give(size)
		n.Log.Debug("no room to put a NAR aside", "err", err)
		return nil
	}
	return &scratch{all: s, size: size, now: n.Now, file: file}
}

// take reserves room for size bytes, if there is as much. What was reserved before is counted as if none of it were written yet.
func (s *scratches) take(size int64, room store.Room) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = scratchMost
	if room.Quota > 0 {
		s.most = min(s.most, room.Quota/scratchPart)
	}
	if s.used+size > s.most || room.Reserve > 0 && room.Free-s.used-size < room.Reserve {
		return false
	}
	s.used += size
	return true
}

func (s *scratches) give(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= size
}

// size is how many bytes are put aside.
func (s *scratches) size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// ample reports whether there is room for what nobody has asked for yet.
func (s *scratches) ample() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open != nil && s.used <= s.most/2
}

// touch notes that somebody is at work.
func (s *scratches) touch(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = now
}

// quiet reports whether now is the time to take a NAR into the store.
func (s *scratches) quiet(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used > s.most/2 || now.Sub(s.last).Abs() > scratchQuiet
}

// wait waits for the turn of one NAR to be taken into the store, and returns how to end it.
func (s *scratches) wait(ctx context.Context, now func() time.Time) (end func(), err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	end = func() { <-s.turn }
	for !s.quiet(now()) && ctx.Err() == nil {
		pause(ctx, scratchQuiet/4)
	}
	if ctx.Err() != nil {
		end()
		return nil, ctx.Err()
	}
	return end, nil
}

// write appends a block.
func (c *scratch) write(block []byte, at int64) error {
	c.all.touch(c.now())
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.file == nil {
		return errScratchClosed
	}
	if _, err := c.file.WriteAt(block, at); err != nil {
		return err
	}
	c.sumsMu.Lock()
	defer c.sumsMu.Unlock()
	if at != int64(len(c.sums))*throughBlock {
		return fmt.Errorf("a block at %d, after %d others", at, len(c.sums))
	}
	c.sums = append(c.sums, checksum(block))
	return nil
}

// block reads what the block that holds the byte at has from there on, before end, into room, of throughBlock bytes.
func (c *scratch) block(room []byte, at, end int64) ([]byte, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.file == nil {
		return nil, errScratchClosed
	}
	i := at / throughBlock
	start := i * throughBlock
	data := room[:min(throughBlock, c.size-start)]
	if _, err := c.file.ReadAt(data, start); err != nil {
		return nil, err
	}
	c.sumsMu.Lock()
	want := uint32(0)
	there := int(i) < len(c.sums)
	if there {
		want = c.sums[i]
	}
	c.sumsMu.Unlock()
	if !there || checksum(data) != want {
		return nil, fmt.Errorf("%w: what was put aside came back otherwise", ErrWrongNar)
	}
	return data[at-start : min(end-start, int64(len(data)))], nil
}

// restart empties it.
func (c *scratch) restart() {
	c.sumsMu.Lock()
	defer c.sumsMu.Unlock()
	c.sums = nil
}

// reader reads all of it, through room of throughBlock bytes.
func (c *scratch) reader(room []byte) io.Reader { return &scratchReader{scratch: c, room: room} }

type scratchReader struct {
	scratch *scratch
	at      int64
	room    []byte
	rest    []byte // of what is in room
}

func (r *scratchReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.at == r.scratch.size {
			return 0, io.EOF
		}
		var err error
		if r.rest, err = r.scratch.block(r.room, r.at, r.scratch.size); err != nil {
			return 0, err
		}
		r.at += int64(len(r.rest))
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// close gives the room back. Closing twice is allowed.
func (c *scratch) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	c.all.give(c.size)
	return err
}
