package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/dhttest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/nix/daemon"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/inplace"
	"github.com/flurry-nix/flurry/store/storetest"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a network of whole nodes in one process: real catalogs, stores in memory, streams and a DHT without sockets.
type world struct {
	t   *testing.T
	net *transfertest.Net
	dht *dhttest.Network

	site string // where new machines stand: those at one site are on each other's LAN

	ahead atomic.Int64 // how far everybody's clock is ahead of the real one
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// passes lets time pass for everybody.
func (w *world) passes(d time.Duration) { w.ahead.Add(int64(d)) }

func newWorld(t *testing.T) *world {
	w := &world{t: t, net: transfertest.NewNetwork(1), dht: dhttest.NewNetwork(1)}
	t.Cleanup(w.net.Close)
	return w
}

// machine is one node of a world, with the keys and the Nix store of its owner.
type machine struct {
	*node.Node
	w      *world
	name   string
	store  *storetest.Mem
	list   *catalog.Catalog
	keys   *keys
	nix    *fakeNix
	link   *transfertest.Node
	router *askedRouter
	stop   func()

	kv    *catalogtest.MemKV
	texts catalog.Texts
	share node.Share
	// origins makes what is behind upstream namespaces.
	origins func(url string) (node.Origin, error)
	budget  time.Duration // for narinfos; 0: the usual one
	grace   time.Duration // after a start or a move; 0: none
	ahead   time.Duration // how far its clock is ahead of the world's
	// clock is what its clock says when it is another time; nil: just that.
	clock func(time.Time) time.Time
	// collect: it collects by itself.
	collect bool
	wrap    func(transfer.Handler) transfer.Handler
	// disk is its /nix/store, from which it serves in place; nil: it does not.
	disk *disk
	// spaces are put before it goes on the wire, as a daemon does after a start.
	spaces []node.Space
	// scratch gives room for what comes from origins; nil: none but in asideTests.
	scratch func() (node.Scratch, error)
}

type keys struct {
	mu  sync.Mutex
	all []nix.SecretKey
}

var errNoKey = errors.New("no key here")

func (k *keys) Signer(a namespace.Address) (nix.SecretKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.all {
		if key.Public() == a.Key() {
			return key, nil
		}
	}
	return nix.SecretKey{}, errNoKey
}

func (k *keys) Root(a namespace.Address) (nix.SecretKey, error) { return k.Signer(a) }

// quiet is a log that tells the test what happened when it fails.
func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// machine starts a node. wrap, if not nil, may change how it answers others: that is how liars are made.
func (w *world) machine(name string, share node.Share, wrap func(transfer.Handler) transfer.Handler) *machine {
	w.t.Helper()
	m := &machine{w: w, name: name, store: storetest.NewMem(w.t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{},
		share: share, wrap: wrap}
	return w.boot(m)
}

// restart is a machine that was stopped, with its disk, keys and Nix store, started again. What it does with namespaces is
// for the caller to put.
func (w *world) restart(old *machine) *machine {
	w.t.Helper()
	old.stop()
	return w.boot(&machine{w: w, name: old.name, store: old.store, keys: old.keys, nix: old.nix, kv: old.kv, texts: old.texts, share: old.share, ahead: old.ahead, origins: old.origins, budget: old.budget, collect: old.collect, wrap: old.wrap, disk: old.disk, scratch: old.scratch})
}

func (w *world) boot(m *machine) *machine {
	w.t.Helper()
	name, share, wrap := m.name, m.share, m.wrap
	now := func() time.Time { return w.now().Add(m.ahead) }
	if m.clock != nil {
		now = func() time.Time { return m.clock(w.now().Add(m.ahead)) }
	}
	c, err := catalog.Open(w.t.Context(), m.kv, m.texts, now, quiet(w.t).With("node", name))
	if err != nil {
		w.t.Fatal(err)
	}
	m.list = c
	needs := node.Needs{Catalog: c, Store: m.store, Codec: store.NewCodec(), Keys: m.keys, Log: quiet(w.t).With("node", name), Now: now, Origin: m.origins, Named: w.named}
	needs.Scratch = m.scratch
	if needs.Scratch == nil && strings.HasPrefix(w.t.Name(), asideTests+"/") {
		needs.Scratch = func() (node.Scratch, error) { return os.CreateTemp(w.t.TempDir(), "aside") }
	}
	if m.disk != nil {
		s := inplace.New(m.store, needs.Codec, m.disk, func(p nix.StorePath, id content.BodyID, why error) { m.LostPlace(p, id, why) })
		needs.Store, needs.InPlace, needs.Installed = s, s, m.disk
	}
	m.Node = node.New(needs,
		node.Settings{Share: share, Grace: max(m.grace, time.Millisecond), BudgetWAN: m.budget, Collect: m.collect})
	ctx, cancel := context.WithCancel(w.t.Context())
	if err := m.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
	var handler transfer.Handler = m.Server()
	if wrap != nil {
		handler = wrap(handler)
	}
	m.link = w.net.NodeAt(w.site, name, handler)
	m.stop = sync.OnceFunc(func() {
		m.link.Close()
		cancel()
		m.Wait()
	})
	w.t.Cleanup(m.stop)
	for _, sp := range m.spaces {
		if err := m.Put(sp); err != nil {
			w.t.Fatal(err)
		}
	}
	m.online()
	return m
}

// asideTests begins the names of tests in which what comes from origins is put aside at first.
const asideTests = "TestAside"

// named are the peers that hints of the form /p2p/ID mean.
func (w *world) named(hints []peer.Hint) (ids []peer.ID) {
	for _, h := range hints {
		ids = append(ids, peer.ID(strings.TrimPrefix(h.Multiaddr, "/p2p/")))
	}
	return ids
}

// online puts the node on the wire.
func (m *machine) online() {
	m.w.t.Helper()
	m.router = &askedRouter{Node: m.w.dht.Join(m.link.Self()), times: make(map[dht.Key]int)}
	sign := func(r *namespace.Receipt) ([]byte, error) { return trust.SignReceipt(r, transfertest.KeyOf(m.name)) }
	if err := m.GoOnline(m.link, m.router, sign); err != nil {
		m.w.t.Fatal(err)
	}
}

// askedRouter counts what its node asks the DHT for.
type askedRouter struct {
	*dhttest.Node
	mu    sync.Mutex
	times map[dht.Key]int
}

func (r *askedRouter) Providers(ctx context.Context, k dht.Key) iter.Seq[peer.Info] {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times[k]++
	return r.Node.Providers(ctx, k)
}

func (r *askedRouter) asked(k dht.Key) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.times[k]
}

// meet connects m to others.
func (m *machine) meet(others ...*machine) {
	m.w.t.Helper()
	for _, o := range others {
		if err := m.Meet(m.w.t.Context(), o.link.Self()); err != nil {
			m.w.t.Fatalf("%s meets %s: %v", m.name, o.name, err)
		}
	}
}

// creates makes a namespace whose root key is on m.
func (m *machine) creates(name string) namespace.Address {
	m.w.t.Helper()
	root, err := nix.NewSecretKey(name, rand.Reader)
	if err != nil {
		m.w.t.Fatal(err)
	}
	m.keys.mu.Lock()
	m.keys.all = append(m.keys.all, root)
	m.keys.mu.Unlock()
	if _, err := m.NewNamespace(m.w.t.Context(), root, "for tests", 90*24*time.Hour); err != nil {
		m.w.t.Fatal(err)
	}
	a := namespace.AddressOf(root.Public())
	if err := m.Put(node.Space{Alias: name, Address: a, Publish: true}); err != nil {
		m.w.t.Fatal(err)
	}
	return a
}

// uses puts a in use on m and waits until it is synced.
func (m *machine) uses(a namespace.Address) {
	m.w.t.Helper()
	if err := m.Put(node.Space{Alias: a.Name(), Address: a, Use: true}); err != nil {
		m.w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(m.w.t.Context(), 20*time.Second)
	defer cancel()
	if !m.WaitSynced(ctx, a) {
		m.w.t.Fatalf("%s was not synced with anybody who holds %s", m.name, a.Name())
	}
}

// publishes publishes roots to the namespace called alias.
func (m *machine) publishes(alias string, roots ...nix.StorePath) {
	m.w.t.Helper()
	if _, err := m.Publish(m.w.t.Context(), m.nix, node.PublishRequest{Alias: alias, Roots: roots}); err != nil {
		m.w.t.Fatalf("publish: %v", err)
	}
}

// reads asks m's gateway side for the path, as Nix does: narinfo first, then the whole NAR.
func (m *machine) reads(p nix.StorePath) ([]byte, error) {
	m.w.t.Helper()
	return m.readsFor(p, 20*time.Second)
}

// readsFor is reads within a time.
func (m *machine) readsFor(p nix.StorePath, most time.Duration) ([]byte, error) {
	m.w.t.Helper()
	ctx, cancel := context.WithTimeout(m.w.t.Context(), most)
	defer cancel()
	v, err := m.Info(ctx, "", p.Hash())
	if err != nil {
		return nil, fmt.Errorf("narinfo: %w", err)
	}
	nar, err := m.Nar(ctx, "", v.Entry().NarHash, p.Hash())
	if err != nil {
		return nil, fmt.Errorf("open NAR: %w", err)
	}
	defer nar.Close()
	var got bytes.Buffer
	if err := nar.WriteRange(ctx, &got, 0, nar.Size()); err != nil {
		return got.Bytes(), fmt.Errorf("read NAR: %w", err)
	}
	return got.Bytes(), nil
}

// gets is reads that must succeed with the very bytes that the publisher's Nix has.
func (m *machine) gets(from *machine, p nix.StorePath) {
	m.w.t.Helper()
	got, err := m.reads(p)
	if err != nil {
		m.w.t.Fatalf("%s gets %s: %v", m.name, p.Base(), err)
	}
	if want := from.nix.nar(p); !bytes.Equal(got, want) {
		m.w.t.Fatalf("%s got %d other bytes for %s", m.name, len(got), p.Base())
	}
}

// fakeNix is a Nix store of made-up paths.
type fakeNix struct {
	mu    sync.Mutex
	infos map[nix.StorePath]daemon.PathInfo
	nars  map[nix.StorePath][]byte
	trees map[nix.StorePath]*nix.NarNode
	order []nix.StorePath
}

func newFakeNix() *fakeNix {
	return &fakeNix{infos: make(map[nix.StorePath]daemon.PathInfo), nars: make(map[nix.StorePath][]byte), trees: make(map[nix.StorePath]*nix.NarNode)}
}

// build makes a path called name of about size random bytes in which the hashes of refs and its own occur. salt stands
// for the rest of its inputs: another salt is another hash over the same content.
func (f *fakeNix) build(name, salt string, size int, refs ...nix.StorePath) nix.StorePath {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.New()
	fmt.Fprintln(sum, name, salt, size)
	for _, r := range refs {
		fmt.Fprintln(sum, r)
	}
	var h nix.PathHash
	copy(h[:], sum.Sum(nil))
	p, err := nix.ParseBaseName(h.String() + "-" + name)
	if err != nil {
		panic(err)
	}
	random := mathrand.NewChaCha8(sha256.Sum256([]byte(name)))
	data := make([]byte, size)
	random.Read(data)
	all := append([]nix.StorePath{p}, refs...)
	for k := 0; size > 64; k++ {
		at := 32 + k*20_000
		if at+32 > size {
			break
		}
		copy(data[at:], all[k%len(all)].Hash().String())
	}
	f.add(p, refs, map[string]*nix.NarNode{"bin": {Type: 'x', Data: data}, "name": {Type: 'f', Data: []byte(name)}})
	return p
}

// add makes p a directory of entries. It is called with mu held.
func (f *fakeNix) add(p nix.StorePath, refs []nix.StorePath, entries map[string]*nix.NarNode) {
	var nar bytes.Buffer
	tree := &nix.NarNode{Type: 'd', Entries: entries}
	if err := tree.WriteNar(&nar); err != nil {
		panic(err)
	}
	f.nars[p], f.trees[p] = nar.Bytes(), tree
	info := daemon.PathInfo{Path: p, NarHash: sha256.Sum256(nar.Bytes()), NarSize: uint64(nar.Len()), References: append(refs[:len(refs):len(refs)], p), Ultimate: true}
	f.infos[p] = info
	f.order = append(f.order, p)
}

func (f *fakeNix) nar(p nix.StorePath) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nars[p]
}

func (f *fakeNix) Closure(_ context.Context, roots []nix.StorePath) ([]daemon.PathInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	want := make(map[nix.StorePath]bool)
	var visit func(p nix.StorePath) error
	visit = func(p nix.StorePath) error {
		info, ok := f.infos[p]
		if !ok {
			return &daemon.NotValidError{Paths: []nix.StorePath{p}}
		}
		if want[p] {
			return nil
		}
		want[p] = true
		for _, r := range info.References {
			if err := visit(r); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range roots {
		if err := visit(r); err != nil {
			return nil, err
		}
	}
	var out []daemon.PathInfo
	for _, p := range f.order { // built after what it refers to
		if want[p] {
			out = append(out, f.infos[p])
		}
	}
	return out, nil
}

func (f *fakeNix) AddTempRoot(context.Context, nix.StorePath) error { return nil }

func (f *fakeNix) Nar(_ context.Context, p nix.StorePath, w io.Writer) error {
	_, err := w.Write(f.nar(p))
	return err
}

// waitsFor waits until m's catalog lists p.
func (m *machine) waitsFor(p nix.StorePath) {
	m.w.t.Helper()
	m.eventually("to list "+p.Base(), func() bool {
		_, err := m.Info(m.w.t.Context(), "", p.Hash())
		return err == nil
	})
}

// waitsSettled waits until all of p is durable on m.
func (m *machine) waitsSettled(p nix.StorePath) {
	m.w.t.Helper()
	m.eventually("to hold "+p.Base(), func() bool {
		s, err := m.Show(m.w.t.Context(), node.ShowQuery{Alias: m.Spaces()[0].Alias, Glob: p.Name()})
		return err == nil && len(s.Found) > 0 && s.Found[0].Held
	})
}

// eventually waits for a condition that other goroutines bring about.
func (m *machine) eventually(what string, ok func() bool) {
	m.w.t.Helper()
	m.eventuallyWithin(20*time.Second, what, ok)
}

func (m *machine) eventuallyWithin(most time.Duration, what string, ok func() bool) {
	m.w.t.Helper()
	deadline := time.Now().Add(most)
	for !ok() {
		if time.Now().After(deadline) {
			m.w.t.Fatalf("%s waited in vain %s", m.name, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
