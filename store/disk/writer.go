package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"github.com/flurry-nix/flurry/internal/durable"
)

// writers hands packs out to be appended to: a batch has one writer, so that
// what it puts lies together, and few writers are at work at a time.
type writers struct {
	fsys    durable.FS
	dir     string
	maxPack int64
	index   *index
	pending *pending
	room    *room

	mu     sync.Mutex
	slots  [maxWriters]*writer
	free   []*pack // packs with room that no writer has
	nextID uint32
	packs  map[uint32]*pack // those appended to and not done
	count  int              // all packs there are
}

// writer appends to one pack at a time.
type writer struct {
	w     *writers
	users int // batches; guarded by w.mu

	mu  sync.Mutex // held over each append
	cur *pack
	buf []byte // room for one record
}

// join gives a batch the writer with the fewest batches. The batch leaves it.
func (w *writers) join() *writer {
	w.mu.Lock()
	defer w.mu.Unlock()
	best := w.slots[0]
	for _, s := range w.slots[1:] {
		if s.users < best.users {
			best = s
		}
	}
	best.users++
	return best
}

func (w *writers) leave(s *writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.users--
}

// append writes a record and returns the pack it lies in and where it ends.
func (s *writer) append(rec record, data []byte) (p *pack, end int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil && !s.cur.writable(rec.size(), s.w.maxPack) {
		s.cur.seal()
		s.cur = nil
	}
	if s.cur == nil {
		if s.cur, err = s.w.next(rec.size()); err != nil {
			return nil, 0, err
		}
	}
	s.buf = append(rec.append(s.buf[:0], s.cur.mark), data...)
	end, err = s.cur.append(rec, s.buf)
	if cap(s.buf) > maxBuffer {
		s.buf = nil
	}
	return s.cur, end, err
}

// next is a pack with room for n bytes that no writer has: one left from before
// or a new one.
func (w *writers) next(n int64) (*pack, error) {
	p, id := w.reserve(n)
	var err error
	if p != nil {
		id, err = p.id, w.reopen(p)
	} else {
		p, err = w.create(id)
	}
	if err != nil {
		return nil, writeError(id, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.packs[id] = p
	return p, nil
}

// reserve picks a pack with room for n bytes or, when there is none, a number
// for a new one. Whatever becomes of that, no number is used twice.
func (w *writers) reserve(n int64) (*pack, uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.packs, func(_ uint32, p *pack) bool { return p.done() })
	for len(w.free) > 0 {
		p := w.free[len(w.free)-1]
		w.free = w.free[:len(w.free)-1]
		if p.writable(n, w.maxPack) {
			return p, 0
		}
	}
	w.nextID++
	return nil, w.nextID - 1
}

func (w *writers) reopen(p *pack) error {
	f, err := w.fsys.OpenFile(filepath.Join(w.dir, packName(p.id)), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p.file = f
	return nil
}

// create makes an empty pack, name and header durable, so that an fsync of the
// file is all that a settling takes.
func (w *writers) create(id uint32) (*pack, error) {
	path := filepath.Join(w.dir, packName(id))
	f, err := w.fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	p := &pack{id: id, index: w.index, pending: w.pending, file: f, end: packHeader, settled: packHeader}
	_, _ = rand.Read(p.mark[:]) // documented never to fail
	if err := w.writeHeader(p); err != nil {
		f.Close()
		return nil, errors.Join(err, w.fsys.Remove(path))
	}
	w.room.used.Add(packHeader)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	return p, nil
}

func (w *writers) writeHeader(p *pack) error {
	if _, err := p.file.WriteAt(appendPackHeader(nil, p.id, p.mark), 0); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	return w.fsys.SyncDir(w.dir)
}

// all is the packs that may have something to settle.
func (w *writers) all() []*pack {
	w.mu.Lock()
	defer w.mu.Unlock()
	packs := make([]*pack, 0, len(w.packs))
	for _, p := range w.packs {
		packs = append(packs, p)
	}
	return packs
}

// find is pack number id, or nil when it has nothing to settle.
func (w *writers) find(id uint32) *pack {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.packs[id]
}

// close seals every pack. Nothing is settled by it.
func (w *writers) close() error {
	var errs []error
	for _, p := range w.all() {
		p.mu.Lock()
		p.sealed = true
		if p.file != nil {
			if err := p.file.Close(); err != nil {
				errs = append(errs, fmt.Errorf("close pack %s: %w", packName(p.id), err))
			}
			p.file = nil
		}
		p.mu.Unlock()
	}
	return errors.Join(errs...)
}

// total is the number of packs.
func (w *writers) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}
