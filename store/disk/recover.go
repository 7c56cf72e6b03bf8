package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
)

// recover makes the index say what the packs hold, and finds the packs that can
// be appended to.
func (s *Store) recover(ctx context.Context) error {
	ids, err := listPacks(s.writers.dir)
	if err != nil {
		return err
	}
	known := s.index.states()
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, runtime.GOMAXPROCS(0))
		errs  = make([]error, len(ids))
		found = make([]*pack, len(ids))
	)
	for i, id := range ids {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			found[i], errs[i] = s.recoverPack(ctx, id, known[id].settled)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.adopt(ids, found, known)
	return nil
}

// adopt gives the writers the packs there are. A number that was ever used is
// not used again: the index may still point into a pack that is gone.
func (s *Store) adopt(ids []uint32, found []*pack, known map[uint32]packState) {
	w := s.writers
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, id := range ids {
		w.nextID = max(w.nextID, id+1)
		w.count++
		if found[i] != nil {
			w.free = append(w.free, found[i])
		}
		delete(known, id)
	}
	for id, state := range known {
		w.nextID = max(w.nextID, id+1)
		if state.live > 0 {
			s.log.Error("store: a pack is missing; what was in it is out of use", "pack", packName(id), "bytes", state.live)
		}
	}
}

func listPacks(dir string) ([]uint32, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, e := range entries {
		if id, ok := parsePackName(e.Name()); ok && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// recoverPack indexes what pack id holds beyond settled, and cuts off what is
// no record at its end. It returns the pack if it can be appended to.
func (s *Store) recoverPack(ctx context.Context, id uint32, settled int64) (*pack, error) {
	path := filepath.Join(s.writers.dir, packName(id))
	file, err := s.writers.fsys.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", packName(id), err)
	}
	s.room.used.Add(size)
	if size > math.MaxUint32 {
		return nil, fmt.Errorf("pack %s has %d bytes; no version makes such", packName(id), size)
	}
	m, ok, err := findMark(ctx, file, id, size)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", packName(id), err)
	}
	if !ok && size <= packHeader && settled == 0 {
		s.room.used.Add(-size) // a crash while it was being made
		return nil, s.writers.fsys.Remove(path)
	}
	if !ok || size < settled {
		s.log.LogAttrs(ctx, slog.LevelError, "store: a pack is damaged at its beginning or cut short; it is not written to any more",
			slog.String("pack", packName(id)), slog.Int64("bytes", size), slog.Int64("known", settled))
		return nil, nil
	}
	end := max(settled, packHeader)
	if size > end {
		if end, err = s.recoverTail(ctx, file, id, m, end, size); err != nil {
			return nil, fmt.Errorf("pack %s: %w", packName(id), err)
		}
	}
	if end < size {
		s.log.LogAttrs(ctx, slog.LevelInfo, "store: cut off an unfinished record", slog.String("pack", packName(id)), slog.Int64("bytes", size-end))
		if err := file.Truncate(end); err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "store: cutting failed; the pack is not written to any more", slog.String("error", err.Error()))
			return nil, nil
		}
		s.room.used.Add(end - size)
	}
	return &pack{id: id, mark: m, index: s.index, pending: s.pending, end: end, settled: end}, nil
}

// recoverTail indexes the records between from and size, and returns the end of
// the last. They were perhaps never fsynced, so that comes first: once in the
// index, they are there for good.
func (s *Store) recoverTail(ctx context.Context, file durable.File, id uint32, m mark, from, size int64) (int64, error) {
	if err := file.Sync(); err != nil {
		return 0, err
	}
	var (
		raw     []byte
		entries = make(map[store.Key]location)
		upTo    = from
	)
	flush := func() error {
		list := make([]entry, 0, len(entries))
		for k, at := range entries {
			list = append(list, entry{k, at})
		}
		clear(entries)
		return s.index.add(id, list, upTo)
	}
	end, err := scan(ctx, file, m, from, size, func(rec record, off int64, f store.Frame) error {
		upTo = off + rec.size()
		var err error
		if raw, err = s.codec.Decode(raw[:0], f); err == nil {
			err = store.Check(rec.key, raw)
		}
		if err != nil {
			return err // corrupt: passed over
		}
		entries[rec.key] = rec.at(id, off)
		if len(entries) < maxBacklog {
			return nil
		}
		return flush()
	})
	if err != nil {
		return 0, err
	}
	upTo = end
	if err := flush(); err != nil {
		return 0, err
	}
	return end, nil
}
