package transfertest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

func testText(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	noise := sample.Noise(2, content.MaxBody)
	sizes := map[transfer.Kind][]int{
		transfer.Publication: {1, 127, 128, 256 << 10, 256<<10 + 1, transfer.Publication.MaxSize()},
		transfer.Document:    {transfer.Document.MaxSize()},
		transfer.KeepList:    {transfer.KeepList.MaxSize()},
		transfer.Body:        {1, content.MaxBody},
	}
	var now atomic.Int64
	c := dial(t, pair, Handler{OnText: func(_ context.Context, _ transfer.Remote, s namespace.Address, k transfer.Kind, id [32]byte) ([]byte, error) {
		size := int(now.Load())
		if s != space || id != sample.ID(k.String(), size) {
			t.Errorf("asked for %v %x in %s", k, id, s)
		}
		return noise[:size], nil
	}})
	for _, k := range []transfer.Kind{transfer.Publication, transfer.Document, transfer.KeepList, transfer.Body} {
		for _, size := range sizes[k] {
			now.Store(int64(size))
			got, err := c.Text(ctx, space, k, sample.ID(k.String(), size))
			if err != nil || !bytes.Equal(got, noise[:size]) {
				t.Errorf("%v of %d bytes: %d bytes, %v", k, size, len(got), err)
			}
		}
	}
}

// chunked is a body of chunks: number i has 1000+i bytes.
type chunked struct {
	t    testing.TB
	enc  *zstd.Encoder
	data []byte
}

func newChunked(t testing.TB) *chunked {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { enc.Close() })
	return &chunked{t: t, enc: enc, data: sample.Noise(3, 1<<20)}
}

func (c *chunked) chunk(i uint32) []byte { return c.data[i : 2*i+1000] }

// run is the run of count chunks from first.
func (c *chunked) run(first, count uint32, e transfer.Encoding) transfer.Run {
	r := transfer.Run{First: first, Count: count, Encoding: e}
	for i := first; i < first+count; i++ {
		r.RawLength += len(c.chunk(i))
		if e == transfer.Zstd {
			r.Data = c.enc.EncodeAll(c.chunk(i), r.Data)
		} else {
			r.Data = append(r.Data, c.chunk(i)...)
		}
	}
	return r
}

// check looks whether a run has the chunks that it says.
func (c *chunked) check(r transfer.Run) {
	c.t.Helper()
	if want := c.run(r.First, r.Count, r.Encoding); r.RawLength != want.RawLength || !bytes.Equal(r.Data, want.Data) {
		c.t.Errorf("run %d+%d in %v: %d bytes for %d, want %d for %d", r.First, r.Count, r.Encoding, len(r.Data), r.RawLength, len(want.Data), want.RawLength)
	}
	if r.Encoding == transfer.Zstd {
		if frames, err := transfer.SplitFrames(r.Data); err != nil || len(frames) != int(r.Count) {
			c.t.Errorf("run %d+%d: %d frames, %v", r.First, r.Count, len(frames), err)
		}
	}
}

func sending(runs ...transfer.Run) Handler {
	return Handler{OnChunks: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
		for _, r := range runs {
			if err := send(r); err != nil {
				return err
			}
		}
		return nil
	}}
}

func testChunks(t *testing.T, pair Pair) {
	ctx, space, body := testContext(t), sample.Space(t), newChunked(t)
	ranges := []transfer.Range{{First: 500, Count: 300}, {First: 0, Count: 7}, {First: 7, Count: 1}, {First: content.MaxChunks - 1, Count: 1}}
	largest := transfer.Run{First: content.MaxChunks - 1, Count: 1, RawLength: content.MaxChunk, Data: sample.Noise(4, content.MaxChunk)}
	runs := []transfer.Run{
		body.run(500, 299, transfer.Raw), body.run(799, 1, transfer.Zstd),
		body.run(0, 1, transfer.Zstd), body.run(1, 6, transfer.Zstd), body.run(7, 1, transfer.Raw),
		largest,
	}
	c := dial(t, pair, Handler{OnChunks: func(_ context.Context, _ transfer.Remote, s namespace.Address, id content.BodyID, asked []transfer.Range, send func(transfer.Run) error) error {
		if s != space || id != content.BodyID(sample.ID("body", 1)) || !slices.Equal(asked, ranges) {
			t.Errorf("asked for %v of %v in %s", asked, id, s)
		}
		for _, r := range runs {
			if err := send(r); err != nil {
				return err
			}
		}
		return nil
	}})
	next := 0
	err := c.Chunks(ctx, space, content.BodyID(sample.ID("body", 1)), ranges, func(r transfer.Run) error {
		if want := runs[next]; r.First != want.First || r.Count != want.Count || r.Encoding != want.Encoding || r.RawLength != want.RawLength || !bytes.Equal(r.Data, want.Data) {
			t.Errorf("run %d is %d+%d in %v with %d bytes, want %d+%d", next, r.First, r.Count, r.Encoding, len(r.Data), want.First, want.Count)
		}
		next++
		return nil
	})
	if err != nil || next != len(runs) {
		t.Errorf("%d runs, %v", next, err)
	}
}

// testChunksGaps leaves out chunks: in the middle of a range, at its ends, a
// range, everything.
func testChunksGaps(t *testing.T, pair Pair) {
	ctx, space, body := testContext(t), sample.Space(t), newChunked(t)
	ranges := []transfer.Range{{First: 0, Count: 10}, {First: 20, Count: 10}}
	for name, runs := range map[string][]transfer.Run{
		"the first":         {body.run(1, 9, transfer.Raw), body.run(20, 10, transfer.Zstd)},
		"one in the middle": {body.run(0, 5, transfer.Zstd), body.run(6, 4, transfer.Zstd), body.run(20, 10, transfer.Zstd)},
		"a range":           {body.run(20, 10, transfer.Zstd)},
		"the last range":    {body.run(0, 10, transfer.Raw)},
		"the last":          {body.run(0, 10, transfer.Raw), body.run(20, 9, transfer.Zstd)},
		"all but one":       {body.run(24, 1, transfer.Raw)},
		"all":               nil,
	} {
		c := dial(t, pair, sending(runs...))
		var got []transfer.Range
		err := c.Chunks(ctx, space, content.BodyID(sample.ID("body", 1)), ranges, func(r transfer.Run) error {
			body.check(r)
			got = append(got, transfer.Range{First: r.First, Count: r.Count})
			return nil
		})
		if !errors.Is(err, transfer.ErrAbsent) {
			t.Errorf("without %s: %v, want that something is absent", name, err)
		}
		if len(got) != len(runs) {
			t.Errorf("without %s: %v came of %d runs", name, got, len(runs))
		}
	}
}

func testChunksReceiverFails(t *testing.T, pair Pair) {
	ctx, space, body := testContext(t), sample.Space(t), newChunked(t)
	full, ended := errors.New("the disk is full"), make(chan error, 1)
	c := dial(t, pair, Handler{OnChunks: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
		for i := uint32(0); ; i++ { // until it is told that nobody listens
			if err := send(body.run(i, 1, transfer.Raw)); err != nil {
				ended <- err
				return err
			}
			if i == 1 {
				<-ctx.Done()
			}
		}
	}})
	got := 0
	err := c.Chunks(ctx, space, content.BodyID(sample.ID("body", 1)), []transfer.Range{{First: 0, Count: 2000}}, func(transfer.Run) error {
		got++
		return full
	})
	if !errors.Is(err, full) || got != 1 {
		t.Errorf("%v after %d runs", err, got)
	}
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("the sender was not told")
	}
}

// testChunksReuse: a sender may use the memory of a run again once send returned,
// and a receiver gets each run whole although it is given the same memory again.
func testChunksReuse(t *testing.T, pair Pair) {
	ctx, space, body := testContext(t), sample.Space(t), newChunked(t)
	const count = 300
	c := dial(t, pair, Handler{OnChunks: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
		var memory []byte
		for i := range uint32(count) {
			r := body.run(i*10, 10, transfer.Raw)
			memory = append(memory[:0], r.Data...)
			r.Data = memory
			if err := send(r); err != nil {
				return err
			}
			clear(memory)
		}
		return nil
	}})
	got := 0
	err := c.Chunks(ctx, space, content.BodyID(sample.ID("body", 1)), []transfer.Range{{First: 0, Count: count * 10}}, func(r transfer.Run) error {
		body.check(r)
		clear(r.Data)
		got++
		return nil
	})
	if err != nil || got != count {
		t.Errorf("%d runs, %v", got, err)
	}
}
