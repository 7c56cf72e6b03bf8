package node_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store/storetest"
	"github.com/flurry-nix/flurry/transfer"
)

// fakeOrigin is an HTTP cache without HTTP.
type fakeOrigin struct {
	nix *fakeNix
	key nix.SecretKey

	infos, nars atomic.Int64 // questions
	received    atomic.Uint64
	mu          sync.Mutex
	info        func(ctx context.Context, i *nix.NarInfo) (*nix.NarInfo, error) // nil: as it is
	nar         func(ctx context.Context, raw []byte) (io.ReadCloser, error)
}

func newFakeOrigin(t *testing.T) *fakeOrigin {
	return &fakeOrigin{nix: newFakeNix(), key: secretOf(t, "cache.example-1")}
}

func (o *fakeOrigin) Info(ctx context.Context, h nix.PathHash) (*nix.NarInfo, error) {
	o.infos.Add(1)
	o.mu.Lock()
	change := o.info
	o.mu.Unlock()
	i, err := o.narInfo(h)
	if change != nil {
		return change(ctx, i)
	}
	return i, err
}

// narInfo is what the cache has for h; nil, with an error: nothing.
func (o *fakeOrigin) narInfo(h nix.PathHash) (*nix.NarInfo, error) {
	o.nix.mu.Lock()
	defer o.nix.mu.Unlock()
	for _, p := range o.nix.infos {
		if p.Path.Hash() == h {
			i := &nix.NarInfo{StorePath: p.Path, URL: "nar/x", Compression: "none", NarHash: p.NarHash, NarSize: p.NarSize, References: p.References}
			i.Sigs = []nix.Signature{o.key.Sign(i.Fingerprint())}
			return i, nil
		}
	}
	return nil, node.ErrNotHere
}

func (o *fakeOrigin) Nar(ctx context.Context, info *nix.NarInfo) (io.ReadCloser, error) {
	o.nars.Add(1)
	o.mu.Lock()
	change := o.nar
	o.mu.Unlock()
	raw := o.nix.nar(info.StorePath)
	if change != nil {
		return change(ctx, raw)
	}
	o.received.Add(uint64(len(raw)))
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (o *fakeOrigin) Check(context.Context) error { return nil }

func (o *fakeOrigin) Close() {}

func (o *fakeOrigin) Received() uint64 { return o.received.Load() }

// changes makes the origin answer otherwise from now on.
func (o *fakeOrigin) changes(info func(context.Context, *nix.NarInfo) (*nix.NarInfo, error), nar func(context.Context, []byte) (io.ReadCloser, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.info, o.nar = info, nar
}

// down is an origin that answers nothing.
func (o *fakeOrigin) down() {
	refused := errors.New("connection refused")
	o.changes(func(context.Context, *nix.NarInfo) (*nix.NarInfo, error) { return nil, refused }, func(context.Context, []byte) (io.ReadCloser, error) { return nil, refused })
}

// downstream is a node that uses the cache.
func (w *world) downstream(o *fakeOrigin) (*machine, namespace.Address) {
	w.t.Helper()
	m := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(w.t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareAll,
		origins: func(string) (node.Origin, error) { return o, nil }})
	a := namespace.AddressOf(o.key.Public())
	if err := m.Put(node.Space{Alias: "cache", Address: a, Use: true, Origin: "https://cache.example"}); err != nil {
		w.t.Fatal(err)
	}
	return m, a
}

// TestUpstream: what an origin has is given out, once fetched is here, and is asked for no more.
func TestUpstream(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	small, large := o.nix.build("small", "1", 10_000), o.nix.build("large", "1", 12_000_000)
	app := o.nix.build("app", "1", 100_000, small, large)
	all := []nix.StorePath{small, large, app}
	for _, p := range all {
		if got, err := bob.reads(p); err != nil || !bytes.Equal(got, o.nix.nar(p)) {
			t.Fatalf("%s: %d bytes, %v", p, len(got), err)
		}
	}
	if o.infos.Load() != 3 || o.nars.Load() != 3 {
		t.Errorf("%d narinfos and %d NARs were asked for", o.infos.Load(), o.nars.Load())
	}
	for _, p := range all {
		bob.eventually("to keep "+p.Base(), func() bool { return bob.hasKept(p) })
	}
	came := uint64(len(o.nix.nar(small)) + len(o.nix.nar(large)) + len(o.nix.nar(app)))
	if m := bob.Status(false).Traffic; m.ReceivedOrigins != came {
		t.Errorf("%d bytes of origins are counted, %d came", m.ReceivedOrigins, came)
	}
	o.down()
	for _, p := range all {
		if got, err := bob.reads(p); err != nil || !bytes.Equal(got, o.nix.nar(p)) {
			t.Errorf("with the origin down %s: %d bytes, %v", p, len(got), err)
		}
		if part, err := bob.readsPart(p, 100, 200); err != nil || !bytes.Equal(part, o.nix.nar(p)[100:300]) {
			t.Errorf("a part of %s: %d bytes, %v", p, len(part), err)
		}
	}
	if err := bob.Put(node.Space{Alias: "cache", Address: namespace.AddressOf(o.key.Public())}); err != nil {
		t.Fatal(err)
	}
	if m := bob.Status(false).Traffic; m.ReceivedOrigins != came {
		t.Errorf("%d bytes of origins are counted once it is not in use, %d came", m.ReceivedOrigins, came)
	}
	bob = w.restart(bob)
	if err := bob.Put(node.Space{Alias: "cache", Address: namespace.AddressOf(o.key.Public()), Use: true, Origin: "https://cache.example"}); err != nil {
		t.Fatal(err)
	}
	if got, err := bob.reads(app); err != nil || !bytes.Equal(got, o.nix.nar(app)) {
		t.Errorf("after a restart: %d bytes, %v", len(got), err)
	}
	if o.nars.Load() != 3 {
		t.Errorf("%d NARs were asked for", o.nars.Load())
	}
}

// hasKept reports whether all of p is in the store.
func (m *machine) hasKept(p nix.StorePath) bool {
	v, err := m.Info(m.w.t.Context(), "", p.Hash())
	return err == nil && v.Entry().HasBody()
}

// secretOf is a key that depends on nothing but its name.
func secretOf(t *testing.T, name string) nix.SecretKey {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := nix.NewSecretKey(name, bytes.NewReader(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// readsPart reads n bytes from off, as Nix does to go on after a break.
func (m *machine) readsPart(p nix.StorePath, off, n int64) ([]byte, error) {
	m.w.t.Helper()
	ctx, cancel := context.WithTimeout(m.w.t.Context(), 20*time.Second)
	defer cancel()
	v, err := m.Info(ctx, "", p.Hash())
	if err != nil {
		return nil, err
	}
	nar, err := m.Nar(ctx, "", v.Entry().NarHash, p.Hash())
	if err != nil {
		return nil, err
	}
	defer nar.Close()
	var got bytes.Buffer
	err = nar.WriteRange(ctx, &got, off, n)
	return got.Bytes(), err
}

// TestUpstreamJoined: whoever asks while a NAR comes gets it from the same download, also a part of it, also when it is larger than
// what is kept in memory, also when whoever asked first leaves.
func TestUpstreamJoined(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	p := o.nix.build("app", "1", 12_000_000)
	want := o.nix.nar(p)
	gate := make(chan struct{})
	o.changes(nil, func(_ context.Context, raw []byte) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(raw[:1_000_000]), afterwards{gate}, bytes.NewReader(raw[1_000_000:]))), nil
	})
	v, err := bob.Info(t.Context(), "", p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	leaving, leave := context.WithCancel(t.Context())
	defer leave()
	begun := make(chan struct{})
	var all, left sync.WaitGroup
	left.Go(func() {
		nar, err := bob.Nar(leaving, "", v.Entry().NarHash, p.Hash())
		if err != nil {
			t.Error(err)
			return
		}
		defer nar.Close()
		if err := nar.WriteRange(leaving, &firstWrite{begun: begun}, 0, nar.Size()); !errors.Is(err, context.Canceled) {
			t.Errorf("who left was told %v", err)
		}
	})
	<-begun
	for k := range 6 {
		all.Go(func() {
			if got, err := bob.reads(p); err != nil || !bytes.Equal(got, want) {
				t.Errorf("reader %d: %d bytes, %v", k, len(got), err)
			}
		})
		all.Go(func() {
			off := int64(k) * 1_900_000
			if got, err := bob.readsPart(p, off, 700_000); err != nil || !bytes.Equal(got, want[off:off+700_000]) {
				t.Errorf("part %d: %d bytes, %v", k, len(got), err)
			}
		})
	}
	leave()
	left.Wait() // or all may have come by the time he looks
	close(gate)
	all.Wait()
	if o.nars.Load() != 1 {
		t.Errorf("%d NARs were asked for", o.nars.Load())
	}
}

// afterwards has nothing, once it is let.
type afterwards struct{ gate chan struct{} }

func (a afterwards) Read([]byte) (int, error) {
	<-a.gate
	return 0, io.EOF
}

// firstWrite says when the first byte came.
type firstWrite struct {
	begun chan struct{}
	once  sync.Once
}

func (f *firstWrite) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.begun) })
	return len(p), nil
}

// TestUpstreamLies: what is not as it was signed does not reach its end, is not kept, and is not here for who asks again.
func TestUpstreamLies(t *testing.T) {
	for name, lie := range map[string]func(raw []byte) io.Reader{
		"another byte": func(raw []byte) io.Reader {
			return bytes.NewReader(append(bytes.Clone(raw[:len(raw)-100]), make([]byte, 100)...))
		},
		"cut off":       func(raw []byte) io.Reader { return bytes.NewReader(raw[:len(raw)-100]) },
		"an early end":  func(raw []byte) io.Reader { return bytes.NewReader(raw[:len(raw)/3]) },
		"broken off":    func(raw []byte) io.Reader { return io.MultiReader(bytes.NewReader(raw[:len(raw)/2]), broken{}) },
		"nothing":       func([]byte) io.Reader { return bytes.NewReader(nil) },
		"all and error": func(raw []byte) io.Reader { return io.MultiReader(bytes.NewReader(raw), broken{}) },
	} {
		for _, size := range []int{10_000, 6_000_000} {
			w, o := newWorld(t), newFakeOrigin(t)
			bob, _ := w.downstream(o)
			p := o.nix.build("app", "1", size)
			o.changes(nil, func(_ context.Context, raw []byte) (io.ReadCloser, error) { return io.NopCloser(lie(raw)), nil })
			got, err := bob.reads(p)
			if whole := len(o.nix.nar(p)); err == nil || len(got) > max(0, whole-64<<10) {
				t.Errorf("%s: %d of %d bytes left, %v", name, len(got), whole, err)
			}
			if _, err := bob.reads(p); !errors.Is(err, node.ErrNotHere) {
				t.Errorf("%s: asked again: %v", name, err)
			}
			o.changes(nil, nil)
			w.passes(2 * time.Minute)
			if got, err := bob.reads(p); err != nil || !bytes.Equal(got, o.nix.nar(p)) {
				t.Errorf("%s: when it is mended: %d bytes, %v", name, len(got), err)
			}
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// TestUpstreamMisses: what an origin does not have, or signs with another key, is not here, and is asked for again only after a while, or
// when somebody says so.
func TestUpstreamMisses(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, a := w.downstream(o)
	p := o.nix.build("app", "1", 1000)
	var signed atomic.Bool
	o.changes(func(_ context.Context, i *nix.NarInfo) (*nix.NarInfo, error) {
		if !signed.Load() {
			i.Sigs = []nix.Signature{secretOf(t, "cache.example-2").Sign(i.Fingerprint())}
		}
		return i, nil
	}, nil)
	for range 3 {
		if _, err := bob.reads(p); !errors.Is(err, node.ErrNotHere) {
			t.Fatalf("signed by another key: %v", err)
		}
	}
	if !bob.Absent("", p.Hash()) || o.infos.Load() != 1 {
		t.Errorf("absent: %v, after %d questions", bob.Absent("", p.Hash()), o.infos.Load())
	}
	signed.Store(true)
	w.passes(2 * time.Minute)
	bob.getsFrom(o, p)

	q := nix.PathHash{1}
	o.changes(nil, nil)
	for range 3 {
		if _, err := bob.Info(t.Context(), "", q); !errors.Is(err, node.ErrNotHere) {
			t.Fatalf("unknown: %v", err)
		}
	}
	before := o.infos.Load()
	if err := bob.Put(node.Space{Alias: "cache", Address: a, Use: true, Origin: "https://cache.example"}); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Info(t.Context(), "", q); !errors.Is(err, node.ErrNotHere) || o.infos.Load() != before+1 {
		t.Errorf("used again: %v, after %d questions", err, o.infos.Load()-before)
	}
}

func (m *machine) getsFrom(o *fakeOrigin, p nix.StorePath) {
	m.w.t.Helper()
	if got, err := m.reads(p); err != nil || !bytes.Equal(got, o.nix.nar(p)) {
		m.w.t.Fatalf("%s: %d bytes, %v", p, len(got), err)
	}
}

// TestUpstreamHangs: an origin that answers nothing holds up a few questions, for as long as they may take, and no more after that.
func TestUpstreamHangs(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	o.changes(func(ctx context.Context, _ *nix.NarInfo) (*nix.NarInfo, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := bob.Info(ctx, "", nix.PathHash{1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a hanging origin: %v", err)
	}
	o.down()
	for i := range 20 {
		if _, err := bob.Info(t.Context(), "", nix.PathHash{2, byte(i)}); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("an origin that refuses: %v", err)
		}
	}
	if n := o.infos.Load(); n > 6 {
		t.Errorf("%d of 21 questions were put to an origin that is down", n)
	}
	if !bob.Absent("", nix.PathHash{3}) {
		t.Error("an origin that is down is waited for")
	}
}

// TestUpstreamComesBack: an origin that was down is asked again after a while, by whoever asks then, also when there is no peer, and what
// it has is given.
func TestUpstreamComesBack(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	p := o.nix.build("app", "1", 1000)
	o.down()
	for i := range 5 {
		if _, err := bob.Info(t.Context(), "", nix.PathHash{byte(i)}); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("an origin that refuses: %v", err)
		}
	}
	if !bob.Absent("", p.Hash()) {
		t.Fatal("an origin that is down is waited for")
	}
	o.changes(nil, nil)
	w.passes(5 * time.Second)
	if bob.Absent("", p.Hash()) {
		t.Fatal("an origin that was down 5 s ago is not asked any more")
	}
	bob.getsFrom(o, p)
}

// TestUpstreamIsNobodysBusiness: which paths are asked of an origin, no peer beyond the LAN hears, and not the DHT.
func TestUpstreamIsNobodysBusiness(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, a := w.downstream(o)
	var asked atomic.Int64
	w.site = "elsewhere"
	stranger := w.machine("stranger", node.ShareAll, func(h transfer.Handler) transfer.Handler { return nosy{h, a, &asked} })
	bob.meet(stranger)
	p := o.nix.build("app", "1", 1_000_000)
	bob.getsFrom(o, p)
	for i := range 5 {
		if _, err := bob.Info(t.Context(), "", nix.PathHash{byte(i)}); !errors.Is(err, node.ErrNotHere) {
			t.Error(err)
		}
	}
	o.down()
	if _, err := bob.Info(t.Context(), "", nix.PathHash{99}); !errors.Is(err, node.ErrNotHere) {
		t.Error(err)
	}
	if asked.Load() != 0 {
		t.Errorf("a stranger heard of the namespace %d times", asked.Load())
	}
	for what, k := range map[string]dht.Key{"the namespace": dht.NamespaceKey(a), "a path": dht.PathKey(a, p.Hash()), "an unknown path": dht.PathKey(a, nix.PathHash{1})} {
		if n := bob.router.asked(k); n != 0 {
			t.Errorf("the DHT was asked for %s %d times", what, n)
		}
	}
}

// nosy counts what it is asked about a namespace.
type nosy struct {
	transfer.Handler
	about namespace.Address
	asked *atomic.Int64
}

func (s nosy) Lookup(ctx context.Context, from transfer.Remote, a namespace.Address, h []nix.PathHash) ([]transfer.Answer, error) {
	s.count(a)
	return s.Handler.Lookup(ctx, from, a, h)
}

func (s nosy) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	s.count(a)
	return s.Handler.Sync(ctx, from, a, r)
}

func (s nosy) Text(ctx context.Context, from transfer.Remote, a namespace.Address, k transfer.Kind, id [32]byte) ([]byte, error) {
	s.count(a)
	return s.Handler.Text(ctx, from, a, k, id)
}

func (s nosy) count(a namespace.Address) {
	if a == s.about {
		s.asked.Add(1)
	}
}

// TestUpstreamAskedOnce: whoever asks for a path that its origin is being asked for waits for the same answer, and who leaves costs the others
// nothing.
func TestUpstreamAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newWorld(t), newFakeOrigin(t)
		bob, _ := w.downstream(o)
		p := o.nix.build("app", "1", 1000)
		answers := make(chan struct{})
		o.changes(func(_ context.Context, info *nix.NarInfo) (*nix.NarInfo, error) { <-answers; return info, nil }, nil)
		first, leave := context.WithCancel(t.Context())
		var left, others errgroup.Group
		left.Go(func() error {
			_, err := bob.Info(first, "", p.Hash())
			return err
		})
		synctest.Wait()
		for range 5 {
			others.Go(func() error {
				_, err := bob.Info(t.Context(), "", p.Hash())
				return err
			})
		}
		synctest.Wait()
		leave()
		if err := left.Wait(); err == nil {
			t.Error("who left was given the path")
		}
		close(answers)
		if err := others.Wait(); err != nil {
			t.Error(err)
		}
		if n := o.infos.Load(); n != 1 {
			t.Errorf("the origin was asked %d times", n)
		}
		bob.stop()
	})
}

// TestUpstreamHushes: an origin that hangs all of a sudden costs those who ask for very many paths, as Nix does, a second, once; one that is
// merely slow, or hangs for one path alone, is asked for each.
func TestUpstreamHushes(t *testing.T) {
	const waves, wave = 40, 25
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		answer      func(ctx context.Context, n int64) error
		within      time.Duration
		least, most int64 // questions
	}{
		"hangs": {func(ctx context.Context, _ int64) error { return hang(ctx) }, 2 * time.Second, 1, 5 * wave},
		"slow":  {func(context.Context, int64) error { time.Sleep(900 * time.Millisecond); return node.ErrNotHere }, waves * node.BudgetWAN, waves * wave, waves * wave},
		"hangs for one path": {func(ctx context.Context, n int64) error {
			if n == 1 {
				return hang(ctx)
			}
			time.Sleep(100 * time.Millisecond)
			return node.ErrNotHere
		}, waves * node.BudgetWAN, waves * wave, waves * wave},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newWorld(t), newFakeOrigin(t)
				bob, _ := w.downstream(o)
				o.changes(func(ctx context.Context, _ *nix.NarInfo) (*nix.NarInfo, error) {
					return nil, c.answer(ctx, o.infos.Load())
				}, nil)
				began := time.Now()
				for k := range waves {
					var asking sync.WaitGroup
					for i := range wave {
						asking.Go(func() {
							ctx, cancel := context.WithTimeout(t.Context(), node.BudgetWAN)
							defer cancel()
							if _, err := bob.Info(ctx, "", nix.PathHash{byte(1 + k), byte(i)}); err == nil {
								t.Error("a path was given that is not there")
							}
						})
					}
					asking.Wait()
				}
				if took, n := time.Since(began), o.infos.Load(); took > c.within || n < c.least || n > c.most {
					t.Errorf("%d questions, of which %d were put to the origin, took %v", waves*wave, n, took)
				}
				bob.stop()
			})
		})
	}
}
