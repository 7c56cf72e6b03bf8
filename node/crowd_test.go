package node

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/flurry-nix/flurry/content"
)

func TestCrowd(t *testing.T) {
	c := newCrowd(new(rooms))
	body := content.BodyID{1}
	leave := c.enter(body)
	if c.many(body) {
		t.Error("one is many")
	}
	leaveToo := c.enter(body)
	if !c.many(body) || c.many(content.BodyID{2}) {
		t.Error("two are not many, or of another body")
	}

	// Asked for by many at once, a chunk is loaded once.
	var loads atomic.Int64
	gate := make(chan struct{})
	want := bytes.Repeat([]byte("x"), 1000)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			got, err := c.chunk(content.ChunkID{1}, 1000, nil, func([]byte) ([]byte, error) { loads.Add(1); <-gate; return want, nil })
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	close(gate)
	all.Wait()
	if loads.Load() != 1 {
		t.Errorf("loaded %d times", loads.Load())
	}

	// What failed is not kept, and not passed on.
	failed := errors.New("failed")
	if _, err := c.chunk(content.ChunkID{2}, 1000, nil, func([]byte) ([]byte, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if got, err := c.chunk(content.ChunkID{2}, 1000, nil, func([]byte) ([]byte, error) { return want, nil }); err != nil || len(got) != len(want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}

	// There is an end to what is kept, and nothing is when all have left.
	big := make([]byte, content.MaxChunk)
	for i := range 2 * crowdBytes / len(big) {
		if _, err := c.chunk(content.ChunkID{3, byte(i), byte(i >> 8)}, content.MaxChunk, nil, func([]byte) ([]byte, error) { return big, nil }); err != nil {
			t.Fatal(err)
		}
		if c.bytes > crowdBytes {
			t.Fatalf("%d bytes are kept", c.bytes)
		}
	}
	if c.bytes < crowdBytes/2 || len(c.byID) != c.order.Len() {
		t.Errorf("%d bytes of %d, %d chunks, %d in order", c.bytes, crowdBytes, len(c.byID), c.order.Len())
	}
	leave()
	leaveToo()
	if c.bytes != 0 || len(c.byID) != 0 || c.order.Len() != 0 || len(c.readers) != 0 {
		t.Errorf("%d bytes and %d chunks are kept for nobody", c.bytes, len(c.byID))
	}
}

// TestCrowdRooms: memory that chunks were in is used again, and never while somebody reads it.
func TestCrowdRooms(t *testing.T) {
	const size, kept, ids = 1000, 10, 40
	c := newCrowd(new(rooms))
	c.most = kept * size
	leave := c.enter(content.BodyID{1})
	var all sync.WaitGroup
	for reader := range 8 {
		all.Go(func() {
			var buffer []byte
			for k := range 2000 {
				id := byte((k*(reader+1) + k/7) % ids)
				got, err := c.chunk(content.ChunkID{id}, size, buffer, func(room []byte) ([]byte, error) {
					if k%50 == 49 {
						return nil, io.ErrUnexpectedEOF
					}
					return append(room[:0], bytes.Repeat([]byte{id}, size)...), nil
				})
				if err != nil {
					continue
				}
				if !bytes.Equal(got, bytes.Repeat([]byte{id}, size)) {
					t.Errorf("chunk %d has other bytes", id)
					return
				}
				buffer = got
			}
		})
	}
	all.Wait()
	if c.bytes > c.most || len(c.byID) != c.order.Len() {
		t.Errorf("%d bytes of %d, %d chunks, %d in order", c.bytes, c.most, len(c.byID), c.order.Len())
	}
	leave()
	if c.bytes != 0 || len(c.byID) != 0 {
		t.Errorf("%d bytes and %d chunks are kept for nobody", c.bytes, len(c.byID))
	}
}
