package disk

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// openPebble opens the database in dir, small: an idle one holds some MiB. When
// the disk is full onFull is called, and what failed is tried once more. When
// what is on the disk is damaged onDamage is called, perhaps often; without it
// Pebble would end the process.
func openPebble(dir string, onFull func(), onDamage func(error), log *slog.Logger) (*pebble.DB, error) {
	cache := pebble.NewCache(indexCache)
	defer cache.Unref() // the database holds it from here on
	o := &pebble.Options{
		FS:           vfs.OnDiskFull(vfs.Default, onFull),
		Cache:        cache,
		MemTableSize: indexMemTable,
		MaxOpenFiles: indexFiles,
		Logger:       pebbleLog{log},
		// Background write-back of the log, since commits do not sync it: what a
		// loss of power takes from the index is read again from the packs.
		WALBytesPerSync: 256 << 10,
		// Named, not "newest": a new library must not make the store unreadable
		// for the version before it by itself.
		FormatMajorVersion: pebble.FormatTableFormatV6,
	}
	o.EventListener = &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) { onDamage(i.Details) }}
	o.Experimental.FileCacheShards = 1
	for i := range o.Levels {
		o.TargetFileSizes[i] = indexTable
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)                                             // most questions are about what is not here
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // ids do not compress
	}
	return pebble.Open(dir, o)
}

// pebbleLog passes on what an operator can act upon.
type pebbleLog struct{ log *slog.Logger }

// Infof implements pebble.Logger: flushes and compactions are nobody's news.
func (pebbleLog) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "store index", slog.String("problem", fmt.Sprintf(format, args...)))
}

// Fatalf implements pebble.Logger. Pebble calls it when it cannot go on without
// breaking a promise, with its locks held, and does not expect it to return.
func (l pebbleLog) Fatalf(format string, args ...any) {
	l.log.LogAttrs(context.Background(), slog.LevelError, "store index cannot go on", slog.String("problem", fmt.Sprintf(format, args...)))
	os.Exit(1)
}
