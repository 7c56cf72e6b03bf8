package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// Ballast is a file that takes up room until the room is needed. Software that
// cannot live with a full disk (a database that ends the process when it
// cannot write its log) gets that room when [Ballast.Release] drops the file,
// and so the time to finish what it began.
//
// A Ballast is safe for concurrent use.
type Ballast struct {
	fsys FS
	path string
	size int64

	mu   sync.Mutex
	held bool
}

// ballastStep is how much of a ballast is written at a time, in bytes.
const ballastStep = 1 << 20

// NewBallast is a ballast of size bytes in the file path. What an earlier
// process left there counts, if it has the size. Nothing is written before
// [Ballast.Hold].
func NewBallast(fsys FS, path string, size int64) *Ballast {
	fi, err := os.Stat(path)
	return &Ballast{fsys: fsys, path: path, size: size, held: err == nil && fi.Size() == size}
}

// Hold takes the room, if it is not held already. The file is filled with
// bytes that do not compress, so that file systems that compress or keep
// sparse files really set it aside. When it fails nothing is held.
func (b *Ballast) Hold() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held {
		return nil
	}
	if err := b.fill(); err != nil {
		_ = b.fsys.Remove(b.path)
		return fmt.Errorf("ballast: %w", err)
	}
	b.held = true
	return nil
}

func (b *Ballast) fill() error {
	f, err := b.fsys.OpenFile(b.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	noise := rand.NewChaCha8([32]byte([]byte("flurry ballast: nothing of value")))
	buf := make([]byte, min(b.size, ballastStep))
	for off := int64(0); off < b.size; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), b.size-off)]
		_, _ = noise.Read(buf) // documented never to fail
		if _, err := f.WriteAt(buf, off); err != nil {
			f.Close()
			return err
		}
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return b.fsys.SyncDir(filepath.Dir(b.path))
}

// Release gives the room back. It needs none itself.
func (b *Ballast) Release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.held {
		return nil
	}
	if err := b.fsys.Remove(b.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ballast: %w", err)
	}
	b.held = false
	return nil
}

// Held tells whether the room is set aside now.
func (b *Ballast) Held() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held
}

// Size is the ballast's size in bytes, held or not.
func (b *Ballast) Size() int64 { return b.size }
