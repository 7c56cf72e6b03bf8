package node_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/nix"
)

// told asks for the narinfos of paths, as Nix does before it asks for NARs.
func (m *machine) told(paths ...nix.StorePath) {
	m.w.t.Helper()
	for _, p := range paths {
		if _, err := m.Info(m.w.t.Context(), "", p.Hash()); err != nil {
			m.w.t.Fatal(err)
		}
	}
}

// TestAheadOfNix: when Nix has begun to ask for NARs, those that it was told of come before it asks, of a path after those of its references;
// when it only asks for narinfos none does.
func TestAheadOfNix(t *testing.T) { synctest.Test(t, aheadOfNix) }

func aheadOfNix(t *testing.T) {
	m, o, _ := sided(t)
	libc := o.nix.build("libc", "1", 200_000)
	zlib, curl := o.nix.build("zlib", "1", 2_000_000, libc), o.nix.build("curl", "1", 2_000_001, libc)
	app := o.nix.build("app", "1", 100_000, zlib, curl, libc)
	goOn := make(chan struct{})
	o.changes(nil, func(_ context.Context, raw []byte) (io.ReadCloser, error) {
		if len(raw) > 1_000_000 {
			<-goOn
		}
		return io.NopCloser(bytes.NewReader(raw)), nil
	})
	asked := func(want int64, when string) {
		t.Helper()
		synctest.Wait()
		if n := o.nars.Load(); n != want {
			t.Errorf("%s %d NARs were asked for, not %d", when, n, want)
		}
	}
	m.told(app, zlib, curl, libc) // from the top, as Nix does
	asked(0, "when nobody wanted one")
	m.getsFrom(o, libc)
	asked(3, "while the first come")
	close(goOn)
	asked(4, "in the end")
	for _, p := range []nix.StorePath{zlib, curl, app} {
		m.getsFrom(o, p)
	}
	asked(4, "when Nix had all")
	// Minutes later nobody waits for what Nix was told of then.
	m.told(o.nix.build("other", "1", 1000))
	m.w.passes(2 * time.Minute)
	m.getsFrom(o, o.nix.build("last", "1", 1000))
	asked(5, "minutes later")
	// Nor when Nix has asked for nothing but narinfos for long.
	m.told(o.nix.build("stale", "1", 1000))
	for range 11 {
		m.w.passes(59 * time.Second)
		m.told(libc)
	}
	m.getsFrom(o, o.nix.build("later", "1", 1000))
	asked(6, "long after")
}

// TestAheadHere: what is here by now is not fetched again, though it was not when Nix was told of it.
func TestAheadHere(t *testing.T) {
	m, o, _ := sided(t)
	lib, other := o.nix.build("lib", "1", 100_000), o.nix.build("other", "1", 1000)
	v, err := m.Info(t.Context(), "", lib.Hash())
	if err != nil {
		t.Fatal(err)
	}
	nar, err := m.Nar(t.Context(), "", v.Entry().NarHash, lib.Hash())
	if err != nil {
		t.Fatal(err)
	}
	m.told(lib) // another Nix, which is slower
	if err := nar.WriteRange(t.Context(), io.Discard, 0, nar.Size()); err != nil {
		t.Fatal(err)
	}
	m.w.passes(30 * time.Second) // it is quiet
	m.eventually("to keep it", func() bool { return m.hasKept(lib) })
	m.told(other)
	m.getsFrom(o, other)
	m.getsFrom(o, lib)
	if n := o.nars.Load(); n != 2 {
		t.Errorf("%d NARs were asked for", n)
	}
}

// TestAheadBounded: no more than some bytes come before anybody asks for them, and as Nix takes them more come.
func TestAheadBounded(t *testing.T) { synctest.Test(t, aheadBounded) }

func aheadBounded(t *testing.T) {
	m, o, spy := sided(t)
	first := o.nix.build("first", "1", 1000)
	var large []nix.StorePath
	for k := range 8 {
		large = append(large, o.nix.build("large", string(rune('a'+k)), 20_000_000))
	}
	m.told(large...)
	m.told(first)
	m.getsFrom(o, first)
	synctest.Wait()
	if n := o.nars.Load(); n != 4 { // 64 MiB hold three
		t.Errorf("%d NARs came", n)
	}
	for _, p := range large {
		m.getsFrom(o, p)
	}
	if n := o.nars.Load(); n != 9 {
		t.Errorf("%d NARs were asked for", n)
	}
	m.w.passes(time.Minute)
	m.eventually("to take all into the store", func() bool { return spy.open.Load() == 0 })
}

// TestAheadFails: what does not come ahead is asked for once more when Nix wants it, and is not taken for absent before.
func TestAheadFails(t *testing.T) { synctest.Test(t, aheadFails) }

func aheadFails(t *testing.T) {
	m, o, _ := sided(t)
	first, next := o.nix.build("first", "1", 1000), o.nix.build("next", "1", 3_000_000)
	failed := false
	o.changes(nil, func(_ context.Context, raw []byte) (io.ReadCloser, error) {
		if len(raw) > 1_000_000 && !failed {
			failed = true
			return nil, errors.New("connection reset")
		}
		return io.NopCloser(bytes.NewReader(raw)), nil
	})
	m.told(next, first)
	m.getsFrom(o, first)
	synctest.Wait()
	if n := o.nars.Load(); n != 2 || !failed {
		t.Fatalf("%d NARs were asked for", n)
	}
	m.getsFrom(o, next)
}

// TestLent: what a slow reader was lent stays as it is while memory is used again for other NARs.
func TestLent(t *testing.T) {
	m, o, _ := sided(t)
	var paths []nix.StorePath
	for k := range 12 {
		paths = append(paths, o.nix.build("lib", string(rune('a'+k)), 3_000_000+k))
	}
	m.told(paths...)
	var all sync.WaitGroup
	for k, p := range paths {
		for range 2 {
			all.Go(func() {
				v, err := m.Info(t.Context(), "", p.Hash())
				if err != nil {
					t.Error(err)
					return
				}
				nar, err := m.Nar(t.Context(), "", v.Entry().NarHash, p.Hash())
				if err != nil {
					t.Error(err)
					return
				}
				w := &checker{want: o.nix.nar(p), rng: rand.New(rand.NewPCG(uint64(k), 7))}
				if err := nar.WriteRange(t.Context(), w, 0, nar.Size()); err != nil || w.bad || len(w.want) != 0 {
					t.Errorf("%s: %v, other bytes: %v, %d missing", p.Base(), err, w.bad, len(w.want))
				}
			})
		}
	}
	all.Wait()
}

// checker compares what is written with what is wanted, at its beginning and a while later.
type checker struct {
	want []byte
	rng  *rand.Rand
	bad  bool
}

func (c *checker) Write(p []byte) (int, error) {
	if len(p) > len(c.want) {
		c.bad = true
		return len(p), nil
	}
	c.bad = c.bad || !bytes.Equal(p, c.want[:len(p)])
	if c.rng.IntN(4) == 0 {
		time.Sleep(time.Duration(c.rng.IntN(3)) * time.Millisecond) // others use memory meanwhile
	}
	c.bad = c.bad || !bytes.Equal(p, c.want[:len(p)])
	c.want = c.want[len(p):]
	return len(p), nil
}
