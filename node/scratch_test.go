package node_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store/storetest"
)

// TestAside runs the tests of upstream namespaces on nodes that put aside at first what comes from origins.
func TestAside(t *testing.T) {
	for name, test := range map[string]func(*testing.T){"Upstream": TestUpstream, "Joined": TestUpstreamJoined, "Lies": TestUpstreamLies, "Hangs": TestUpstreamHangs, "Misses": TestUpstreamMisses,
		"SlowPeer": TestUpstreamSlowPeer, "NobodysBusiness": TestUpstreamIsNobodysBusiness} {
		t.Run(name, test)
	}
}

// spyScratch counts what is open, and can be made to fail or to give back other bytes.
type spyScratch struct {
	t        *testing.T
	open     atomic.Int64
	most     atomic.Int64
	full     atomic.Bool // nothing more is written
	damaging atomic.Bool // what is read is not what was written
}

type spyFile struct {
	*os.File
	spy  *spyScratch
	once sync.Once
}

func (s *spyScratch) Open() (node.Scratch, error) {
	f, err := os.Create(filepath.Join(s.t.TempDir(), "aside"))
	if err != nil {
		return nil, err
	}
	s.most.Store(max(s.most.Load(), s.open.Add(1)))
	return &spyFile{File: f, spy: s}, nil
}

func (f *spyFile) Close() error {
	f.once.Do(func() { f.spy.open.Add(-1) })
	return f.File.Close()
}

func (f *spyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.spy.full.Load() && off > 1_000_000 {
		return 0, errors.New("no space left on device")
	}
	return f.File.WriteAt(p, off)
}

func (f *spyFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if f.spy.damaging.Load() && n > 0 {
		p[n/2] ^= 1
	}
	return n, err
}

// sided is a machine that uses an origin's namespace, and puts aside what comes into spied files.
func sided(t *testing.T) (*machine, *fakeOrigin, *spyScratch) {
	w, o, spy := newWorld(t), newFakeOrigin(t), &spyScratch{t: t}
	m := w.machine("bob", node.ShareLAN, nil)
	m.scratch = spy.Open
	m.origins = func(string) (node.Origin, error) { return o, nil }
	m = w.restart(m)
	if err := m.Put(node.Space{Alias: "cache", Address: o.address(), Use: true, Origin: "https://cache.example"}); err != nil {
		t.Fatal(err)
	}
	return m, o, spy
}

// TestPutAside: what is put aside is given to who reads slowly and to who comes when the origin is gone, and is in the store when
// it is quiet; then nothing is aside.
func TestPutAside(t *testing.T) {
	m, o, spy := sided(t)
	p := o.nix.build("app", "1", 20_000_000)
	want := o.nix.nar(p)
	v, err := m.Info(t.Context(), "", p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	open := func() *node.Nar {
		t.Helper()
		nar, err := m.Nar(t.Context(), "", v.Entry().NarHash, p.Hash())
		if err != nil {
			t.Fatal(err)
		}
		return nar
	}
	slow, begin := &slowWriter{begun: make(chan struct{})}, make(chan struct{})
	slow.on = begin
	var done sync.WaitGroup
	done.Go(func() {
		if err := open().WriteRange(t.Context(), slow, 0, int64(len(want))); err != nil {
			t.Errorf("who reads slowly: %v", err)
		}
	})
	<-slow.begun
	// Nobody waits for who reads slowly.
	m.getsFrom(o, p)
	o.down()
	if got, err := m.reads(p); err != nil || !bytes.Equal(got, want) {
		t.Errorf("from aside, the origin down: %d bytes, %v", len(got), err)
	}
	if part, err := m.readsPart(p, 5_000_000, 1_000_000); err != nil || !bytes.Equal(part, want[5_000_000:6_000_000]) {
		t.Errorf("a part from aside: %d bytes, %v", len(part), err)
	}
	if o.nars.Load() != 1 {
		t.Errorf("the origin was asked %d times", o.nars.Load())
	}
	close(begin)
	done.Wait()
	if !bytes.Equal(slow.got.Bytes(), want) {
		t.Error("who read slowly has other bytes")
	}
	m.w.passes(time.Minute) // it is quiet
	m.eventually("to take it into the store", func() bool { return m.hasKept(p) && spy.open.Load() == 0 })
	if got, err := m.reads(p); err != nil || !bytes.Equal(got, want) {
		t.Errorf("from the store: %d bytes, %v", len(got), err)
	}
}

// slowWriter takes the first bytes and waits.
type slowWriter struct {
	begun chan struct{}
	on    chan struct{}
	once  sync.Once
	got   bytes.Buffer
}

func (s *slowWriter) Write(p []byte) (int, error) {
	s.once.Do(func() {
		close(s.begun)
		<-s.on
	})
	return s.got.Write(p)
}

// TestAsideDamaged: what comes back from the disk otherwise is not given and not kept.
func TestAsideDamaged(t *testing.T) {
	m, o, spy := sided(t)
	p := o.nix.build("app", "1", 12_000_000)
	m.getsFrom(o, p) // from memory
	spy.damaging.Store(true)
	if got, err := m.reads(p); err == nil || bytes.Equal(got, o.nix.nar(p)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	m.w.passes(time.Minute)
	m.eventually("to give it up", func() bool { return spy.open.Load() == 0 })
	if m.hasKept(p) {
		t.Error("it is kept")
	}
	spy.damaging.Store(false)
	m.getsFrom(o, p)
	if o.nars.Load() != 2 {
		t.Errorf("the origin was asked %d times", o.nars.Load())
	}
}

// TestAsideFull: when the disk is full what comes passes all the same, and is not kept.
func TestAsideFull(t *testing.T) {
	m, o, spy := sided(t)
	spy.full.Store(true)
	p := o.nix.build("app", "1", 6_000_000)
	m.getsFrom(o, p)
	m.eventually("to give up the room", func() bool { return spy.open.Load() == 0 })
	if m.hasKept(p) {
		t.Error("it is kept")
	}
	spy.full.Store(false)
	m.getsFrom(o, p)
	m.w.passes(time.Minute)
	m.eventually("to keep it", func() bool { return m.hasKept(p) && spy.open.Load() == 0 })
}

// TestAsideRoom: of what is to be left free of the disk nothing is used, also not by what has room and is not written yet, and of
// a small quota's disk only a part.
func TestAsideRoom(t *testing.T) {
	for name, limit := range map[string]func(*storetest.Mem){
		"reserve": func(s *storetest.Mem) { s.Disk(15_000_000, 5_000_000) },
		"quota":   func(s *storetest.Mem) { s.Limit(80_000_000) },
	} {
		t.Run(name, func(t *testing.T) {
			m, o, spy := sided(t)
			limit(m.store)
			for i := range 3 {
				m.getsFrom(o, o.nix.build("app", string(rune('a'+i)), 6_000_000))
			}
			if n := spy.most.Load(); n != 1 {
				t.Errorf("%d were put aside", n)
			}
		})
	}
}

// TestAsideStops: a node that ends leaves nothing open, whatever was aside.
func TestAsideStops(t *testing.T) {
	m, o, spy := sided(t)
	for i := range 5 {
		m.getsFrom(o, o.nix.build("app", string(rune('a'+i)), 2_000_000))
	}
	if spy.open.Load() != 5 {
		t.Errorf("%d are aside", spy.open.Load())
	}
	m.stop()
	if spy.open.Load() != 0 {
		t.Errorf("%d are open", spy.open.Load())
	}
}

// TestAsideAndImported: what Nix has imported while its NAR was aside does not come into the store a second time: it is read from
// /nix/store, also after a restart and with the origin gone. What Nix has otherwise, or cannot be read there, comes into the store.
func TestAsideAndImported(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*machine, *fakeNix, nix.StorePath)
		placed  int
	}{
		"imported":     {func(m *machine, from *fakeNix, p nix.StorePath) { m.disk.imports(from, p) }, 1},
		"not imported": {func(*machine, *fakeNix, nix.StorePath) {}, 0},
		"another build": {func(m *machine, from *fakeNix, p nix.StorePath) {
			m.disk.imports(from, p)
			m.disk.mu.Lock()
			defer m.disk.mu.Unlock()
			info := m.disk.infos[p]
			info.NarHash[0]++
			m.disk.infos[p] = info
		}, 0},
		"gone again": {func(m *machine, from *fakeNix, p nix.StorePath) {
			m.disk.imports(from, p)
			if err := os.RemoveAll(m.disk.file(p)); err != nil {
				m.w.t.Fatal(err)
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, o, spy := newWorld(t), newFakeOrigin(t), &spyScratch{t: t}
			m := w.settler("bob")
			m.scratch = spy.Open
			m.origins = func(string) (node.Origin, error) { return o, nil }
			use := func() {
				t.Helper()
				m = w.restart(m)
				if err := m.Put(node.Space{Alias: "cache", Address: o.address(), Use: true, Origin: "https://cache.example"}); err != nil {
					t.Fatal(err)
				}
			}
			use()
			p := o.nix.build("app", "1", 3_000_000)
			m.getsFrom(o, p)
			c.happens(m, o.nix, p)
			m.eventually("to have nothing aside", func() bool { return spy.open.Load() == 0 })
			m.places(c.placed)
			keys := m.contentOf(o.address(), p)
			m.keeps(true, "the body", keys[:1])
			m.keeps(c.placed == 0, "chunks", keys[1:])
			use()
			m.places(c.placed)
			asked := o.nars.Load()
			m.getsFrom(o, p)
			if o.nars.Load() != asked {
				t.Error("it was fetched again")
			}
		})
	}
}
