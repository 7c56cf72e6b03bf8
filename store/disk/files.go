package disk

import (
	"container/list"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/flurry-nix/flurry/internal/durable"
)

const packSuffix = ".pack"

// packName is the file name of pack number id.
func packName(id uint32) string {
	digits := strconv.FormatUint(uint64(id), 16)
	return strings.Repeat("0", 8-len(digits)) + digits + packSuffix
}

// parsePackName is the inverse of packName. ok is false for any other name.
func parsePackName(name string) (id uint32, ok bool) {
	digits, ok := strings.CutSuffix(name, packSuffix)
	n, err := strconv.ParseUint(digits, 16, 32)
	if !ok || err != nil || packName(uint32(n)) != name {
		return 0, false
	}
	return uint32(n), true
}

// files is the packs that are open for reading: those in use, and of the
// others the most recently used.
type files struct {
	fsys durable.FS
	dir  string
	max  int

	mu    sync.Mutex
	open  map[uint32]*list.Element // of *openFile
	order list.List                // most recently used first
}

// openFile is guarded by its files' mu but for f, which does not change.
type openFile struct {
	id    uint32
	f     durable.File
	users int
}

func newFiles(fsys durable.FS, dir string, max int) *files {
	return &files{fsys: fsys, dir: dir, max: max, open: make(map[uint32]*list.Element)}
}

// acquire opens pack id for reading, or finds it open. The caller releases it.
func (fs *files) acquire(id uint32) (*openFile, error) {
	if o := fs.use(id); o != nil {
		return o, nil
	}
	f, err := fs.fsys.OpenFile(filepath.Join(fs.dir, packName(id)), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if o := fs.use(id); o != nil { // somebody else was faster
		f.Close()
		return o, nil
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	o := &openFile{id: id, f: f, users: 1}
	if _, ok := fs.open[id]; !ok {
		fs.open[id] = fs.order.PushFront(o)
		fs.evict()
	} // else it is this caller's own, and closed at release
	return o, nil
}

func (fs *files) use(id uint32) *openFile {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	e, ok := fs.open[id]
	if !ok {
		return nil
	}
	fs.order.MoveToFront(e)
	o := e.Value.(*openFile)
	o.users++
	return o
}

// release gives back what acquire gave.
func (fs *files) release(o *openFile) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	o.users--
	if e, ok := fs.open[o.id]; o.users == 0 && (!ok || e.Value != o) {
		o.f.Close()
	}
	fs.evict()
}

// evict closes the least recently used files that nobody uses, down to max. It
// needs mu.
func (fs *files) evict() {
	for e := fs.order.Back(); e != nil && len(fs.open) > fs.max; {
		o, prev := e.Value.(*openFile), e.Prev()
		if o.users == 0 {
			fs.order.Remove(e)
			delete(fs.open, o.id)
			o.f.Close()
		}
		e = prev
	}
}

// forget closes pack id, once nobody uses it any more.
func (fs *files) forget(id uint32) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	e, ok := fs.open[id]
	if !ok {
		return
	}
	fs.order.Remove(e)
	delete(fs.open, id)
	if o := e.Value.(*openFile); o.users == 0 {
		o.f.Close()
	}
}

// close closes every file. Nobody uses one any more.
func (fs *files) close() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, e := range fs.open {
		e.Value.(*openFile).f.Close()
	}
	clear(fs.open)
	fs.order.Init()
}
