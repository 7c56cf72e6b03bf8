package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"syscall"

	"github.com/flurry-nix/flurry/store"
)

// Frame implements [store.Reader]. The record's checksums are checked at every
// read.
func (s *Store) Frame(ctx context.Context, k store.Key, room []byte) (store.Frame, error) {
	if err := s.enter(ctx); err != nil {
		return store.Frame{}, err
	}
	defer s.leave()
	var err error
	for range readTries {
		at, ok, lerr := s.locate(k)
		if lerr != nil {
			return store.Frame{}, lerr
		}
		if !ok {
			return store.Frame{}, fmt.Errorf("%v: %w", k, store.ErrNotFound)
		}
		var f store.Frame
		if f, err = s.read(k, at, room); err == nil {
			return f, nil
		}
		if !errors.Is(err, store.ErrCorrupt) {
			break
		}
		out, cerr := s.condemn(ctx, k, at)
		if cerr != nil || out {
			err = errors.Join(err, cerr)
			break
		} // else it is elsewhere now, or right at second sight
	}
	return store.Frame{}, fmt.Errorf("read %v: %w", k, err)
}

// Has implements [store.Reader].
func (s *Store) Has(ctx context.Context, k store.Key) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	_, ok, err := s.locate(k)
	return ok, err
}

// locate finds where k lies. An entry goes into the index before it leaves
// pending, so looking in this order misses nothing.
func (s *Store) locate(k store.Key) (location, bool, error) {
	if at, ok := s.pending.find(k); ok {
		return at, true, nil
	}
	return s.index.get(k)
}

// read reads the record of k at at, into room if it is large enough. An error wraps store.ErrCorrupt when the
// bytes are not there or wrong, and does not when the system failed to say.
func (s *Store) read(k store.Key, at location, room []byte) (store.Frame, error) {
	file, err := s.files.acquire(at.pack)
	if errors.Is(err, fs.ErrNotExist) {
		return store.Frame{}, fmt.Errorf("%w: pack %s is missing", store.ErrCorrupt, packName(at.pack))
	}
	if err != nil {
		return store.Frame{}, err
	}
	defer s.files.release(file)
	buf := slices.Grow(room[:0], int(at.size()))[:at.size()]
	if n, err := file.f.ReadAt(buf, int64(at.offset)); n < len(buf) {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) {
			err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		}
		return store.Frame{}, fmt.Errorf("pack %s at %d: %w", packName(at.pack), at.offset, err)
	}
	_, rec, err := parseRecord(buf)
	if err == nil && (rec.key != k || rec.at(at.pack, int64(at.offset)) != at) {
		err = fmt.Errorf("%w: the record of %v lies there", store.ErrCorrupt, rec.key)
	}
	if err != nil {
		return store.Frame{}, fmt.Errorf("pack %s at %d: %w", packName(at.pack), at.offset, err)
	}
	f, err := rec.frame(buf[recordHeader:])
	if err != nil {
		return store.Frame{}, fmt.Errorf("pack %s at %d: %w", packName(at.pack), at.offset, err)
	}
	return f, nil
}

// verify reads the record of k at at and checks it against its id.
func (s *Store) verify(k store.Key, at location) error {
	f, err := s.read(k, at, nil)
	if err != nil {
		return err
	}
	raw, err := s.codec.Decode(nil, f)
	if err != nil {
		return err
	}
	return store.Check(k, raw)
}

// Condemn implements [store.Condemner].
func (s *Store) Condemn(ctx context.Context, k store.Key) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	at, ok, err := s.locate(k)
	if err != nil || !ok {
		return err
	}
	_, err = s.condemn(ctx, k, at)
	return err
}

// condemn looks again at the record of k, and if k still lies there and is
// damaged puts it out of use. out is whether it did.
func (s *Store) condemn(ctx context.Context, k store.Key, at location) (out bool, err error) {
	stripe := s.stripe(k)
	stripe.Lock()
	defer stripe.Unlock()
	now, ok, err := s.locate(k)
	if err != nil || !ok || now != at {
		return false, err
	}
	why := s.verify(k, at)
	if why == nil || !errors.Is(why, store.ErrCorrupt) {
		return false, why
	}
	s.log.LogAttrs(ctx, slog.LevelWarn, "store: content is damaged and out of use",
		slog.String("key", k.String()), slog.String("error", why.Error()))
	if _, waits := s.pending.find(k); waits {
		if p := s.writers.find(at.pack); p != nil {
			p.fail(fmt.Errorf("%v, read back: %w", k, why))
		}
	}
	now, ok, err = s.index.get(k)
	if err != nil || !ok || now != at {
		return true, err
	}
	if err := s.index.condemn(k, at); err != nil {
		return false, fmt.Errorf("put %v out of use: %w", k, err)
	}
	return true, nil
}
