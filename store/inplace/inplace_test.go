package inplace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/store/storetest"
)

// shelf is a directory of paths, a store that reads from it, and what was lost.
type shelf struct {
	t     *testing.T
	dir   string
	below *storetest.Mem
	store *Store
	codec *store.Codec

	mu     sync.Mutex
	stamps map[nix.StorePath]uint64
	held   map[nix.StorePath]int
	lost   map[nix.StorePath]error
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, dir: t.TempDir(), below: storetest.NewMem(t), codec: store.NewCodec(),
		stamps: make(map[nix.StorePath]uint64), held: make(map[nix.StorePath]int), lost: make(map[nix.StorePath]error)}
	s.store = New(s.below, s.codec, s, func(p nix.StorePath, _ content.BodyID, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lost[p] = err
	})
	return s
}

func (s *shelf) file(p nix.StorePath) string { return filepath.Join(s.dir, p.Base()) }

func (s *shelf) Nar(p nix.StorePath) (*nix.NarFile, error) { return nix.IndexNar(s.file(p)) }

func (s *shelf) Stamp(p nix.StorePath) (uint64, error) {
	if _, err := os.Lstat(s.file(p)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stamps[p], nil
}

func (s *shelf) Hold(_ context.Context, p nix.StorePath) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[p]++
}

func (s *shelf) Short(error) bool { return false }

func (s *shelf) lostTo(p nix.StorePath) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[p]
}

// put makes a path of files that name it and others, and returns its body and its chunks.
func (s *shelf) put(name string, files map[string][]byte, references ...nix.StorePath) (nix.StorePath, *content.Body, map[store.Key][]byte) {
	s.t.Helper()
	p := s.write(name, files)
	hashes := []nix.PathHash{p.Hash()}
	for _, r := range references {
		hashes = append(hashes, r.Hash())
	}
	body, chunks := s.cut(p, hashes)
	return p, body, chunks
}

// write makes a path of files.
func (s *shelf) write(name string, files map[string][]byte) nix.StorePath {
	s.t.Helper()
	p, err := nix.ParseStorePath("/nix/store/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	for file, data := range files {
		file = filepath.Join(s.file(p), file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, data, 0o644)); err != nil {
			s.t.Fatal(err)
		}
	}
	return p
}

// cut returns the body and the chunks of a path, with hashes taken out. The body goes into the store below.
func (s *shelf) cut(p nix.StorePath, hashes []nix.PathHash) (*content.Body, map[store.Key][]byte) {
	s.t.Helper()
	var mu sync.Mutex
	chunks := make(map[store.Key][]byte)
	split := content.NewSplitter(s.t.Context(), content.SplitOptions{Candidates: hashes, Put: func(id content.ChunkID, data []byte) error {
		mu.Lock()
		defer mu.Unlock()
		chunks[store.ChunkKey(id)] = bytes.Clone(data)
		return nil
	}})
	if err := nix.DumpNar(split, s.file(p)); err != nil {
		s.t.Fatal(err)
	}
	done, err := split.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := s.below.Begin(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer b.Close()
	if err := errors.Join(store.Receive(s.t.Context(), b, s.codec, store.BodyKey(done.Body.ID()), done.Body.Append(nil)), b.Commit(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
	return done.Body, chunks
}

// changed is what Check tells of.
func (s *shelf) changed() (all []nix.StorePath) {
	s.t.Helper()
	if err := s.store.Check(s.t.Context(), func(p nix.StorePath, _ content.BodyID) { all = append(all, p) }); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// places counts what is placed.
func (s *shelf) places() (n int) {
	for range s.store.Places() {
		n++
	}
	return n
}

func (s *shelf) place(p nix.StorePath, b *content.Body) {
	s.t.Helper()
	if err := s.store.Place(p, b.ID(), b); err != nil {
		s.t.Fatal(err)
	}
}

// has reports whether the chunk is here, and checks that Has, Frame and Get agree on it.
func (s *shelf) has(k store.Key, want []byte) bool {
	s.t.Helper()
	has, err := s.store.Has(s.t.Context(), k)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := store.Get(s.t.Context(), s.store, s.codec, k)
	switch {
	case err == nil && bytes.Equal(raw, want) && has:
		return true
	case errors.Is(err, store.ErrNotFound):
		return false // Has may have said yes: it reads nothing
	}
	s.t.Fatalf("%v: it is here: %v, and %d bytes, %v", k, has, len(raw), err)
	return false
}

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

const (
	libName    = "00000000000000000000000000000001-lib"
	widgetName = "00000000000000000000000000000002-widget"
	newName    = "00000000000000000000000000000003-widget"
)

// widgets is a library and two builds of a widget that differ in its hash and in the end of one file.
func (s *shelf) widgets() (lib, one, two nix.StorePath, bodies [3]*content.Body, chunks [3]map[store.Key][]byte) {
	s.t.Helper()
	lib, bodies[0], chunks[0] = s.put(libName, map[string][]byte{"lib.so": noise(1, 400_000)})
	big := append(noise(2, 900_000), []byte(" linked with "+lib.String()+" ")...)
	files := func(self string, end string) map[string][]byte {
		return map[string][]byte{"bin/widget": append(bytes.Clone(big), end...), "etc/conf": []byte("prefix=/nix/store/" + self), "share/empty": {}, "share/doc": noise(3, 5000)}
	}
	one, bodies[1], chunks[1] = s.put(widgetName, files(widgetName, "1"), lib)
	two, bodies[2], chunks[2] = s.put(newName, files(newName, "2"), lib)
	return lib, one, two, bodies, chunks
}

// TestStores: with no path placed it is the store below, whatever is done with it.
func TestStores(t *testing.T) {
	storetest.RunCollector(t, func(t *testing.T) store.Collector { return newShelf(t).store })
}

// TestPlacedChunksAreRead: every chunk of what is placed is here, and of what is not none is.
func TestPlacedChunksAreRead(t *testing.T) {
	s := newShelf(t)
	lib, one, _, bodies, chunks := s.widgets()
	for k, raw := range chunks[1] {
		if s.has(k, raw) {
			t.Fatalf("%v is here before anything is placed", k)
		}
	}
	s.place(one, bodies[1])
	s.place(lib, bodies[0])
	for i := range 2 {
		for k, raw := range chunks[i] {
			if !s.has(k, raw) {
				t.Errorf("%v of path %d is not here", k, i)
			}
		}
	}
	missing := 0
	for k, raw := range chunks[2] {
		if !s.has(k, raw) {
			missing++
		}
	}
	if missing == 0 || missing == len(chunks[2]) {
		t.Errorf("%d of %d chunks of what is not placed are not here", missing, len(chunks[2]))
	}
	if s.held[one] == 0 || s.held[lib] == 0 {
		t.Error("what is read is not held")
	}
	if n, bytes := s.store.Size(); n != 2 || bytes != bodies[0].Size+bodies[1].Size {
		t.Errorf("%d paths of %d bytes", n, bytes)
	}
	s.store.Withdraw(one, bodies[1].ID())
	if s.store.Placed(bodies[1].ID()) || !s.store.Placed(bodies[0].ID()) || s.places() != 1 {
		t.Error("what is withdrawn is placed, or what is not is not")
	}
	for k, raw := range chunks[1] {
		if s.has(k, raw) {
			t.Errorf("%v is here though its path is withdrawn", k)
		}
	}
	if len(s.lost) != 0 {
		t.Errorf("%v is said to be lost", s.lost)
	}
}

// TestSharedChunks: what two paths have stays while one of them is there, whichever came first and was placed how often.
func TestSharedChunks(t *testing.T) {
	s := newShelf(t)
	_, one, two, bodies, chunks := s.widgets()
	s.place(one, bodies[1])
	s.place(two, bodies[2])
	s.place(one, bodies[1])
	s.store.Withdraw(two, bodies[2].ID())
	for k, raw := range chunks[1] {
		if !s.has(k, raw) {
			t.Errorf("%v went with another path", k)
		}
	}
	s.place(two, bodies[2])
	s.store.Withdraw(one, bodies[1].ID())
	for k, raw := range chunks[2] {
		if !s.has(k, raw) {
			t.Errorf("%v went with another path", k)
		}
	}
	s.store.Withdraw(two, bodies[2].ID())
	if tb := s.store.table; len(tb.first)+len(tb.others)+len(tb.places)+len(tb.bodies)+len(tb.paths) != 0 || tb.bytes != 0 || s.store.ready.cost != 0 {
		t.Errorf("something is left: %d, %d, %d, %d, %d bytes, %d of memory", len(tb.first), len(tb.others), len(tb.places), len(tb.bodies), tb.bytes, s.store.ready.cost)
	}
}

// TestTwoBodies: two that cut one path otherwise do not take its place from each other.
func TestTwoBodies(t *testing.T) {
	s := newShelf(t)
	lib, one, _, bodies, chunks := s.widgets()
	other, otherChunks := s.cut(one, []nix.PathHash{lib.Hash()}) // one's own hash stays in
	if other.ID() == bodies[1].ID() {
		t.Fatal("it is cut the same way")
	}
	both := func() {
		t.Helper()
		for _, of := range []map[store.Key][]byte{chunks[1], otherChunks} {
			for k, raw := range of {
				if !s.has(k, raw) {
					t.Errorf("%v is not here", k)
				}
			}
		}
	}
	s.place(one, bodies[1])
	s.place(one, other)
	both()
	if n, bytes := s.store.Size(); n != 1 || bytes != other.Size || s.places() != 2 {
		t.Errorf("%d paths of %d bytes in %d places", n, bytes, s.places())
	}
	s.stamps[one] = 7
	if changed := s.changed(); len(changed) != 2 {
		t.Errorf("%v was made anew", changed)
	}
	s.place(one, other)
	both()
	s.store.Withdraw(one, bodies[1].ID())
	for k, raw := range otherChunks {
		if !s.has(k, raw) {
			t.Errorf("%v went with the other body", k)
		}
	}
	if n, bytes := s.store.Size(); s.store.Placed(bodies[1].ID()) || !s.store.Placed(other.ID()) || n != 1 || bytes != other.Size {
		t.Errorf("one of them is left: %v, %v, %d paths of %d bytes", s.store.Placed(bodies[1].ID()), s.store.Placed(other.ID()), n, bytes)
	}
}

// TestLost: a path that is gone, or whose files are not what they were, gives nothing wrong and loses its place.
func TestLost(t *testing.T) {
	for name, test := range map[string]struct {
		change func(file string) error
		want   error
	}{
		"collected": {func(path string) error { return os.RemoveAll(path) }, fs.ErrNotExist},
		"a bit": {func(path string) error {
			name := filepath.Join(path, "bin/widget")
			data, err := os.ReadFile(name)
			data[450_000] ^= 1
			return errors.Join(err, os.WriteFile(name, data, 0o644))
		}, nil},
		"grown":   {func(path string) error { return os.WriteFile(filepath.Join(path, "share/new"), []byte("x"), 0o644) }, nil},
		"shorter": {func(path string) error { return os.Truncate(filepath.Join(path, "bin/widget"), 10) }, nil},
	} {
		for _, warm := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := newShelf(t)
				_, one, _, bodies, chunks := s.widgets()
				s.place(one, bodies[1])
				if warm { // it is open, and known not to have changed
					for k, raw := range chunks[1] {
						s.has(k, raw)
					}
				}
				if err := test.change(s.file(one)); err != nil {
					t.Fatal(err)
				}
				given := 0
				for k, raw := range chunks[1] {
					if s.has(k, raw) {
						given++
					}
				}
				switch err := s.lostTo(one); {
				case warm && name == "grown": // no file that has chunks is another
					if err != nil || given != len(chunks[1]) {
						t.Errorf("%d of %d, %v", given, len(chunks[1]), err)
					}
				case err == nil || s.store.Placed(bodies[1].ID()) || test.want != nil && !errors.Is(err, test.want):
					t.Errorf("%d of %d chunks were given, and it is not lost: %v", given, len(chunks[1]), err)
				}
			})
		}
	}
}

// TestCheck: what is gone is withdrawn without being read, and what was made anew is told.
func TestCheck(t *testing.T) {
	s := newShelf(t)
	lib, one, two, bodies, _ := s.widgets()
	for i, p := range []nix.StorePath{lib, one, two} {
		s.place(p, bodies[i])
	}
	if changed := s.changed(); len(changed) != 0 || len(s.lost) != 0 {
		t.Fatalf("%v, %v", changed, s.lost)
	}
	s.stamps[two] = 7
	if err := os.RemoveAll(s.file(one)); err != nil {
		t.Fatal(err)
	}
	changed := s.changed()
	if len(changed) != 1 || changed[0] != two || !errors.Is(s.lostTo(one), fs.ErrNotExist) || len(s.lost) != 1 {
		t.Errorf("%v, %v", changed, s.lost)
	}
	if s.store.Placed(bodies[1].ID()) || !s.store.Placed(bodies[2].ID()) {
		t.Error("what is gone is placed, or what was made anew is not until somebody says so")
	}
}

// TestBatchesDoNotDependOnPaths: what a batch vouches for stays when the path goes, and a batch that cannot have it says so.
func TestBatchesDoNotDependOnPaths(t *testing.T) {
	s := newShelf(t)
	_, one, two, bodies, chunks := s.widgets()
	s.place(one, bodies[1])
	batch := func() store.Batch {
		b, err := s.store.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	b := batch()
	shared := make(map[store.Key][]byte)
	for k, raw := range chunks[2] {
		has, err := b.Has(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if has {
			shared[k] = raw
		} else if err := store.Receive(t.Context(), b, s.codec, k, raw); err != nil {
			t.Fatal(err)
		}
	}
	if len(shared) == 0 {
		t.Fatal("the two share nothing")
	}
	if err := b.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.file(one)); err != nil {
		t.Fatal(err)
	}
	for k, raw := range chunks[2] {
		if !s.has(k, raw) {
			t.Errorf("%v went with a path that a batch does not depend on", k)
		}
	}
	s.place(two, bodies[2])
	late, again := batch(), 0
	for k := range chunks[2] {
		if has, err := late.Has(t.Context(), k); err != nil || !has {
			t.Fatal(has, err)
		}
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Errorf("all of it was copied before: %v", err)
	}
	lib, body, libChunks := s.put(strings.Replace(libName, "1-", "4-", 1), map[string][]byte{"only": noise(9, 300_000)})
	s.place(lib, body)
	failing := batch()
	for k := range libChunks {
		if has, err := failing.Has(t.Context(), k); err != nil || !has {
			t.Fatal(has, err)
		}
		again++
	}
	if err := os.RemoveAll(s.file(lib)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := failing.Commit(t.Context()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it vouches for %d chunks that are gone: %v", again, err)
		}
	}
}

// TestPlaceRefuses: what is not there, and what cannot be the body's, has no place.
func TestPlaceRefuses(t *testing.T) {
	s := newShelf(t)
	_, one, two, bodies, _ := s.widgets()
	if err := s.store.Place(one, bodies[0].ID(), bodies[0]); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("another body: %v", err)
	}
	if err := os.RemoveAll(s.file(two)); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Place(two, bodies[2].ID(), bodies[2]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
	if n, _ := s.store.Size(); n != 0 {
		t.Errorf("%d are placed", n)
	}
}

// TestReadyIsBounded: however many paths are read, the memory for them is not exceeded by more than one.
func TestReadyIsBounded(t *testing.T) {
	s := newShelf(t)
	for i := range 40 {
		p, b, chunks := s.put(strings.Replace(libName, "01-", string("0123456789"[i/10])+string("0123456789"[i%10])+"-", 1),
			map[string][]byte{"file": noise(uint64(i), 100_000)})
		s.place(p, b)
		for k, raw := range chunks {
			s.has(k, raw)
		}
	}
	r := s.store.ready
	sum := 0
	for e := r.order.Front(); e != nil; e = e.Next() {
		sum += e.Value.(*opened).cost()
	}
	if sum != r.cost || r.order.Len() != len(r.byPlace) || r.order.Len() != 40 {
		t.Errorf("%d paths, %d known, cost %d, not %d", r.order.Len(), len(r.byPlace), r.cost, sum)
	}
	big := *r.order.Front().Value.(*opened)
	for i := range 100 {
		o := big
		pl := *big.place
		pl.path = mustPath(t, i)
		o.place, o.nar = &pl, largeNar(t)
		r.put(&o)
		if r.cost > openBytes+o.cost() {
			t.Fatalf("%d bytes after %d paths", r.cost, i)
		}
	}
}

func mustPath(t *testing.T, i int) nix.StorePath {
	t.Helper()
	p, err := nix.ParseStorePath("/nix/store/" + strings.Replace(newName, "003", "0"+string("0123456789"[i/10])+string("0123456789"[i%10]), 1))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// largeNar is one whose index takes a megabyte.
func largeNar(t *testing.T) *nix.NarFile {
	t.Helper()
	dir := t.TempDir()
	for i := range 256 {
		if err := os.Symlink(strings.Repeat("x", 4000), filepath.Join(dir, string(rune('a'+i/16))+string(rune('a'+i%16)))); err != nil {
			t.Fatal(err)
		}
	}
	n, err := nix.IndexNar(dir)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReadAtOnce: many readers, with paths that come and go, get what is right or nothing.
func TestReadAtOnce(t *testing.T) {
	s := newShelf(t)
	_, one, two, bodies, chunks := s.widgets()
	s.place(one, bodies[1])
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for k, raw := range chunks[1+i%2] {
					got, err := store.Get(context.Background(), s.store, s.codec, k)
					if err == nil && !bytes.Equal(got, raw) || err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Errorf("%v: %v", k, err)
						return
					}
				}
			}
		})
	}
	for range 50 {
		s.place(two, bodies[2])
		s.store.Withdraw(one, bodies[1].ID())
		s.place(one, bodies[1])
		s.store.Withdraw(two, bodies[2].ID())
		s.changed()
	}
	close(done)
	all.Wait()
	if len(s.lost) != 0 {
		t.Errorf("lost: %v", s.lost)
	}
}

var _ io.ReaderAt = (*nix.NarFile)(nil)
