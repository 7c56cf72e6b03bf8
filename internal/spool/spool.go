// Package spool keeps, on the disk, the store paths that are to be published: what a build hook or the watch over this
// machine's Nix found, until it is published or cannot be.
//
// It owns the directory queue in a state directory, and the form of the files in it: one entry a file, written whole or
// not at all, so that neither a crash of who adds nor one of who publishes loses or tears one. Many processes may add at
// once, among them ones of root's in the directory of another user; one removes. It decides nothing: when something is
// published, to what, and what becomes of failures is for its user to say.
package spool

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/nix"
)

// Dir is the queue's directory in a state directory. Others may keep files in it whose names do not end in [suffix].
const Dir = "queue"

const (
	suffix = ".queued"
	aside  = ".damaged"
	schema = "flurry/queued/1"
)

// ErrFull says that the queue has no room for another entry.
var ErrFull = errors.New("the queue is full")

// Entry is paths that were found together.
type Entry struct {
	Time time.Time
	// Why says what found them: "hook" or "always".
	Why string
	// Namespaces are addresses or aliases; none: all that take what the hook gives.
	Namespaces []string
	Paths      []nix.StorePath
}

// entryFile is an entry's form on the disk: a JSON object.
type entryFile struct {
	Schema     string    `json:"schema"`
	Time       time.Time `json:"time"`
	Why        string    `json:"why"`
	Namespaces []string  `json:"namespaces,omitempty"`
	Paths      []string  `json:"paths"`
}

// DamagedError says that a file of the queue is no entry.
type DamagedError struct {
	Name string
	Err  error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is no entry: %v", e.Name, e.Err) }

func (e *DamagedError) Unwrap() error { return e.Err }

// Queue is the queue of one state directory. Add may be called by anybody at any time; the other methods are for one
// user at a time.
type Queue struct {
	root *os.Root
	fsys rooted
	most int // entries
}

// Open opens the queue in a state directory, which has to be there; the queue is made if it is missing, and belongs to
// whom the state directory belongs. Whatever lies in the state directory, nothing outside of it is touched.
func Open(state string) (*Queue, error) {
	root, err := os.OpenRoot(state)
	if err != nil {
		return nil, fmt.Errorf("open the queue: %w", err)
	}
	q := &Queue{root: root, fsys: rooted{root}, most: maxEntries}
	if err := q.make(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the queue: %w", err), root.Close())
	}
	return q, nil
}

// make makes the directory, for whoever owns the state directory.
func (q *Queue) make() error {
	err := q.root.Mkdir(Dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := q.root.Stat(".")
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		if err := q.root.Lchown(Dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return q.fsys.SyncDir(".")
}

// Close ends the use of the queue.
func (q *Queue) Close() error { return q.root.Close() }

// Add puts an entry at the end of the queue. When it returns nil the entry survives a loss of power.
func (q *Queue) Add(e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	names, err := q.names(suffix)
	if err != nil {
		return err
	}
	if len(names) >= q.most {
		return fmt.Errorf("%w: %d entries wait", ErrFull, len(names))
	}
	text, err := e.text()
	if err != nil {
		return err
	}
	if len(text) >= maxEntry {
		return fmt.Errorf("an entry of %d bytes: at most %d", len(text), maxEntry)
	}
	var salt [8]byte
	_, _ = rand.Read(salt[:]) // documented never to fail
	name := fmt.Sprintf("%020d-%s%s", max(e.Time.UnixNano(), 0), hex.EncodeToString(salt[:]), suffix)
	// Readable by all whom the directory lets in: what root adds is read by the daemon's user.
	return durable.WriteFile(q.fsys, filepath.Join(Dir, name), append(text, '\n'), 0o644)
}

// text is the entry's form on the disk.
func (e Entry) text() ([]byte, error) {
	file := entryFile{Schema: schema, Time: e.Time.UTC(), Why: e.Why, Namespaces: e.Namespaces}
	for _, p := range e.Paths {
		file.Paths = append(file.Paths, p.String())
	}
	return json.Marshal(file)
}

// check refuses what Read would.
func (e Entry) check() error {
	switch {
	case len(e.Paths) == 0:
		return errors.New("no path")
	case len(e.Paths) > MaxPaths:
		return fmt.Errorf("%d paths, at most %d go into one entry", len(e.Paths), MaxPaths)
	case len(e.Namespaces) > maxNamespaces:
		return fmt.Errorf("%d namespaces, at most %d", len(e.Namespaces), maxNamespaces)
	}
	return nil
}

// Names lists the entries, the oldest first.
func (q *Queue) Names() ([]string, error) {
	names, err := q.names(suffix)
	slices.Sort(names)
	return names, err
}

func (q *Queue) names(suffix string) ([]string, error) {
	dir, err := q.root.Open(Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	all, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(name string) bool { return !strings.HasSuffix(name, suffix) }), nil
}

// Read reads an entry. What is no entry is a *DamagedError.
func (q *Queue) Read(name string) (Entry, error) {
	f, err := q.root.Open(filepath.Join(Dir, name))
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return Entry{}, &DamagedError{name, errors.Join(err, errors.New("not a file"))}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	if err != nil {
		return Entry{}, err
	}
	e, err := parse(text)
	if err != nil {
		return Entry{}, &DamagedError{name, err}
	}
	return e, nil
}

func parse(text []byte) (Entry, error) {
	if len(text) > maxEntry {
		return Entry{}, fmt.Errorf("longer than %d bytes", maxEntry)
	}
	var file entryFile
	if err := json.Unmarshal(text, &file); err != nil {
		return Entry{}, err
	}
	if file.Schema != schema {
		return Entry{}, fmt.Errorf("its schema is %.40q", file.Schema)
	}
	e := Entry{Time: file.Time, Why: file.Why, Namespaces: file.Namespaces}
	for _, s := range file.Paths {
		p, err := nix.ParseStorePath(s)
		if err != nil {
			return Entry{}, err
		}
		e.Paths = append(e.Paths, p)
	}
	return e, e.check()
}

// Remove takes an entry out. One that is gone already is no error.
func (q *Queue) Remove(name string) error {
	err := q.root.Remove(filepath.Join(Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SetAside takes a file that is no entry out of the queue, and keeps the last few of them for people to look at.
func (q *Queue) SetAside(name string) error {
	old, err := q.names(aside)
	if err != nil {
		return err
	}
	slices.Sort(old)
	for len(old) >= maxAside {
		if err := q.root.RemoveAll(filepath.Join(Dir, old[0])); err != nil {
			return err
		}
		old = old[1:]
	}
	return q.root.Rename(filepath.Join(Dir, name), filepath.Join(Dir, name+aside))
}

// Tidy removes what crashes left of entries that were never added, if it is older than before: who adds now is not
// disturbed.
func (q *Queue) Tidy(before time.Time) error {
	names, err := q.names(suffix + ".tmp")
	if err != nil {
		return err
	}
	for _, name := range names {
		name = filepath.Join(Dir, name)
		info, err := q.root.Lstat(name)
		if err == nil && info.ModTime().Before(before) {
			err = q.root.Remove(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// rooted is the file operations below one directory: no link leads out of it.
type rooted struct{ root *os.Root }

var _ durable.FS = rooted{}

func (r rooted) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	f, err := r.root.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return sized{f}, nil
}

func (r rooted) Rename(oldname, newname string) error { return r.root.Rename(oldname, newname) }

func (r rooted) Remove(name string) error { return r.root.Remove(name) }

func (r rooted) SyncDir(name string) error {
	d, err := r.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sized adds Size to *os.File.
type sized struct{ *os.File }

func (f sized) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
