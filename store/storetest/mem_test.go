package storetest_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

func TestMem(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return storetest.NewMem(t) })
	storetest.RunCollector(t, func(t *testing.T) store.Collector { return storetest.NewMem(t) })
}

func TestMemCrash(t *testing.T) {
	m, c := storetest.NewMem(t), store.NewCodec()
	b, err := m.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	kept, raw := storetest.Chunk(1, 100)
	if err := store.Receive(t.Context(), b, c, kept, raw); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost, raw := storetest.Chunk(2, 100)
	if err := store.Receive(t.Context(), b, c, lost, raw); err != nil {
		t.Fatal(err)
	}
	m.Crash()
	if ok, _ := m.Has(t.Context(), kept); !ok {
		t.Error("a crash took what was committed")
	}
	if ok, _ := m.Has(t.Context(), lost); ok {
		t.Error("a crash left what was not committed")
	}
	if err := b.Commit(t.Context()); err == nil {
		t.Error("a batch survived the crash")
	}
}

func TestMemDamage(t *testing.T) {
	m, c := storetest.NewMem(t), store.NewCodec()
	b, err := m.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	k, raw := storetest.Noise(1, 100)
	if err := store.Receive(t.Context(), b, c, k, raw); err != nil {
		t.Fatal(err)
	}
	if !m.Damage(k) {
		t.Fatal("nothing to damage")
	}
	if _, err := store.Get(t.Context(), m, c, k); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Get = %v; want ErrCorrupt", err)
	}
	if _, err := store.Get(t.Context(), m, c, k); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get again = %v; want ErrNotFound", err)
	}
}

func TestMemFault(t *testing.T) {
	k, raw := storetest.Noise(1, 100)
	boom := errors.New("boom")
	for _, apply := range []bool{false, true} {
		m, c := storetest.NewMem(t), store.NewCodec()
		b, err := m.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		m.Fail(func(op storetest.Op, _ store.Key) (bool, error) {
			if op == storetest.OpPut {
				return apply, boom
			}
			return true, nil
		})
		if err := store.Receive(t.Context(), b, c, k, raw); !errors.Is(err, boom) {
			t.Errorf("Receive = %v; want the fault", err)
		}
		if ok, _ := m.Has(t.Context(), k); ok != apply {
			t.Errorf("apply %v: Has = %v", apply, ok)
		}
	}
}

// recorder stands in for a test that ought to fail.
type recorder struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(f, args...))
}
func (r *recorder) end() (complaints []string) {
	for _, f := range r.cleanups {
		f()
	}
	return r.errors
}

func TestMemPolices(t *testing.T) {
	k, raw := storetest.Noise(1, 100)
	good := store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}
	for name, misuse := range map[string]func(b store.Batch){
		"never closed": func(b store.Batch) {},
		"Put after Close": func(b store.Batch) {
			b.Close()
			_ = b.Put(t.Context(), k, good)
		},
		"Has after Close": func(b store.Batch) {
			b.Close()
			_, _ = b.Has(t.Context(), k)
		},
		"Commit after Close": func(b store.Batch) {
			b.Close()
			_ = b.Commit(t.Context())
		},
		"around the door": func(b store.Batch) {
			_ = b.Put(t.Context(), store.Key{Kind: store.KindChunk}, good)
			b.Close()
		},
	} {
		r := &recorder{TB: t}
		b, err := storetest.NewMem(r).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		misuse(b)
		if got := r.end(); len(got) != 1 {
			t.Errorf("%s: complaints %q; want one", name, got)
		}
	}
}
