package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
)

// disk is a /nix/store with files in it, and what Nix knows of them.
type disk struct {
	t   *testing.T
	dir string

	mu     sync.Mutex
	infos  map[nix.StorePath]daemon.PathInfo
	stamps map[nix.StorePath]uint64
	held   map[nix.StorePath]bool
}

func newDisk(t *testing.T) *disk {
	return &disk{t: t, dir: t.TempDir(), infos: make(map[nix.StorePath]daemon.PathInfo), stamps: make(map[nix.StorePath]uint64), held: make(map[nix.StorePath]bool)}
}

func (d *disk) file(p nix.StorePath) string { return filepath.Join(d.dir, p.Base()) }

func (d *disk) Nar(p nix.StorePath) (*nix.NarFile, error) { return nix.IndexNar(d.file(p)) }

func (d *disk) Stamp(p nix.StorePath) (uint64, error) {
	if _, err := os.Lstat(d.file(p)); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stamps[p], nil
}

func (d *disk) Hold(_ context.Context, p nix.StorePath) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held[p] = true
}

func (d *disk) Short(error) bool { return false }

func (d *disk) Infos(_ context.Context, paths []nix.StorePath) (all []daemon.PathInfo, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range paths {
		if info, ok := d.infos[p]; ok {
			all = append(all, info)
		}
	}
	return all, nil
}

// imports has Nix import what another built.
func (d *disk) imports(from *fakeNix, paths ...nix.StorePath) {
	d.t.Helper()
	for _, p := range paths {
		from.mu.Lock()
		tree, info := from.trees[p], from.infos[p]
		from.mu.Unlock()
		for name, n := range tree.Entries {
			mode := os.FileMode(0o644)
			if n.Type == 'x' {
				mode = 0o755
			}
			if err := errors.Join(os.MkdirAll(d.file(p), 0o755), os.WriteFile(filepath.Join(d.file(p), name), n.Data, mode)); err != nil {
				d.t.Fatal(err)
			}
		}
		d.mu.Lock()
		d.infos[p] = info
		d.stamps[p]++
		d.mu.Unlock()
	}
}

// collects has Nix collect a path.
func (d *disk) collects(p nix.StorePath) {
	d.t.Helper()
	d.mu.Lock()
	delete(d.infos, p)
	d.mu.Unlock()
	if err := os.RemoveAll(d.file(p)); err != nil {
		d.t.Fatal(err)
	}
}

// settler is a keeper with a /nix/store of its own.
func (w *world) settler(name string) *machine {
	w.t.Helper()
	m := w.keeper(name)
	m.disk = newDisk(w.t)
	return w.restart(m)
}

// places waits until n paths of m are served in place.
func (m *machine) places(n int) {
	m.w.t.Helper()
	m.eventually("to serve in place", func() bool { return m.placed() == n })
}

// placed counts what is served in place.
func (m *machine) placed() (n int) {
	for range m.InPlace.Places() {
		n++
	}
	return n
}

// TestServedInPlace: what Nix has imported is not kept a second time, is given to others all the same, and once Nix has
// collected it is neither given nor announced.
func TestServedInPlace(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol, dave := w.keeper("alice"), w.settler("bob"), w.keeper("carol"), w.keeper("dave")
	a := alice.creates("acme-1")
	lib := alice.nix.build("lib", "1", 200_000)
	app := alice.nix.build("app", "1", 700_000, lib)
	alice.publishes("acme-1", app)
	bob.uses(a)
	bob.meet(alice)
	bob.gets(alice, app)
	bob.gets(alice, lib)
	bob.waitsSettled(app)
	bob.waitsSettled(lib)
	appKeys, libKeys := bob.contentOf(a, app), bob.contentOf(a, lib)
	bob.disk.imports(alice.nix, app, lib)
	bob.places(2)
	done := bob.collects(node.CollectRequest{})
	bob.keeps(true, "bodies", []store.Key{appKeys[0], libKeys[0]})
	bob.keeps(false, "chunks that Nix has as well", append(appKeys[1:], libKeys[1:]...))
	if !slices.ContainsFunc(done.Why, func(y report.CollectedWhy) bool { return y.Reason == "in-place" && y.Bytes == done.Bytes }) {
		t.Errorf("%+v", done)
	}
	alice.stop()
	for _, other := range []*machine{carol, dave} {
		other.uses(a)
		other.meet(bob)
		other.waitsFor(app)
	}
	if got, err := carol.reads(app); err != nil || !bytes.Equal(got, alice.nix.nar(app)) {
		t.Fatalf("from /nix/store: %d bytes, %v", len(got), err)
	}
	if !bob.disk.held[app] {
		t.Error("what is read from /nix/store is not held")
	}
	if got, err := bob.reads(lib); err != nil || !bytes.Equal(got, alice.nix.nar(lib)) {
		t.Fatalf("for its own Nix: %d bytes, %v", len(got), err)
	}
	carol.stop()
	if !slices.Contains(bob.router.Provided(), dht.PathKey(a, app.Hash())) {
		t.Error("what is served in place is not announced")
	}
	bob.disk.collects(app)
	if got, err := dave.readsFor(app, 5*time.Second); err == nil {
		t.Errorf("%d bytes of what Nix has collected", len(got))
	}
	bob.places(1)
	bob.eventually("to take back the announcement", func() bool { return !slices.Contains(bob.router.Provided(), dht.PathKey(a, app.Hash())) })
	if got, err := dave.reads(lib); err != nil || !bytes.Equal(got, alice.nix.nar(lib)) {
		t.Errorf("what is left: %d bytes, %v", len(got), err)
	}
}

// TestInPlaceKeepsItsWord: what is mirrored lies in the store whatever Nix has, also when it was merely used before.
func TestInPlaceKeepsItsWord(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.keeper("alice"), w.settler("bob"), w.keeper("carol")
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 500_000)
	id := alice.publishesFor("acme-1", app)[0]
	bob.uses(a)
	bob.meet(alice)
	bob.gets(alice, app)
	bob.waitsSettled(app)
	keys := bob.contentOf(a, app)
	bob.disk.imports(alice.nix, app)
	bob.places(1)
	bob.collects(node.CollectRequest{})
	bob.keeps(false, "chunks that Nix has as well", keys[1:])
	bob = w.restart(bob)
	bob.seeds(a, 0)
	bob.meet(alice)
	bob.eventually("to hold it", func() bool {
		for _, k := range keys {
			if has, err := bob.store.Has(t.Context(), k); err != nil || !has {
				return false
			}
		}
		return bob.counts(a, id)
	})
	bob.collects(node.CollectRequest{})
	bob.keeps(true, "what is mirrored", keys)
	bob.disk.collects(app)
	alice.stop()
	carol.uses(a)
	carol.meet(bob)
	carol.waitsFor(app)
	carol.gets(alice, app)
}

// TestNotInPlace: what Nix built otherwise stays in the store, and so does what is damaged in /nix/store, once that is found.
func TestNotInPlace(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.keeper("alice"), w.settler("bob"), w.keeper("carol")
	a := alice.creates("acme-1")
	same, other, damaged := alice.nix.build("same", "1", 100_000), alice.nix.build("other", "1", 100_000), alice.nix.build("damaged", "1", 300_000)
	alice.publishes("acme-1", same, other, damaged)
	bob.uses(a)
	bob.meet(alice)
	for _, p := range []nix.StorePath{same, other, damaged} {
		bob.gets(alice, p)
		bob.waitsSettled(p)
	}
	bob.disk.imports(alice.nix, same, other, damaged)
	bob.disk.mu.Lock()
	info := bob.disk.infos[other]
	info.NarHash[0]++
	bob.disk.infos[other] = info
	bob.disk.mu.Unlock()
	file := filepath.Join(bob.disk.file(damaged), "bin")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[150_000]++
	if err := os.WriteFile(file, data, 0o755); err != nil {
		t.Fatal(err)
	}
	bob.places(2)
	otherKeys := bob.contentOf(a, other)
	bob.collects(node.CollectRequest{})
	bob.keeps(true, "what Nix built otherwise", otherKeys)
	alice.stop()
	carol.uses(a)
	carol.meet(bob)
	carol.waitsFor(damaged)
	if got, err := carol.readsFor(damaged, 5*time.Second); err == nil {
		t.Errorf("%d bytes of what is damaged", len(got))
	}
	bob.places(1)
	if got, err := carol.reads(other); err != nil || !bytes.Equal(got, alice.nix.nar(other)) {
		t.Errorf("what is not in place: %d bytes, %v", len(got), err)
	}
}

// TestLostWithoutFault: a path that was withdrawn because its body was given up is served in place again when it is used again.
func TestLostWithoutFault(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.keeper("alice"), w.settler("bob")
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 300_000)
	alice.publishes("acme-1", app)
	bob.uses(a)
	bob.meet(alice)
	bob.gets(alice, app)
	bob.waitsSettled(app)
	id := bob.entry(a, app).Body
	bob.disk.imports(alice.nix, app)
	bob.places(1)
	bob.InPlace.Withdraw(app, id)
	bob.LostPlace(app, id, fmt.Errorf("body %s: %w", id, store.ErrNotFound))
	bob.gets(alice, app)
	bob.places(1)
}

// TestRemadeOtherwise: a path that was made anew, and is another build now, is announced no more.
func TestRemadeOtherwise(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.keeper("alice"), w.settler("bob")
	a := alice.creates("acme-1")
	app := alice.nix.build("app", "1", 300_000)
	alice.publishes("acme-1", app)
	bob.uses(a)
	bob.meet(alice)
	bob.gets(alice, app)
	bob.waitsSettled(app)
	bob.disk.imports(alice.nix, app)
	bob.places(1)
	bob.collects(node.CollectRequest{})
	announced := func() bool { return slices.Contains(bob.router.Provided(), dht.PathKey(a, app.Hash())) }
	bob.eventually("to announce it", announced)
	bob.disk.mu.Lock()
	info := bob.disk.infos[app]
	info.NarHash[0]++
	bob.disk.infos[app] = info
	bob.disk.stamps[app]++
	bob.disk.mu.Unlock()
	bob.eventuallyWithin(time.Minute, "to withdraw it", func() bool { return bob.placed() == 0 }) // it looks every 15 s
	bob.eventually("to take back the announcement", func() bool { return !announced() })
}

// entry is what m lists of a path.
func (m *machine) entry(a namespace.Address, p nix.StorePath) *namespace.Entry {
	m.w.t.Helper()
	entries, err := m.list.Lookup(m.w.t.Context(), a, p.Hash())
	if err != nil || len(entries) == 0 {
		m.w.t.Fatalf("%s does not list %s: %v", m.name, p.Base(), err)
	}
	return entries[0].Entry()
}

// TestPromisedLater: what was merely used, and lies in /nix/store alone, is copied from there when it comes to be promised to others,
// also after a restart and when nobody else has it. What Nix has of another build is not.
func TestPromisedLater(t *testing.T) {
	for name, promise := range map[string]func(*node.Space){
		"mirrored":  func(sp *node.Space) { sp.Seed = true },
		"published": func(sp *node.Space) { sp.Publish = true },
		"until":     func(sp *node.Space) { sp.Until = time.Now().Add(time.Hour) },
	} {
		for _, restarts := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, restarted: %v", name, restarts), func(t *testing.T) {
				w := newWorld(t)
				alice, bob, carol := w.keeper("alice"), w.settler("bob"), w.keeper("carol")
				a := alice.creates("acme-1")
				app, other := alice.nix.build("app", "1", 500_000), alice.nix.build("other", "1", 200_000)
				id := alice.publishesFor("acme-1", app)[0]
				alice.publishes("acme-1", other)
				bob.uses(a)
				bob.meet(alice)
				for _, p := range []nix.StorePath{app, other} {
					bob.gets(alice, p)
					bob.waitsSettled(p)
				}
				keys, otherKeys := bob.contentOf(a, app), bob.contentOf(a, other)
				bob.disk.imports(alice.nix, app, other)
				bob.places(2)
				bob.collects(node.CollectRequest{})
				bob.keeps(false, "chunks that Nix has as well", append(keys[1:], otherKeys[1:]...))
				alice.stop()
				bob.disk.mu.Lock()
				info := bob.disk.infos[other]
				info.NarHash[0]++
				bob.disk.infos[other] = info
				bob.disk.mu.Unlock()
				if restarts {
					bob = w.restart(bob)
				}
				sp := node.Space{Alias: a.Name(), Address: a, Use: true}
				promise(&sp)
				if err := bob.Put(sp); err != nil {
					t.Fatal(err)
				}
				bob.eventually("to copy it", func() bool {
					for _, k := range keys {
						if has, err := bob.store.Has(t.Context(), k); err != nil || !has {
							return false
						}
					}
					return bob.counts(a, id)
				})
				if restarts {
					bob.places(0)
					bob.keeps(false, "chunks of another build", otherKeys[1:])
				}
				bob.disk.collects(app)
				carol.uses(a)
				carol.meet(bob)
				carol.waitsFor(app)
				carol.gets(alice, app)
			})
		}
	}
}
