package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
)

// Paths is this machine's Nix store.
type Paths interface {
	// Nar returns the NAR of a path as its files are now. One that is gone is an fs.ErrNotExist.
	Nar(p nix.StorePath) (*nix.NarFile, error)
	// Stamp changes when the path is made anew. One that is gone is an fs.ErrNotExist.
	Stamp(p nix.StorePath) (uint64, error)
	// Hold keeps Nix from collecting p for some minutes, as well as it can: Nix may be away. It is called before each
	// reading, and does not wait for long.
	Hold(ctx context.Context, p nix.StorePath)
	// Short reports whether err, of a reading, says nothing of the path: this process or this machine has no more files or
	// memory just now.
	Short(err error) bool
}

// Lost is told that a body was withdrawn from the table with a path because of err: an fs.ErrNotExist when Nix has collected it, a
// store.ErrNotFound or store.ErrCorrupt when its body is not in the store below any more. Anything else is the path's fault.
type Lost func(p nix.StorePath, body content.BodyID, err error)

// Store is a store whose chunks may lie in paths, too. Its methods are safe for concurrent use.
type Store struct {
	store.Collector
	codec *store.Codec
	paths Paths
	lost  Lost

	mu    sync.RWMutex
	table *table
	ready *ready
}

// New adds paths to the store below.
func New(below store.Collector, codec *store.Codec, paths Paths, lost Lost) *Store {
	return &Store{Collector: below, codec: codec, paths: paths, lost: lost, table: newTable(), ready: newReady()}
}

// Place has the chunks of a body read from the files of a path, whose NAR they and the path's hashes make up: its user has
// proven that, and that the path is valid. A path may have several bodies; placing one again replaces what was placed.
// ErrManyFiles of package nix says that it has too many files.
func (s *Store) Place(p nix.StorePath, id content.BodyID, b *content.Body) error {
	stamp, err := s.paths.Stamp(p)
	if err != nil {
		return err
	}
	nar, err := s.paths.Nar(p)
	if err != nil {
		return err
	}
	if uint64(nar.Size()) != b.Size {
		return fmt.Errorf("the NAR of %s has %d bytes, its body says %d", p.Base(), nar.Size(), b.Size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := placeKey{p, id}
	s.ready.drop(k)
	s.table.add(&place{placeKey: k, size: b.Size, stamp: stamp}, b.Chunks)
	return nil
}

// Withdraw ends the reading of a body's chunks from a path. Nobody is told.
func (s *Store) Withdraw(p nix.StorePath, id content.BodyID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := placeKey{p, id}
	s.ready.drop(k)
	s.table.remove(k)
}

// lose withdraws what a reading found not to be what it was, unless it was placed anew meanwhile.
func (s *Store) lose(p *place, why error) {
	s.mu.Lock()
	current := s.table.places[p.placeKey] == p
	if current {
		s.ready.drop(p.placeKey)
		s.table.remove(p.placeKey)
	}
	s.mu.Unlock()
	if current {
		s.lost(p.path, p.body, why)
	}
}

// Placed reports whether some path has all chunks of a body.
func (s *Store) Placed(id content.BodyID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.bodies[id] > 0
}

// Places are the paths that chunks are read from, each with every body that it has, in no order.
func (s *Store) Places() iter.Seq2[nix.StorePath, content.BodyID] {
	places := s.places()
	return func(yield func(nix.StorePath, content.BodyID) bool) {
		for _, p := range places {
			if !yield(p.path, p.body) {
				return
			}
		}
	}
}

func (s *Store) places() []*place {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.table.places))
}

// Size is how many paths chunks are read from, and how many bytes their NARs have.
func (s *Store) Size() (paths int, bytes uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.table.paths), s.table.bytes
}

// Check looks whether the paths are there, and as they were when they were placed. What is gone is withdrawn; changed is told of
// what was made anew: whether it is what it was is for Nix to say, and then it is to be placed again.
func (s *Store) Check(ctx context.Context, changed func(p nix.StorePath, id content.BodyID)) error {
	for _, p := range s.places() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		stamp, err := s.paths.Stamp(p.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.lose(p, err)
		case err != nil || stamp != p.stamp:
			changed(p.path, p.body)
		}
	}
	return nil
}

// Has reports whether k is in the store below or, a chunk, in a path.
func (s *Store) Has(ctx context.Context, k store.Key) (bool, error) {
	has, err := s.Collector.Has(ctx, k)
	if err != nil || has || k.Kind != store.KindChunk {
		return has, err
	}
	return s.covers(k.ID), nil
}

func (s *Store) covers(id content.ChunkID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.has(id)
}

// Frame returns what the store below has, else, of a chunk, what a path has: verified, and raw.
func (s *Store) Frame(ctx context.Context, k store.Key, room []byte) (store.Frame, error) {
	f, err := s.Collector.Frame(ctx, k, room)
	if k.Kind != store.KindChunk || !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
		return f, err
	}
	raw, found, readErr := s.chunk(ctx, k.ID, room)
	switch {
	case readErr != nil:
		return store.Frame{}, readErr
	case !found:
		return store.Frame{}, err
	}
	return store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}, nil
}

// Condemn passes on to the store below: what comes from a path is verified already.
func (s *Store) Condemn(ctx context.Context, k store.Key) error {
	if below, ok := s.Collector.(store.Condemner); ok {
		return below.Condemn(ctx, k)
	}
	return nil
}

// chunk reads a chunk from the paths that have it, one after the other. What a path does not give any more loses it its
// place. err is why one that may have the chunk could not be read just now, where no other has it.
func (s *Store) chunk(ctx context.Context, id content.ChunkID, room []byte) (raw []byte, found bool, err error) {
	s.mu.RLock()
	refs := slices.Clone(s.table.find(id))
	s.mu.RUnlock()
	for _, r := range refs {
		raw, readErr := s.read(ctx, r, id, room)
		if readErr == nil {
			return raw, true, nil
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		switch {
		case errors.Is(readErr, errNotIt):
		case errors.Is(readErr, errBelow), s.paths.Short(readErr):
			err = readErr
		default:
			s.lose(r.place, readErr)
		}
	}
	return nil, false, err
}

// errBelow says that the store below could not be asked for a body.
var errBelow = errors.New("its body cannot be read")

// errNotIt says that what was remembered under a chunk's hash is another chunk.
var errNotIt = errors.New("another chunk")

func (s *Store) read(ctx context.Context, r ref, id content.ChunkID, room []byte) ([]byte, error) {
	s.paths.Hold(ctx, r.place.path)
	o, err := s.open(ctx, r.place)
	if err != nil {
		return nil, err
	}
	if int(r.chunk) >= len(o.body.Chunks) || o.body.Chunks[r.chunk].ID != id {
		return nil, errNotIt
	}
	piece := o.body.Chunks[r.chunk]
	raw := slices.Grow(room[:0], int(piece.Length))[:piece.Length]
	if _, err := o.nar.ReadAt(raw, int64(o.index.Start(int(r.chunk)))); err != nil {
		return nil, err
	}
	if err := piece.Verify(o.rewriter.Normalise(int(r.chunk), raw)); err != nil {
		return nil, fmt.Errorf("the files are not what they were: %w", err)
	}
	return raw, nil
}
