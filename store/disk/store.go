package disk

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
)

// Options says how a store is to be kept. The zero value is a store without
// quota and with the usual reserve.
type Options struct {
	// Quota is how many bytes the packs may have; 0 is no bound.
	Quota int64
	// Reserve is how many bytes of the disk are left free; 0 is the larger of
	// 1 GiB and 2 % of the disk.
	Reserve int64
	// MaxPack is the size of a full pack in bytes; 0 is 512 MiB.
	MaxPack int64
	// Ballast is how many bytes are set aside for Pebble on a full disk; 0 is
	// 32 MiB, and less than 0 none.
	Ballast int64
	// Log is told of damage, repair and a full disk. Required.
	Log *slog.Logger
	// FS is what packs are written through; nil is the system's.
	FS durable.FS
	// Space tells how much room there is; nil asks the system.
	Space func(dir string) (durable.Space, error)
}

// Store is a store in a directory. All methods are safe for concurrent use.
type Store struct {
	dir     string
	log     *slog.Logger
	codec   *store.Codec
	lock    *durable.Lock
	room    *room
	index   *index
	pending *pending
	files   *files
	writers *writers
	leases  *leases

	// stripe(k) is held by whoever changes where k lies but for moving it from
	// pending to the index.
	stripes [stripes]sync.Mutex
	seed    maphash.Seed

	life   sync.RWMutex // held for reading during every use
	closed bool         // guarded by life
}

var (
	_ store.Collector = (*Store)(nil)
	_ store.Condemner = (*Store)(nil)
)

// Begin implements [store.Store].
func (s *Store) Begin(ctx context.Context) (store.Batch, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	b := &batch{s: s, held: make(map[uint64]struct{}), deps: make(map[*pack]int64)}
	s.leases.begin(b)
	return b, nil
}

// Stats is what a store holds and may hold.
type Stats struct {
	Bytes     int64 // of the packs
	LiveBytes int64 // of the records that are in use, in the index
	Packs     int
	Chunks    int64
	Bodies    int64
	Texts     int64 // documents, publications and kept lists
	Damaged   int64 // contents out of use and not stored again since
	Quota     int64 // 0: none
	DiskFree  int64
	Reserve   int64
	Ballast   bool // room is set aside for a full disk
}

// Stats asks for numbers, and the system for the disk's free space. What is put
// and not settled counts in Bytes alone.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	if err := s.enter(ctx); err != nil {
		return Stats{}, err
	}
	defer s.leave()
	space, err := s.room.space(s.dir)
	if err != nil {
		return Stats{}, err
	}
	n, live := s.index.totals()
	return Stats{
		Bytes:     s.room.used.Load(),
		LiveBytes: live,
		Packs:     s.writers.total(),
		Chunks:    n.contents[store.KindChunk],
		Bodies:    n.contents[store.KindBody],
		Texts:     n.contents[store.KindDocument] + n.contents[store.KindPublication] + n.contents[store.KindKeepList],
		Damaged:   n.damaged,
		Quota:     s.room.quota,
		DiskFree:  space.Free,
		Reserve:   s.room.reserve,
		Ballast:   s.room.ballast != nil && s.room.ballast.Held(),
	}, nil
}

// Close makes durable what was put, and ends the use of the directory. It waits
// for calls that are under way; later ones return [ErrClosed]. Batches need not
// be closed first, but are of no use afterwards.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, p := range s.writers.all() {
		if err := p.settleAll(context.Background()); err != nil {
			errs = append(errs, err)
		}
	}
	s.files.close()
	errs = append(errs, s.writers.close(), s.index.db.Close(), s.lock.Unlock())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

// enter begins a use of the store, which ends with leave.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

func (s *Store) stripe(k store.Key) *sync.Mutex {
	return &s.stripes[maphash.Comparable(s.seed, k)%stripes]
}
