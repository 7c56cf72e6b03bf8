package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/internal/durable"
)

// countingFS counts the files that are open.
type countingFS struct {
	durable.OS
	mu   sync.Mutex
	open int
	most int
}

func (c *countingFS) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	f, err := c.OS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open++
	c.most = max(c.most, c.open)
	return &countedFile{f, c}, nil
}

type countedFile struct {
	durable.File
	c *countingFS
}

func (f *countedFile) Close() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	f.c.open--
	return f.File.Close()
}

func TestFiles(t *testing.T) {
	const packs, max, workers = 20, 4, 8
	dir := t.TempDir()
	for id := range uint32(packs) {
		if err := os.WriteFile(filepath.Join(dir, packName(id)), []byte{byte(id)}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &countingFS{}
	files := newFiles(c, dir, max)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range 400 {
				id := uint32(i*(w+1)) % packs
				o, err := files.acquire(id)
				if err != nil {
					t.Error(err)
					return
				}
				var b [1]byte
				if _, err := o.f.ReadAt(b[:], 0); err != nil || b[0] != byte(id) {
					t.Errorf("pack %d: read %v, %v", id, b, err)
				}
				files.release(o)
			}
		})
	}
	wg.Wait()
	if c.most > max+2*workers {
		t.Errorf("%d files were open at once", c.most)
	}
	if c.open > max {
		t.Errorf("%d files stay open; want %d", c.open, max)
	}
	if _, err := files.acquire(packs); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pack that is not there: %v", err)
	}
	files.close()
	if c.open != 0 {
		t.Errorf("%d files are open after close", c.open)
	}
}

// The files used last are the ones that stay open.
func TestFilesOrder(t *testing.T) {
	dir := t.TempDir()
	c := &countingFS{}
	files := newFiles(c, dir, 2)
	for id := range uint32(3) {
		if err := os.WriteFile(filepath.Join(dir, packName(id)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []uint32{0, 1, 0, 2} {
		o, err := files.acquire(id)
		if err != nil {
			t.Fatal(err)
		}
		files.release(o)
	}
	for id, want := range map[uint32]bool{0: true, 1: false, 2: true} {
		if _, ok := files.open[id]; ok != want {
			t.Errorf("pack %d is open: %v", id, ok)
		}
	}
	held, err := files.acquire(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint32{0, 2} {
		o, err := files.acquire(id)
		if err != nil {
			t.Fatal(err)
		}
		files.release(o)
	}
	if _, err := held.f.Size(); err != nil {
		t.Errorf("a file in use was closed: %v", err)
	}
	files.release(held)
	files.close()
}
