package disk_test

import (
	"io/fs"
	"syscall"

	"github.com/flurry-nix/flurry/internal/durable"
)

// badSector is a file system on which some bytes of every file cannot be read.
type badSector struct {
	durable.FS
	from, to int64
}

func (b *badSector) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	f, err := b.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &badSectorFile{f, b}, nil
}

type badSectorFile struct {
	durable.File
	b *badSector
}

func (f *badSectorFile) ReadAt(p []byte, off int64) (int, error) {
	if off < f.b.to && off+int64(len(p)) > f.b.from {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(p, off)
}
