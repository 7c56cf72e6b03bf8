package disk

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
)

// Open opens the store in dir, and makes one where there is none. It brings
// the index up to what the packs hold, which takes no time after an orderly
// Close, little after a crash, and one reading of all packs when the index is
// missing or unreadable.
//
// Errors: durable.ErrLocked when another process has the store open, and
// *NewerError when a later version wrote it.
func Open(ctx context.Context, dir string, o Options) (_ *Store, err error) {
	o, err = o.complete()
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	if err := durable.MkdirAll(o.FS, filepath.Join(dir, packsName), 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := durable.TryLock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s, err := open(ctx, dir, o, lock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, err), lock.Unlock())
	}
	return s, nil
}

// RebuildIndex throws the index of the store in dir away and makes a new one
// from the packs: every record is read and checked against its id. The store
// must not be open.
func RebuildIndex(ctx context.Context, dir string, o Options) error {
	o, err := o.complete()
	if err != nil {
		return fmt.Errorf("rebuild index of %s: %w", dir, err)
	}
	lock, err := durable.TryLock(filepath.Join(dir, lockName))
	if err != nil {
		return fmt.Errorf("rebuild index of %s: %w", dir, err)
	}
	var s *Store
	if err = durable.WriteFile(o.FS, filepath.Join(dir, rebuildName), nil, 0o600); err == nil {
		s, err = open(ctx, dir, o, lock)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rebuild index of %s: %w", dir, err), lock.Unlock())
	}
	return s.Close()
}

// complete fills in what was left out.
func (o Options) complete() (Options, error) {
	if o.Log == nil {
		return o, errors.New("Options.Log is missing")
	}
	if o.FS == nil {
		o.FS = durable.OS{}
	}
	if o.Space == nil {
		o.Space = durable.SpaceAt
	}
	if o.MaxPack == 0 {
		o.MaxPack = defaultMaxPack
	}
	if o.Ballast == 0 {
		o.Ballast = defaultBallast
	}
	if o.MaxPack < 0 || o.MaxPack > maxMaxPack || o.Quota < 0 || o.Reserve < 0 {
		return o, fmt.Errorf("MaxPack %d, Quota %d or Reserve %d is out of range", o.MaxPack, o.Quota, o.Reserve)
	}
	return o, nil
}

func open(ctx context.Context, dir string, o Options, lock *durable.Lock) (*Store, error) {
	if err := checkFormat(o.FS, dir); err != nil {
		return nil, err
	}
	r, err := newRoom(dir, o)
	if err != nil {
		return nil, err
	}
	x, err := openIndex(dir, r, o)
	if err != nil {
		return nil, err
	}
	packs := filepath.Join(dir, packsName)
	s := &Store{
		dir:     dir,
		log:     o.Log,
		codec:   store.NewCodec(),
		lock:    lock,
		room:    r,
		index:   x,
		pending: newPending(),
		files:   newFiles(o.FS, packs, maxOpenFiles),
		seed:    maphash.MakeSeed(),
	}
	s.leases = newLeases(s.seed)
	s.writers = newWriters(o, packs, x, s.pending, r)
	if err := s.recover(ctx); err != nil {
		s.files.close()
		return nil, errors.Join(err, x.db.Close())
	}
	return s, nil
}

func newRoom(dir string, o Options) (*room, error) {
	space, err := o.Space(dir)
	if err != nil {
		return nil, err
	}
	r := &room{dir: dir, space: o.Space, quota: o.Quota, reserve: o.Reserve, log: o.Log}
	if r.reserve == 0 {
		r.reserve = reserveOf(space.Total)
	}
	if o.Ballast > 0 {
		r.ballast = durable.NewBallast(o.FS, filepath.Join(dir, ballastName), o.Ballast)
		r.refill(space.Free)
	}
	return r, nil
}

// openIndex opens the index of the store in dir. One that is damaged, as Pebble
// finds now or found when it was last in use, is replaced by an empty one:
// recover fills it.
func openIndex(dir string, r *room, o Options) (*index, error) {
	path, mark := filepath.Join(dir, indexName), filepath.Join(dir, rebuildName)
	if _, err := os.Stat(mark); err == nil {
		o.Log.Warn("store: the index was found damaged and is made again from the packs")
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
		if err := o.FS.Remove(mark); err != nil {
			return nil, err
		}
	}
	var once sync.Once
	unfit := func(err error) {
		once.Do(func() {
			o.Log.Error("store: the index is damaged; it is made again at the next start", "error", err)
			if err := durable.WriteFile(o.FS, mark, nil, 0o600); err != nil {
				o.Log.Error("store: the index is not made again", "error", err)
			}
		})
	}
	x, err := loadIndex(path, r, unfit, o)
	if pebble.IsCorruptionError(err) {
		o.Log.Warn("store: the index is damaged and is made again from the packs", "error", err)
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
		x, err = loadIndex(path, r, unfit, o)
	}
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return x, nil
}

func loadIndex(path string, r *room, unfit func(error), o Options) (*index, error) {
	db, err := openPebble(path, r.drop, unfit, o.Log)
	if err != nil {
		return nil, err
	}
	x := &index{db: db, room: r.forIndex, packs: make(map[uint32]packState)}
	if err := x.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

func newWriters(o Options, packs string, x *index, p *pending, r *room) *writers {
	w := &writers{
		fsys:    o.FS,
		dir:     packs,
		maxPack: o.MaxPack,
		index:   x,
		pending: p,
		room:    r,
		nextID:  1,
		packs:   make(map[uint32]*pack),
	}
	for i := range w.slots {
		w.slots[i] = &writer{w: w}
	}
	return w
}
