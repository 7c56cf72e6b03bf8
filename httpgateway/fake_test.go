package httpgateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// ample is a budget that no machine is too slow for. Tests of the budget itself
// fake the time.
const ample = time.Minute

// testKey is a secret key that is the same in every run, since the scripts show
// its signatures.
func testKey(t testing.TB, name string) nix.SecretKey {
	t.Helper()
	k, err := nix.NewSecretKey(name, strings.NewReader(strings.Repeat(name, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sample is a store path with its archive, signed by a publisher.
type sample struct {
	path nix.StorePath
	nar  []byte
	v    trust.Verified
}

func (s sample) hash() nix.PathHash   { return s.path.Hash() }
func (s sample) narHash() nix.NarHash { return sha256.Sum256(s.nar) }
func (s sample) infoURL() string      { return "/" + s.hash().String() + ".narinfo" }
func (s sample) narURL() string       { return "/" + narURL(s.narHash(), s.hash()) }

func storePath(t testing.TB, base string) nix.StorePath {
	t.Helper()
	p, err := nix.ParseBaseName(base)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// hashOf spells a path hash as 32 times the same letter.
func hashOf(letter string) string { return strings.Repeat(letter, 32) }

// newSample makes the path "<32 times letter>-name". What it refers to need not
// exist.
func newSample(t testing.TB, letter, name string, nar []byte, refs ...nix.StorePath) sample {
	t.Helper()
	s := sample{path: storePath(t, hashOf(letter)+"-"+name), nar: nar}
	n := nix.NarInfo{
		StorePath: s.path, URL: "elsewhere.nar.xz", Compression: "xz",
		NarHash: s.narHash(), NarSize: uint64(len(nar)), References: refs,
		Deriver: hashOf("d") + "-" + name + ".drv",
	}
	key := testKey(t, "acme-1")
	n.Sigs = []nix.Signature{key.Sign(n.Fingerprint())}
	v, err := trust.NewUpstreamPolicy(namespace.AddressOf(key.Public())).VerifyNarInfo(&n)
	if err != nil {
		t.Fatal(err)
	}
	s.v = v
	return s
}

// digits are n bytes that show where they are.
func digits(n int) []byte {
	return bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
}

// fakeCache is a Cache whose every answer can be set. It polices its caller:
// archives must be closed, once, and not used after that.
type fakeCache struct {
	t          testing.TB
	generation atomic.Uint64
	infoCalls  atomic.Int64
	narCalls   atomic.Int64
	open       sync.WaitGroup // archives that are not closed yet

	mu    sync.Mutex
	infos map[asked]func(context.Context) (trust.Verified, error)
	nars  map[nix.NarHash]func(context.Context) (Nar, error)
}

func newFakeCache(t testing.TB) *fakeCache {
	return &fakeCache{
		t:     t,
		infos: make(map[asked]func(context.Context) (trust.Verified, error)),
		nars:  make(map[nix.NarHash]func(context.Context) (Nar, error)),
	}
}

// add serves a sample in the merged view and in the views named.
func (c *fakeCache) add(s sample, views ...string) {
	for _, view := range append(views, "") {
		c.onInfo(view, s.hash(), func(context.Context) (trust.Verified, error) { return s.v, nil })
	}
	c.onNar(s, func(context.Context) (Nar, error) { return c.nar(s.nar), nil })
}

func (c *fakeCache) onInfo(view string, h nix.PathHash, do func(context.Context) (trust.Verified, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.infos[asked{view, h}] = do
}

func (c *fakeCache) onNar(s sample, do func(context.Context) (Nar, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nars[s.narHash()] = do
}

func (c *fakeCache) Generation() uint64 { return c.generation.Load() }

func (c *fakeCache) Info(ctx context.Context, view string, h nix.PathHash) (trust.Verified, error) {
	c.infoCalls.Add(1)
	c.mu.Lock()
	do := c.infos[asked{view, h}]
	c.mu.Unlock()
	if do == nil {
		return trust.Verified{}, ErrNotHere
	}
	return do(ctx)
}

func (c *fakeCache) Nar(ctx context.Context, _ string, n nix.NarHash, _ nix.PathHash) (Nar, error) {
	c.narCalls.Add(1)
	c.mu.Lock()
	do := c.nars[n]
	c.mu.Unlock()
	if do == nil {
		return nil, ErrNotHere
	}
	return do(ctx)
}

// nar opens an archive of these bytes.
func (c *fakeCache) nar(data []byte) *fakeNar {
	c.open.Add(1)
	return &fakeNar{cache: c, data: data}
}

// fakeNar is a well-behaved Nar, unless its functions are set.
type fakeNar struct {
	cache  *fakeCache
	data   []byte
	closed atomic.Bool

	size  func() int64
	write func(ctx context.Context, w io.Writer, off, n int64) error
	close func() error
}

func (n *fakeNar) Size() int64 {
	if n.size != nil {
		return n.size()
	}
	return int64(len(n.data))
}

func (n *fakeNar) WriteRange(ctx context.Context, w io.Writer, off, count int64) error {
	if n.closed.Load() {
		n.cache.t.Error("WriteRange after Close")
	}
	if n.write != nil {
		return n.write(ctx, w, off, count)
	}
	if off < 0 || count <= 0 || off+count > int64(len(n.data)) {
		n.cache.t.Errorf("WriteRange(%d, %d) of %d bytes", off, count, len(n.data))
	}
	_, err := w.Write(n.data[off : off+count])
	return err
}

func (n *fakeNar) Close() error {
	if n.closed.Swap(true) {
		n.cache.t.Error("Close twice")
	}
	defer n.cache.open.Done()
	if n.close != nil {
		return n.close()
	}
	return nil
}
