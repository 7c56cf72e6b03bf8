package node_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// movingOrigin is a cache whose NARs are at another place from time to time.
type movingOrigin struct {
	*fakeOrigin
	at atomic.Value // string: the URL where they are
}

func (o *movingOrigin) Info(ctx context.Context, h nix.PathHash) (*nix.NarInfo, error) {
	i, err := o.fakeOrigin.Info(ctx, h)
	if err == nil {
		i.URL = o.at.Load().(string)
	}
	return i, err
}

func (o *movingOrigin) Nar(ctx context.Context, info *nix.NarInfo) (io.ReadCloser, error) {
	if info.URL != o.at.Load().(string) {
		o.nars.Add(1)
		return nil, node.ErrNotHere
	}
	return o.fakeOrigin.Nar(ctx, info)
}

// moving is a node that uses such a cache.
func (w *world) moving(o *movingOrigin) *machine {
	w.t.Helper()
	bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(w.t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{},
		origins: func(string) (node.Origin, error) { return o, nil }})
	bob.usesCache(o.fakeOrigin, node.ShareDefault)
	return bob
}

// TestUpstreamMoved: a NAR that is not any more where its narinfo said is looked for where a new narinfo says it is, before Nix is told that there is none; and
// one that is nowhere is asked for no more than twice.
func TestUpstreamMoved(t *testing.T) {
	w := newWorld(t)
	o := &movingOrigin{fakeOrigin: newFakeOrigin(t)}
	o.at.Store("nar/old")
	bob := w.moving(o)
	p, q := o.nix.build("app", "1", 3_000_000), o.nix.build("other", "1", 1000)
	for _, path := range []nix.StorePath{p, q} {
		if _, err := bob.Info(t.Context(), "", path.Hash()); err != nil {
			t.Fatal(err)
		}
	}
	o.at.Store("nar/new")
	bob.getsFrom(o.fakeOrigin, p)
	if o.infos.Load() != 3 || o.nars.Load() != 2 {
		t.Errorf("%d narinfos and %d NARs were asked for", o.infos.Load(), o.nars.Load())
	}
	o.changes(nil, func(context.Context, []byte) (io.ReadCloser, error) { return nil, node.ErrNotHere })
	if _, err := bob.reads(q); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("nowhere: %v", err)
	}
	if o.nars.Load() > 4 {
		t.Errorf("%d NARs were asked for", o.nars.Load())
	}
}

// rebuilds makes other content for a path that is there.
func (f *fakeNix) rebuilds(p nix.StorePath, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(p, nil, map[string]*nix.NarNode{"bin": {Type: 'x', Data: bytes.Repeat([]byte("another build\n"), size/14)}})
}

// TestUpstreamRebuilt: a path that the origin has another build of by now, and signed, is that one from then on, though Nix was told of the old one, which
// cannot be had any more.
func TestUpstreamRebuilt(t *testing.T) {
	for name, later := range map[string]time.Duration{"at once": 0, "another day": 25 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			o := &movingOrigin{fakeOrigin: newFakeOrigin(t)}
			o.at.Store("nar/old")
			bob := w.moving(o)
			p := o.nix.build("app", "1", 3_000_000)
			old, err := bob.Info(t.Context(), "", p.Hash())
			if err != nil {
				t.Fatal(err)
			}
			o.nix.rebuilds(p, 2_000_000)
			o.at.Store("nar/new")
			w.passes(later)
			if later == 0 {
				before := bob.Generation()
				if nar, err := bob.Nar(t.Context(), "", old.Entry().NarHash, p.Hash()); err == nil {
					if err := nar.WriteRange(t.Context(), io.Discard, 0, nar.Size()); !errors.Is(err, node.ErrNotHere) {
						t.Errorf("the old build: %v", err)
					}
					nar.Close()
				}
				if bob.Generation() == before {
					t.Error("what Nix was told of it still counts")
				}
			}
			bob.getsFrom(o.fakeOrigin, p)
		})
	}
}

// TestUpstreamWithdrawn: what an origin has no more is not told to Nix again and again: the narinfo of a path whose NAR is not here counts for a day, and is
// taken back when the NAR is not to be had.
func TestUpstreamWithdrawn(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	tried, waited, kept := o.nix.build("tried", "1", 1000), o.nix.build("waited", "1", 1000), o.nix.build("kept", "1", 1000)
	bob.has(o, kept)
	for _, p := range []nix.StorePath{tried, waited} {
		if _, err := bob.Info(t.Context(), "", p.Hash()); err != nil {
			t.Fatal(err)
		}
	}
	asked := o.infos.Load()
	w.passes(time.Hour)
	if _, err := bob.Info(t.Context(), "", waited.Hash()); err != nil || o.infos.Load() != asked {
		t.Errorf("an hour later: %v, after %d more questions", err, o.infos.Load()-asked)
	}
	gone := func(context.Context, *nix.NarInfo) (*nix.NarInfo, error) { return nil, node.ErrNotHere }
	o.changes(gone, func(context.Context, []byte) (io.ReadCloser, error) { return nil, node.ErrNotHere })
	if _, err := bob.reads(tried); !errors.Is(err, node.ErrNotHere) {
		t.Fatal(err)
	}
	for range 5 {
		w.passes(2 * time.Minute)
		if _, err := bob.Info(t.Context(), "", tried.Hash()); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("withdrawn, and its NAR was asked for in vain: %v", err)
		}
	}
	w.passes(24 * time.Hour)
	if _, err := bob.Info(t.Context(), "", waited.Hash()); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("withdrawn since yesterday: %v", err)
	}
	asked = o.infos.Load()
	bob.getsFrom(o, kept) // what is here is nobody's to withdraw
	if o.infos.Load() != asked {
		t.Error("the origin was asked for what is here")
	}
	o.changes(nil, nil)
	w.passes(2 * time.Minute)
	bob.getsFrom(o, tried)
	bob.getsFrom(o, waited)
}

// TestUpstreamUnconfirmed: when the origin does not say whether it still has what it had yesterday, what it said yesterday counts.
func TestUpstreamUnconfirmed(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	p := o.nix.build("app", "1", 1000)
	if _, err := bob.Info(t.Context(), "", p.Hash()); err != nil {
		t.Fatal(err)
	}
	w.passes(25 * time.Hour)
	hung := make(chan struct{})
	o.changes(func(ctx context.Context, i *nix.NarInfo) (*nix.NarInfo, error) {
		select {
		case <-hung:
			return i, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := bob.Info(ctx, "", p.Hash()); err != nil {
		t.Errorf("an origin that hangs: %v", err)
	}
	close(hung)
	bob.getsFrom(o, p)
}

// TestUpstreamStoreFull: what there is no room for passes all the same, its origin is not blamed, and what lacks a part is fetched again.
func TestUpstreamStoreFull(t *testing.T) {
	for name, fails := range map[string]func(op storetest.Op, k store.Key) bool{
		"nothing":      func(op storetest.Op, _ store.Key) bool { return op == storetest.OpPut },
		"not durable":  func(op storetest.Op, _ store.Key) bool { return op == storetest.OpCommit },
		"not a chunk":  func(op storetest.Op, k store.Key) bool { return op == storetest.OpPut && k.Kind == store.KindChunk },
		"not the body": func(op storetest.Op, k store.Key) bool { return op == storetest.OpPut && k.Kind == store.KindBody },
	} {
		t.Run(name, func(t *testing.T) {
			w, o := newWorld(t), newFakeOrigin(t)
			bob, _ := w.downstream(o)
			bob.store.Fail(func(op storetest.Op, k store.Key) (bool, error) {
				if fails(op, k) {
					return false, store.ErrFull
				}
				return true, nil
			})
			var all []nix.StorePath
			for i := range 4 {
				for name, size := range map[string]int{"small": 10_000, "large": 6_000_000} {
					p := o.nix.build(name, string(rune('a'+i)), size)
					bob.getsFrom(o, p)
					all = append(all, p)
				}
			}
			bob.store.Fail(nil)
			for _, p := range all {
				bob.getsFrom(o, p)
			}
		})
	}
}

// TestUpstreamBreaksNars: an origin that breaks off every NAR is left alone for a while, as one is that answers no question.
func TestUpstreamBreaksNars(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	var all []nix.StorePath
	for i := range 5 {
		p := o.nix.build("app", string(rune('a'+i)), 10_000)
		if _, err := bob.Info(t.Context(), "", p.Hash()); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	o.changes(nil, func(_ context.Context, raw []byte) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(raw[:1000]), broken{})), nil
	})
	for _, p := range all[:4] {
		if _, err := bob.reads(p); err == nil {
			t.Error("a NAR that broke off is given")
		}
	}
	if n := o.nars.Load(); n > 3 {
		t.Errorf("%d NARs were asked for", n)
	}
	if _, err := bob.Info(t.Context(), "", all[4].Hash()); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("Nix is told of what will break off: %v", err)
	}
	o.changes(nil, nil)
	w.passes(time.Minute)
	bob.getsFrom(o, all[4])
}
