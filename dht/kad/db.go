package kad

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	pebbleds "github.com/ipfs/go-ds-pebble"
)

// ErrNewer says that a store was written by a version that this one does not
// know.
var ErrNewer = errors.New("the DHT's store was written by a newer flurry")

// The store has one format so far. Its keys are formatKey, those of [provided],
// those of [known], and those of the Kademlia library, which begin with '/'.
const (
	formatKey = "format"
	format    = "1"
)

// db is the store of one router: the keys that it provides and the records that it
// keeps for others.
type db struct {
	*pebble.DB
	ds    *pebbleds.Datastore // the same, as the library wants it
	cache *pebble.Cache
}

// openDB opens the store in dir, or one in memory when dir is empty.
func openDB(dir string, log *slog.Logger) (*db, error) {
	fs := vfs.FS(vfs.Default)
	if dir == "" {
		fs = vfs.NewMem()
	}
	cache := pebble.NewCache(cacheBytes)
	p, err := pebble.Open(dir, pebbleOptions(fs, cache, log))
	if err != nil {
		cache.Unref()
		return nil, fmt.Errorf("open the DHT's store %q: %w", dir, err)
	}
	ds, err := pebbleds.NewDatastore(dir, pebbleds.WithPebbleDB(p))
	if err != nil {
		cache.Unref()
		return nil, errors.Join(fmt.Errorf("open the DHT's store %q: %w", dir, err), p.Close())
	}
	d := &db{DB: p, ds: ds, cache: cache}
	if err := d.checkFormat(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the DHT's store %q: %w", dir, err), d.close())
	}
	return d, nil
}

func pebbleOptions(fs vfs.FS, cache *pebble.Cache, log *slog.Logger) *pebble.Options {
	o := &pebble.Options{
		FS:                 fs,
		Cache:              cache,
		Logger:             pebbleLogger{log},
		MemTableSize:       memTableBytes,
		MaxOpenFiles:       maxOpenFiles,
		FormatMajorVersion: pebble.FormatTableFormatV6, // named, so that a newer library does not change it by itself
	}
	// Without this Pebble ends the process. What cannot be read is a record less.
	o.EventListener = &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) {
		log.Error("the DHT's store is damaged; remove it to start afresh", "file", i.Path, "err", i.Details)
	}}
	o.Experimental.FileCacheShards = 1
	for i := range o.Levels {
		// A record that comes is looked for first, and most are new.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// checkFormat writes the format into a new store and refuses one that it does not
// know.
func (d *db) checkFormat() error {
	v, found, err := d.get([]byte(formatKey))
	switch {
	case err != nil:
		return err
	case !found:
		return d.Set([]byte(formatKey), []byte(format), pebble.Sync)
	case string(v) != format:
		return fmt.Errorf("%w: format %q, this one knows %q", ErrNewer, v, format)
	}
	return nil
}

// get returns a copy of the value at key.
func (d *db) get(key []byte) (value []byte, found bool, err error) {
	v, closer, err := d.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte(nil), v...)
	return value, true, closer.Close()
}

func (d *db) close() error {
	err := d.ds.Close() // which closes the DB
	d.cache.Unref()
	return err
}

// pebbleLogger passes Pebble's complaints on and drops its chatter.
type pebbleLogger struct{ log *slog.Logger }

// Infof implements [pebble.Logger].
func (l pebbleLogger) Infof(string, ...any) {}

// Errorf implements [pebble.Logger].
func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Warn("the DHT's store", "problem", fmt.Sprintf(format, args...))
}

// Fatalf implements [pebble.Logger]. It must not return: Pebble calls it where it
// could only go on by losing what it promised, on a full disk for example. A panic
// might be recovered further up, with Pebble's locks held.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.log.Error("the DHT's store cannot go on", "problem", fmt.Sprintf(format, args...))
	os.Exit(1)
}
