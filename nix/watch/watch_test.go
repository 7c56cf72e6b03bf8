//go:build linux

package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a Nix in two directories of the test's, and a listener that remembers what it was told.
type machine struct {
	t         *testing.T
	store, db string

	mu     sync.Mutex
	valid  map[nix.StorePath]daemon.PathInfo
	told   map[nix.StorePath]int
	until  time.Time
	lists  int   // how often all valid paths were asked for
	asked  int   // about how many paths it was asked
	broken error // what Nix answers
	deaf   error // what the listener answers
}

func newMachine(t *testing.T) *machine {
	dir := t.TempDir()
	m := &machine{t: t, store: filepath.Join(dir, "store"), db: filepath.Join(dir, "db"), valid: make(map[nix.StorePath]daemon.PathInfo), told: make(map[nix.StorePath]int)}
	m.make(m.store)
	m.make(m.db)
	m.write(filepath.Join(m.db, theDB))
	return m
}

func (m *machine) make(dir string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(name string) {
	if err := os.WriteFile(name, []byte(name), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) remove(name string) {
	if err := os.Remove(name); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) ValidPaths(context.Context) ([]nix.StorePath, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	var all []nix.StorePath
	for p := range m.valid {
		all = append(all, p)
	}
	return all, m.broken
}

func (m *machine) Infos(_ context.Context, paths []nix.StorePath) ([]daemon.PathInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked += len(paths)
	var infos []daemon.PathInfo
	for _, p := range paths {
		if info, ok := m.valid[p]; ok {
			infos = append(infos, info)
		}
	}
	return infos, m.broken
}

func (m *machine) Built(_ context.Context, built []daemon.PathInfo) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deaf != nil {
		return m.deaf
	}
	for _, info := range built {
		m.told[info.Path]++
	}
	return nil
}

func (m *machine) Complete(_ context.Context, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = until
	return nil
}

// path is a store path of its own for each word.
func path(t *testing.T, word string) nix.StorePath {
	t.Helper()
	p, err := nix.ParseBaseName(strings.Repeat("0", 32-len(word)) + strings.Map(func(r rune) rune {
		if strings.ContainsRune("eotu.", r) {
			return 'z'
		}
		return r
	}, word) + "-" + word)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// register makes a path valid.
func (m *machine) register(p nix.StorePath, ultimate bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.valid[p] = daemon.PathInfo{Path: p, Ultimate: ultimate, RegTime: time.Now().Truncate(time.Second)}
}

// build does what Nix does when it builds p here.
func (m *machine) build(p nix.StorePath) {
	m.write(filepath.Join(m.store, p.Base()+".lock"))
	m.write(filepath.Join(m.store, p.Base()))
	m.register(p, true)
	m.write(filepath.Join(m.db, theDB+"-wal"))
	m.remove(filepath.Join(m.store, p.Base()+".lock"))
}

// run watches until the test ends. Nothing is compared but when it has to be.
func (m *machine) run(since time.Time) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, m, m, Options{Store: m.store, Database: m.db, Since: since, Log: slog.New(slog.DiscardHandler), Settle: time.Millisecond, Retry: 5 * time.Millisecond})
	}()
	m.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// wait waits until a condition holds, which is looked at under the lock.
func (m *machine) wait(what string, holds func() bool) {
	m.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		m.mu.Lock()
		ok := holds()
		m.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("in vain was waited until %s", what)
		}
	}
}

// listens waits until the kernel's hints are followed: all was compared once.
func (m *machine) listens() {
	m.t.Helper()
	m.wait("all is compared", func() bool { return m.lists > 0 })
}

func (m *machine) isTold(p nix.StorePath) {
	m.t.Helper()
	m.wait(p.Name()+" is told", func() bool { return m.told[p] > 0 })
}

// TestBuilt: what is built is told, once; what is copied here or a recipe is not; and nobody looks through the store for it.
func TestBuilt(t *testing.T) {
	m := newMachine(t)
	m.run(time.Now())
	m.listens()
	copied, recipe, failed := path(t, "copied"), path(t, "a.drv"), path(t, "failed")
	m.write(filepath.Join(m.store, copied.Base()))
	m.register(copied, false)
	m.write(filepath.Join(m.store, recipe.Base()))
	m.register(recipe, true)
	m.write(filepath.Join(m.store, failed.Base()+".lock"))
	m.remove(filepath.Join(m.store, failed.Base()+".lock"))
	var all []nix.StorePath
	for i := range 20 {
		p := path(t, fmt.Sprintf("b%d", i))
		all = append(all, p)
		m.build(p)
	}
	odd := path(t, "odd.lock") // a path whose name is that of a lock
	m.build(odd)
	for _, p := range append(all, odd) {
		m.isTold(p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.told) != len(all)+1 || m.lists != 1 {
		t.Errorf("%d paths were told, not %d; all valid paths were listed %d times", len(m.told), len(all)+1, m.lists)
	}
	for p, n := range m.told {
		if n != 1 {
			t.Errorf("%s was told %d times", p, n)
		}
	}
}

// TestWithoutLock: a path that appears under its name, without a lock of that name, is told when the database changes.
func TestWithoutLock(t *testing.T) {
	m := newMachine(t)
	m.run(time.Now())
	m.listens()
	p := path(t, "moved")
	m.write(filepath.Join(m.store, p.Base()))
	m.wait("it was asked about in vain", func() bool { return m.asked > 0 })
	m.register(p, true)
	m.write(filepath.Join(m.db, theDB+"-wal"))
	m.isTold(p)
}

// TestSince: at the start what became valid since is told, and not what did before.
func TestSince(t *testing.T) {
	m := newMachine(t)
	old, fresh := path(t, "before"), path(t, "after")
	for _, p := range []nix.StorePath{old, fresh} {
		m.build(p)
	}
	info := m.valid[old]
	info.RegTime = info.RegTime.Add(-time.Hour)
	m.valid[old] = info
	m.run(time.Now().Add(-30 * time.Minute))
	m.isTold(fresh)
	m.wait("it is complete", func() bool { return !m.until.IsZero() })
	if m.told[old] != 0 {
		t.Error("what became valid before was told")
	}
	if late := time.Until(m.until); late > -margin+time.Second {
		t.Errorf("it is said to be complete up to %s ago: what is being registered has an earlier time", -late)
	}
}

// TestOldIsNotAskedAbout: of a store's paths only those are asked about that changed lately.
func TestOldIsNotAskedAbout(t *testing.T) {
	m := newMachine(t)
	w := &watcher{Options: Options{Store: m.store, Since: time.Now().Add(3 * time.Hour)}}
	p := path(t, "old")
	m.write(filepath.Join(m.store, p.Base()))
	if !w.isOld(p) {
		t.Error("a path that changed three hours before is asked about")
	}
	w.Since = time.Now()
	if w.isOld(p) || w.isOld(path(t, "missing")) {
		t.Error("a path that changed now, or cannot be looked at, is not asked about")
	}
}

// TestDatabaseReplaced, TestStoreReplaced, TestNoStoreYet: what cannot have been seen is found by comparing.
func TestDatabaseReplaced(t *testing.T) {
	m := newMachine(t)
	m.run(time.Now())
	m.listens()
	p := path(t, "unseen")
	m.register(p, true)
	m.write(filepath.Join(m.db, "new"))
	if err := os.Rename(filepath.Join(m.db, "new"), filepath.Join(m.db, theDB)); err != nil {
		t.Fatal(err)
	}
	m.isTold(p)
	next := path(t, "next")
	m.build(next)
	m.isTold(next)
}

func TestStoreReplaced(t *testing.T) {
	for _, which := range []string{"store", "db"} {
		t.Run(which, func(t *testing.T) {
			m := newMachine(t)
			m.run(time.Now())
			m.listens()
			dir := filepath.Join(filepath.Dir(m.store), which)
			if err := os.Rename(dir, dir+".old"); err != nil {
				t.Fatal(err)
			}
			p := path(t, "unseen")
			m.register(p, true)
			m.make(dir)
			m.isTold(p)
			next := path(t, "next")
			m.build(next)
			m.isTold(next)
		})
	}
}

func TestNoStoreYet(t *testing.T) {
	m := newMachine(t)
	dir := filepath.Dir(m.store)
	m.store, m.db = filepath.Join(dir, "later"), filepath.Join(dir, "laterdb")
	m.run(time.Now())
	m.make(m.db)
	m.make(m.store)
	m.listens()
	p := path(t, "first")
	m.build(p)
	m.isTold(p)
}

// TestNixDown, TestListenerFails: what could not be asked or told is asked and told again.
func TestNixDown(t *testing.T) {
	m := newMachine(t)
	m.broken = errors.New("down")
	m.run(time.Now())
	m.listens()
	m.mu.Lock()
	m.broken = nil
	m.mu.Unlock()
	first := path(t, "first")
	m.build(first)
	m.isTold(first)
	m.mu.Lock()
	m.broken = errors.New("down")
	before := m.asked
	m.mu.Unlock()
	p := path(t, "second")
	m.build(p)
	m.wait("it was asked about", func() bool { return m.asked > before })
	m.mu.Lock()
	m.broken = nil
	m.mu.Unlock()
	m.isTold(p)
}

func TestListenerFails(t *testing.T) {
	m := newMachine(t)
	m.run(time.Now())
	m.listens()
	m.mu.Lock()
	m.deaf = errors.New("disk full")
	m.mu.Unlock()
	p := path(t, "built")
	m.build(p)
	m.wait("it was asked about again", func() bool { return m.asked > 2 })
	m.mu.Lock()
	m.deaf = nil
	m.mu.Unlock()
	m.isTold(p)
}

// TestOverflow: when the kernel says that it dropped events, and when more names came than are remembered, all is compared.
func TestOverflow(t *testing.T) {
	event := func(wd int32, mask uint32, name string) []byte {
		size := (len(name) + 1 + 15) / 16 * 16
		b := make([]byte, headBytes+size)
		binary.NativeEndian.PutUint32(b, uint32(wd))
		binary.NativeEndian.PutUint32(b[4:], mask)
		binary.NativeEndian.PutUint32(b[12:], uint32(size))
		copy(b[headBytes:], name)
		return b
	}
	for name, test := range map[string]struct {
		bytes []byte
		names map[string]bool
		lost  bool
	}{
		"names":       {slices.Concat(event(1, unix.IN_CREATE, "a"), event(1, unix.IN_DELETE, "b"), event(2, unix.IN_MODIFY, "db.sqlite-wal")), map[string]bool{"a": false, "b": true}, false},
		"overflow":    {event(-1, unix.IN_Q_OVERFLOW, ""), nil, true},
		"unmounted":   {event(1, unix.IN_UNMOUNT, ""), nil, true},
		"ignored":     {event(2, unix.IN_IGNORED, ""), nil, true},
		"replaced":    {event(2, unix.IN_MOVED_TO, "db.sqlite"), nil, true},
		"cut off":     {event(1, unix.IN_CREATE, "a")[:headBytes+3], nil, true},
		"half a head": {event(1, unix.IN_CREATE, "a")[:7], nil, true},
	} {
		h := newHints()
		(&listening{store: 1, db: 2, hints: h}).parse(test.bytes)
		s := h.take()
		if s.lost != test.lost || !test.lost && fmt.Sprint(s.names) != fmt.Sprint(test.names) {
			t.Errorf("%s: %v, %v", name, s.lost, s.names)
		}
		if len(h.wake) != 1 {
			t.Errorf("%s: nobody is woken", name)
		}
	}
	h := newHints()
	for i := range maxNames + 1 {
		h.name(fmt.Sprint(i), false)
	}
	if s := h.take(); !s.lost || len(s.names) > maxNames {
		t.Errorf("%d names are remembered; lost: %v", len(s.names), s.lost)
	}
}

// TestUnreadableDatabase: without the database's directory the locks do.
func TestUnreadableDatabase(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read every directory")
	}
	m := newMachine(t)
	if err := os.Chmod(m.db, 0o300); err != nil {
		t.Fatal(err)
	}
	m.run(time.Now())
	m.listens()
	p := path(t, "built")
	m.build(p)
	m.isTold(p)
}
