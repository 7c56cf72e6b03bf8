package disk

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/flurry-nix/flurry/store"
)

// Packs are append-only: what is out of use is taken out of them by writing what is in use elsewhere, and removing them.
//
// The order that loses nothing, wherever it ends: what is in use is read, checked and appended to another pack; that is
// fsynced; the index points there; the index is fsynced, with all that was swept before; nothing in the index points into the
// old pack any more; the old pack is removed, and its directory synced; the index forgets the pack. A crash before the removal
// leaves records twice, and either is right; one before the directory is synced may bring the pack back, and with it, where
// the index was lost too, what was out of use, which the next sweep finds.

// victim is a pack to be written anew.
type victim struct {
	id   uint32
	size int64 // bytes, what is out of use included
	live int64 // bytes of records in use
}

func (v victim) dead() int64       { return v.size - packHeader - v.live }
func (v victim) deadPart() float64 { return float64(v.dead()) / float64(v.size-packHeader) }

// rewrite gives back the room of what is out of use, where that pays or is needed.
func (w *sweep) rewrite(ctx context.Context) error {
	var victims []victim
	err := w.step(ctx, func() (err error) {
		victims, err = w.victims()
		return err
	})
	if err != nil {
		return err
	}
	if w.o.DryRun {
		for _, v := range victims {
			w.swept.Freed += v.dead()
		}
		return nil
	}
	// All of them first: nothing that is moved may end up in one of them.
	for _, v := range victims {
		if err := w.step(ctx, func() error { return w.s.writers.retire(ctx, v.id) }); err != nil {
			return err
		}
	}
	m := &mover{s: w.s, out: &writer{w: w.s.writers}, needs: make(map[*pack]int64)}
	defer m.end()
	for len(victims) > 0 {
		var group []victim
		group, victims = split(victims, w.s.writers.maxPack)
		freed, err := w.group(ctx, m, group)
		w.swept.Freed += freed - m.taken()
		if errors.Is(err, store.ErrFull) {
			w.s.log.LogAttrs(ctx, slog.LevelWarn, "store: no room to write packs anew", slog.String("error", err.Error()))
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// victims is the packs to be written anew, those first of which most is out of use.
func (w *sweep) victims() ([]victim, error) {
	ids, err := listPacks(w.s.writers.dir)
	if err != nil {
		return nil, err
	}
	states := w.s.index.states()
	var all []victim
	for _, id := range ids {
		state := states[id]
		v := victim{id: id, size: state.settled, live: state.live - w.gone[id]}
		if v.size > packHeader && v.dead() > 0 {
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b victim) int { return cmp.Compare(b.deadPart(), a.deadPart()) })
	var chosen []victim
	var freed int64
	for _, v := range all {
		part := v.deadPart()
		if part < w.o.DeadPart && (part < leastDeadPart || freed >= w.o.Need) {
			break // as are all after it
		}
		chosen = append(chosen, v)
		freed += v.dead()
	}
	return chosen, nil
}

// split takes those victims of which nothing is in use or, when there is none, so many that what is in use of them fills one
// pack, at least one: so much room it takes for a while.
func split(victims []victim, maxPack int64) (group, rest []victim) {
	var live int64
	for i, v := range victims {
		if live += v.live; i > 0 && (live > maxPack || live > 0 && victims[0].live == 0) {
			return victims[:i], victims[i:]
		}
	}
	return victims, nil
}

// group writes some victims anew. It returns the bytes of the packs that are gone.
func (w *sweep) group(ctx context.Context, m *mover, group []victim) (freed int64, err error) {
	in := make(map[uint32]bool, len(group))
	for _, v := range group {
		in[v.id] = true
	}
	for idle := 0; ; {
		var rest []entry
		err := w.step(ctx, func() (err error) {
			rest, err = w.s.inPacks(in)
			return err
		})
		if err != nil {
			return 0, err
		}
		if len(rest) == 0 {
			break
		}
		moved, err := m.move(ctx, rest)
		if err != nil {
			return 0, err
		}
		if idle++; moved {
			idle = 0
		}
		if idle == readTries {
			return 0, errStuck
		}
	}
	err = w.step(ctx, func() (err error) {
		freed, err = w.s.removePacks(group)
		return err
	})
	return freed, err
}

// inPacks is what lies in packs by the index, in the order in which it lies; at most checkWindow of it.
func (s *Store) inPacks(packs map[uint32]bool) ([]entry, error) {
	var list []entry
	err := s.index.scan([]byte{prefixContent}, []byte{prefixContent + 1}, func(key, value []byte) (bool, error) {
		e, err := parseEntry(key, value)
		if err == nil && packs[e.at.pack] {
			list = append(list, e)
		}
		return err == nil && len(list) < checkWindow, err
	})
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.at.pack, b.at.pack), cmp.Compare(a.at.offset, b.at.offset))
	})
	return list, err
}

// removePacks removes packs into which nothing in the index points any more. What was swept and moved is durable before.
func (s *Store) removePacks(packs []victim) (freed int64, err error) {
	if err := s.index.sync(); err != nil {
		return 0, err
	}
	var gone []uint32
	for _, v := range packs {
		size, err := s.writers.remove(v.id)
		if err != nil {
			return freed, writeError(v.id, err)
		}
		s.files.forget(v.id)
		freed += size
		gone = append(gone, v.id)
	}
	if err := s.writers.fsys.SyncDir(s.writers.dir); err != nil {
		return freed, err
	}
	return freed, s.index.forget(gone)
}

// mover copies records to packs of its own.
type mover struct {
	s     *Store
	out   *writer
	needs map[*pack]int64 // what was written and is not settled
	wrote int64           // bytes, since taken was asked
}

// taken is the bytes that were written since it was last asked.
func (m *mover) taken() int64 {
	n := m.wrote
	m.wrote = 0
	return n
}

// errStuck means that content neither moved nor turned out damaged: it would be tried for ever.
var errStuck = errors.New("what lies in a pack can be neither moved nor given up")

// move makes entries lie elsewhere, durably. What is damaged is put out of use. moved is whether anything was done.
func (m *mover) move(ctx context.Context, entries []entry) (moved bool, err error) {
	for _, e := range entries {
		ok, err := m.one(ctx, e)
		if err != nil {
			return moved, err
		}
		moved = moved || ok
	}
	return moved, m.settle(ctx)
}

// one moves one record. done is false when there was nothing to do about it.
func (m *mover) one(ctx context.Context, e entry) (done bool, err error) {
	if err := m.s.enter(ctx); err != nil {
		return false, err
	}
	defer m.s.leave()
	p, end, err := m.copy(e)
	if errors.Is(err, store.ErrCorrupt) {
		return m.s.condemn(ctx, e.key, e.at)
	}
	if err != nil || p == nil {
		return false, err
	}
	m.needs[p] = end
	if p.behind() {
		return true, p.settle(ctx, end)
	}
	return true, nil
}

// copy appends the record of e, checked against its id, if it still lies there; else p is nil.
func (m *mover) copy(e entry) (p *pack, end int64, err error) {
	stripe := m.s.stripe(e.key)
	stripe.Lock()
	defer stripe.Unlock()
	at, ok, err := m.s.locate(e.key)
	if err != nil || !ok || at != e.at {
		return nil, 0, err
	}
	f, err := m.s.read(e.key, at, nil)
	if err != nil {
		return nil, 0, err
	}
	raw, err := m.s.codec.Decode(nil, f)
	if err == nil {
		err = store.Check(e.key, raw)
	}
	if err != nil {
		return nil, 0, err
	}
	rec := newRecord(e.key, f)
	if err := m.s.room.admitMove(rec.size()); err != nil {
		return nil, 0, err
	}
	if p, end, err = m.out.append(rec, f.Data); err != nil {
		m.s.room.release(rec.size())
		return nil, 0, err
	}
	if m.wrote += rec.size(); end == packHeader+rec.size() {
		m.wrote += packHeader
	}
	return p, end, nil
}

func (m *mover) settle(ctx context.Context) error {
	for p, end := range m.needs {
		if err := m.s.enter(ctx); err != nil {
			return err
		}
		err := p.settle(ctx, end)
		m.s.leave()
		if err != nil {
			return err
		}
		delete(m.needs, p)
	}
	return nil
}

// end leaves the pack that was last written to the next writer.
func (m *mover) end() {
	if m.out.cur != nil {
		m.s.writers.giveBack(m.out.cur)
		m.out.cur = nil
	}
}

// retire ends appending to pack id, and settles it.
func (w *writers) retire(ctx context.Context, id uint32) error {
	w.mu.Lock()
	w.free = slices.DeleteFunc(w.free, func(p *pack) bool { return p.id == id })
	w.mu.Unlock()
	for _, s := range w.slots { // one may have taken it just before
		s.abandon(id)
	}
	p := w.find(id)
	if p == nil {
		return nil
	}
	p.seal()
	return p.settleAll(ctx)
}

// abandon makes the writer append to another pack if it appends to pack id.
func (s *writer) abandon(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != nil && s.cur.id == id {
		s.cur.seal()
		s.cur = nil
	}
}

// giveBack hands a pack to the next writer that needs one, if it is settled.
func (w *writers) giveBack(p *pack) {
	if !p.rest() {
		p.seal()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.packs, p.id)
	w.free = append(w.free, p)
}

// rest closes the file of a pack that is to be appended to later. It is false when the pack is not settled.
func (p *pack) rest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sealed || p.failed != nil || p.settling != nil || p.settled != p.end || p.file == nil {
		return false
	}
	err := p.file.Close()
	p.file = nil
	return err == nil
}

// remove removes the file of pack id and returns how many bytes it had.
func (w *writers) remove(id uint32) (size int64, err error) {
	path := filepath.Join(w.dir, packName(id))
	f, err := w.fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	size, err = f.Size()
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if err := w.fsys.Remove(path); err != nil {
		return 0, err
	}
	w.room.used.Add(-size)
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.packs, id)
	w.count--
	return size, nil
}
