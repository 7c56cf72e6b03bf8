// Package disk keeps a catalog's index in Pebble, a log-structured merge tree in
// one directory. It is [catalog.KV] and no more: it does not know what the keys
// mean. What is in it can be made again from the signed texts, see
// [catalog.Catalog.Rebuild].
package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/flurry-nix/flurry/catalog"
)

// KV is a [catalog.KV] in a directory.
type KV struct {
	db    *pebble.DB
	cache *pebble.Cache
}

var _ catalog.KV = (*KV)(nil)

// damagedName is a file that stands in a directory whose index was found damaged:
// the next Open says so at once, and its owner makes the index anew.
const damagedName = "DAMAGED"

// Open opens the store in dir, which it creates when there is none. One process
// can have it open at a time. catalog.ErrDamaged: it was found damaged, now or
// before, and nothing can be made of it; remove the directory.
//
// What is found damaged later does not end the process: the question that met it
// fails, and the next Open refuses. Pebble ends the process when it cannot write its
// log, a full disk for example: the caller keeps a reserve.
func Open(dir string, log *slog.Logger) (*KV, error) {
	return openFS(dir, vfs.Default, log)
}

func openFS(dir string, fs vfs.FS, log *slog.Logger) (*KV, error) {
	cache := pebble.NewCache(cacheSize)
	mark := fs.PathJoin(dir, damagedName)
	if _, err := fs.Stat(mark); err == nil {
		cache.Unref()
		return nil, fmt.Errorf("open catalog index %s: %w", dir, catalog.ErrDamaged)
	}
	o := options(fs, cache, log)
	o.EventListener = &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) {
		log.Error("the catalog's index is damaged; it is made anew at the next start", "file", i.Path, "err", i.Details)
		if f, err := fs.Create(mark, vfs.WriteCategoryUnspecified); err == nil {
			_ = f.Close() // an empty file: its name says it all
		}
	}}
	db, err := pebble.Open(dir, o)
	if pebble.IsCorruptionError(err) {
		err = errors.Join(catalog.ErrDamaged, err)
	}
	if err != nil {
		cache.Unref()
		return nil, fmt.Errorf("open catalog index %s: %w", dir, err)
	}
	return &KV{db: db, cache: cache}, nil
}

func options(fs vfs.FS, cache *pebble.Cache, log *slog.Logger) *pebble.Options {
	o := &pebble.Options{
		FS:           fs,
		Cache:        cache,
		Logger:       logger{log},
		MemTableSize: memTableSize,
		MaxOpenFiles: maxOpenFiles,
		// Much that is written at once is merged with what is below in fewer turns.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: 24,
		BytesPerSync:          128 << 10,
		// Named, so that a newer library does not by itself make the index
		// unreadable for the version before.
		FormatMajorVersion: pebble.FormatTableFormatV6,
	}
	o.Experimental.FileCacheShards = 1
	for i := range o.Levels {
		// Most questions are about hashes that are not here.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// Entries repeat the base names of their references. zstd makes the index
		// a fifth smaller, and took as long as verifying half of the entries.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		o.Levels[i].BlockSize = 8 << 10
	}
	return o
}

// Close flushes and closes. The KV is not used after it.
func (s *KV) Close() error {
	err := s.db.Close()
	s.cache.Unref()
	return err
}

// Get implements [catalog.KV].
func (s *KV) Get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, catalog.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read catalog index: %w", err)
	}
	value := append(make([]byte, 0, len(v)), v...)
	return value, closer.Close()
}

// Scan implements [catalog.KV].
func (s *KV) Scan(prefix, from []byte, fn func(k, v []byte) (bool, error)) (err error) {
	o := &pebble.IterOptions{UpperBound: after(prefix)}
	if len(prefix) > 0 { // an empty bound is not the same as none to every part of Pebble
		o.LowerBound = prefix
	}
	it, err := s.db.NewIter(o)
	if err != nil {
		return fmt.Errorf("read catalog index: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := seek(it, from); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read catalog index: %w", err)
		}
		if more, err := fn(it.Key(), v); err != nil || !more {
			return err
		}
	}
	return it.Error()
}

// seek goes to the first key not before from. An empty key is nothing to seek.
func seek(it *pebble.Iterator, from []byte) bool {
	if len(from) == 0 {
		return it.First()
	}
	return it.SeekGE(from)
}

// Apply implements [catalog.KV].
func (s *KV) Apply(ops []catalog.Op, sync bool) error {
	b := s.db.NewBatch()
	defer b.Close()
	for _, op := range ops {
		if err := add(b, op); err != nil {
			return fmt.Errorf("write catalog index: %w", err)
		}
	}
	o := pebble.NoSync
	if sync {
		o = pebble.Sync
	}
	if err := b.Commit(o); err != nil {
		return fmt.Errorf("write catalog index: %w", err)
	}
	return nil
}

func add(b *pebble.Batch, op catalog.Op) error {
	switch op.Kind {
	case catalog.OpPut:
		return b.Set(op.Key, op.Value, nil)
	case catalog.OpDelete:
		return b.Delete(op.Key, nil)
	case catalog.OpDeletePrefix:
		end := after(op.Key)
		if end == nil {
			return fmt.Errorf("delete under %q: no key follows it", op.Key)
		}
		return b.DeleteRange(op.Key, end, nil)
	}
	return fmt.Errorf("operation of unknown kind %d", op.Kind)
}

// after returns the first key that follows all keys with that prefix, or nil
// where none does.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// logger passes Pebble's complaints on and drops its chatter.
type logger struct{ log *slog.Logger }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.log.Log(context.Background(), slog.LevelWarn, "catalog index", "problem", fmt.Sprintf(format, args...))
}

// Fatalf must not return: Pebble calls it where it could only go on by losing
// what it promised. A panic might be recovered by an HTTP server, with Pebble's
// locks held.
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("catalog index cannot go on", "problem", fmt.Sprintf(format, args...))
	os.Exit(1)
}
