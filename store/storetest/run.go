package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/flurry-nix/flurry/store"
)

// Run checks that what open returns does what [store.Store] says. Each part
// opens a store of its own, empty; open registers its own cleanup.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, part := range []struct {
		name string
		test func(*testing.T, store.Store)
	}{
		{"Absent", testAbsent},
		{"PutGet", testPutGet},
		{"Sizes", testSizes},
		{"KindsAreSeparate", testKinds},
		{"FirstPutStays", testFirstPutStays},
		{"DataIsCopied", testDataIsCopied},
		{"FrameRoom", testFrameRoom},
		{"BadFrames", testBadFrames},
		{"BatchHas", testBatchHas},
		{"CommitAgain", testCommitAgain},
		{"CloseKeepsCommitted", testCloseKeepsCommitted},
		{"EndedContext", testEndedContext},
		{"Condemn", testCondemn},
		{"ManyAtOnce", testManyAtOnce},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, open(t)) })
	}
}

// begin starts a batch that is closed with the test.
func begin(t *testing.T, s store.Store) store.Batch {
	t.Helper()
	b, err := s.Begin(t.Context())
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

func mustReceive(t *testing.T, b store.Batch, c *store.Codec, k store.Key, raw []byte) {
	t.Helper()
	if err := store.Receive(t.Context(), b, c, k, raw); err != nil {
		t.Fatalf("Receive %v: %v", k, err)
	}
}

func mustCommit(t *testing.T, b store.Batch) {
	t.Helper()
	if err := b.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func wantContent(t *testing.T, s store.Reader, c *store.Codec, k store.Key, raw []byte) {
	t.Helper()
	if ok, err := s.Has(t.Context(), k); err != nil || !ok {
		t.Errorf("Has %v = %v, %v; want true", k, ok, err)
	}
	got, err := store.Get(t.Context(), s, c, k)
	if err != nil {
		t.Errorf("Get: %v", err)
	} else if !bytes.Equal(got, raw) {
		t.Errorf("Get %v: %d other bytes", k, len(got))
	}
}

func wantAbsent(t *testing.T, s store.Reader, k store.Key) {
	t.Helper()
	if ok, err := s.Has(t.Context(), k); err != nil || ok {
		t.Errorf("Has %v = %v, %v; want false", k, ok, err)
	}
	if _, err := s.Frame(t.Context(), k, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Frame %v: %v; want ErrNotFound", k, err)
	}
}

func testAbsent(t *testing.T, s store.Store) {
	k, _ := Chunk(1, 100)
	wantAbsent(t, s, k)
	wantAbsent(t, s, store.Key{})
}

func testPutGet(t *testing.T, s store.Store) {
	c, b := store.NewCodec(), begin(t, s)
	for seed := range uint64(20) {
		k, raw := Chunk(seed, 1000+int(seed)*997)
		wantAbsent(t, s, k)
		mustReceive(t, b, c, k, raw)
		wantContent(t, s, c, k, raw) // at once
	}
	mustCommit(t, b)
	for seed := range uint64(20) {
		k, raw := Chunk(seed, 1000+int(seed)*997)
		wantContent(t, s, c, k, raw)
	}
}

func testSizes(t *testing.T, s store.Store) {
	c, b := store.NewCodec(), begin(t, s)
	for _, size := range []int{1, 2, 15, 16, 17, store.KindChunk.MaxRaw() - 1, store.KindChunk.MaxRaw()} {
		for _, make := range []func(uint64, int) (store.Key, []byte){Chunk, Noise} {
			k, raw := make(uint64(size), size)
			mustReceive(t, b, c, k, raw)
			mustCommit(t, b)
			wantContent(t, s, c, k, raw)
		}
	}
	k, raw := Noise(1, 3<<20) // a body may be larger than any chunk
	k.Kind = store.KindBody
	mustReceive(t, b, c, k, raw)
	mustCommit(t, b)
	wantContent(t, s, c, k, raw)
}

func testKinds(t *testing.T, s store.Store) {
	c, b := store.NewCodec(), begin(t, s)
	k, raw := Chunk(1, 500)
	mustReceive(t, b, c, k, raw)
	other := store.Key{Kind: store.KindBody, ID: k.ID}
	wantAbsent(t, s, other)
	mustCommit(t, b)
	wantAbsent(t, s, other)
	mustReceive(t, b, c, other, raw)
	wantContent(t, s, c, k, raw)
	wantContent(t, s, c, other, raw)
}

func testFirstPutStays(t *testing.T, s store.Store) {
	c, b := store.NewCodec(), begin(t, s)
	k, raw := Chunk(1, 5000)
	mustReceive(t, b, c, k, raw)
	for range 2 {
		if err := b.Put(t.Context(), k, store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}); err != nil {
			t.Fatalf("Put again: %v", err)
		}
		f, err := s.Frame(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.Encoding != store.Zstd {
			t.Errorf("a second Put replaced the content")
		}
		mustCommit(t, b)
	}
}

func testDataIsCopied(t *testing.T, s store.Store) {
	c, b := store.NewCodec(), begin(t, s)
	k, raw := Noise(1, 5000)
	mine := slices.Clone(raw)
	if err := b.Put(t.Context(), k, store.Frame{Encoding: store.Raw, RawLength: len(mine), Data: mine}); err != nil {
		t.Fatal(err)
	}
	clear(mine)
	wantContent(t, s, c, k, raw)
	f, err := s.Frame(t.Context(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(f.Data)
	wantContent(t, s, c, k, raw)
}

// testFrameRoom: what is read is the same whatever room it is given, and is in that which is large enough.
func testFrameRoom(t *testing.T, s store.Store) {
	c, b := store.NewCodec(), begin(t, s)
	noise, raw := Noise(1, 5000)
	packed, other := Chunk(2, 5000)
	mustReceive(t, b, c, noise, raw)
	mustReceive(t, b, c, packed, other)
	for _, k := range []store.Key{noise, packed} {
		want, err := s.Frame(t.Context(), k, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, room := range [][]byte{{}, make([]byte, 10), bytes.Repeat([]byte{7}, 4999), make([]byte, 0, 100), bytes.Repeat([]byte{7}, 10_000), make([]byte, 0, 10_000)} {
			f, err := s.Frame(t.Context(), k, room)
			if err != nil {
				t.Fatal(err)
			}
			if f.Encoding != want.Encoding || f.RawLength != want.RawLength || !bytes.Equal(f.Data, want.Data) {
				t.Errorf("%v with room for %d bytes is another frame than without", k, cap(room))
			}
			if cap(room) < 10_000 {
				continue
			}
			clear(room[:cap(room)])
			if bytes.Equal(f.Data, want.Data) {
				t.Errorf("%v is not in the room of %d bytes that it was given", k, cap(room))
			}
		}
	}
}

func testBadFrames(t *testing.T, s store.Store) {
	b := begin(t, s)
	k, raw := Chunk(1, 100)
	frame := func(e store.Encoding, n int, data []byte) store.Frame {
		return store.Frame{Encoding: e, RawLength: n, Data: data}
	}
	_, large := Chunk(2, store.KindChunk.MaxRaw()+1)
	for _, bad := range []struct {
		name string
		k    store.Key
		f    store.Frame
	}{
		{"no kind", store.Key{ID: k.ID}, frame(store.Raw, 100, raw)},
		{"unknown kind", store.Key{Kind: 99, ID: k.ID}, frame(store.Raw, 100, raw)},
		{"empty", k, frame(store.Raw, 0, nil)},
		{"negative", k, frame(store.Raw, -1, nil)},
		{"raw too short", k, frame(store.Raw, 101, raw)},
		{"raw too long", k, frame(store.Raw, 99, raw)},
		{"zstd longer than raw", k, frame(store.Zstd, 99, raw)},
		{"too large", k, frame(store.Raw, len(large), large)},
		{"unknown encoding", k, frame(7, 100, raw)},
	} {
		if err := b.Put(t.Context(), bad.k, bad.f); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: Put = %v; want ErrCorrupt", bad.name, err)
		}
		wantAbsent(t, s, bad.k)
	}
	mustCommit(t, b)
}

func testBatchHas(t *testing.T, s store.Store) {
	c := store.NewCodec()
	one, two := begin(t, s), begin(t, s)
	k, raw := Chunk(1, 1000)
	has := func(b store.Batch, want bool) {
		t.Helper()
		if ok, err := b.Has(t.Context(), k); err != nil || ok != want {
			t.Errorf("Batch.Has = %v, %v; want %v", ok, err, want)
		}
	}
	has(one, false)
	mustReceive(t, one, c, k, raw)
	has(one, true)
	has(two, true) // another batch's content, not committed yet
	mustCommit(t, two)
	wantContent(t, s, c, k, raw)
	mustCommit(t, one)
	has(two, true)
}

func testCommitAgain(t *testing.T, s store.Store) {
	c, b := store.NewCodec(), begin(t, s)
	mustCommit(t, b) // nothing at all
	for seed := range uint64(5) {
		k, raw := Chunk(seed, 3000)
		mustReceive(t, b, c, k, raw)
		mustCommit(t, b)
		mustCommit(t, b) // nothing new
		wantContent(t, s, c, k, raw)
	}
}

func testCloseKeepsCommitted(t *testing.T, s store.Store) {
	c := store.NewCodec()
	b, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k, raw := Chunk(1, 3000)
	mustReceive(t, b, c, k, raw)
	mustCommit(t, b)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	wantContent(t, s, c, k, raw)
}

func testEndedContext(t *testing.T, s store.Store) {
	b := begin(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k, raw := Chunk(1, 100)
	f := store.Frame{Encoding: store.Raw, RawLength: len(raw), Data: raw}
	_, errBegin := s.Begin(ctx)
	_, errFrame := s.Frame(ctx, k, nil)
	_, errHas := s.Has(ctx, k)
	for name, err := range map[string]error{
		"Begin": errBegin, "Frame": errFrame, "Has": errHas, "Put": b.Put(ctx, k, f), "Commit": b.Commit(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s under a context that has ended: %v", name, err)
		}
	}
	wantAbsent(t, s, k)
}

// testCondemn accuses content that is right: it must stay.
func testCondemn(t *testing.T, s store.Store) {
	cond, ok := s.(store.Condemner)
	if !ok {
		t.Skip("not a Condemner")
	}
	c, b := store.NewCodec(), begin(t, s)
	k, raw := Chunk(1, 1000)
	if err := cond.Condemn(t.Context(), k); err != nil {
		t.Errorf("Condemn what is absent: %v", err)
	}
	mustReceive(t, b, c, k, raw)
	for range 2 {
		if err := cond.Condemn(t.Context(), k); err != nil {
			t.Errorf("Condemn: %v", err)
		}
		wantContent(t, s, c, k, raw)
		mustCommit(t, b)
	}
}

// testManyAtOnce has eight batches put overlapping content from four
// goroutines each, while others read.
func testManyAtOnce(t *testing.T, s store.Store) {
	const batches, putters, keys = 8, 4, 60
	c := store.NewCodec()
	content := func(i int) (store.Key, []byte) { return Chunk(uint64(i), 2000+i*13) }
	work := func(n int) error {
		b, err := s.Begin(t.Context())
		if err != nil {
			return err
		}
		defer b.Close()
		var wg sync.WaitGroup
		errs := make([]error, putters)
		for p := range putters {
			wg.Go(func() {
				for i := p; i < keys; i += putters {
					k, raw := content((i + n*5) % keys)
					if err := store.Receive(t.Context(), b, c, k, raw); err != nil {
						errs[p] = err
						return
					}
					got, err := store.Get(t.Context(), s, c, k)
					if err != nil || !bytes.Equal(got, raw) {
						errs[p] = fmt.Errorf("read back %v: %d bytes, %w", k, len(got), err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return b.Commit(t.Context())
	}
	var wg sync.WaitGroup
	for n := range batches {
		wg.Go(func() {
			if err := work(n); err != nil {
				t.Errorf("batch %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	for i := range keys {
		k, raw := content(i)
		wantContent(t, s, c, k, raw)
	}
}
