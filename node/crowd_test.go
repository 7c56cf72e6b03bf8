package node

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/flurry-nix/flurry/content"
)

func TestCrowd(t *testing.T) {
	c := newCrowd()
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
			got, err := c.chunk(content.ChunkID{1}, func() ([]byte, error) { loads.Add(1); <-gate; return want, nil })
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
	if _, err := c.chunk(content.ChunkID{2}, func() ([]byte, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	if got, err := c.chunk(content.ChunkID{2}, func() ([]byte, error) { return want, nil }); err != nil || len(got) != len(want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}

	// There is an end to what is kept, and nothing is when all have left.
	big := make([]byte, content.MaxChunk)
	for i := range 2 * crowdBytes / len(big) {
		if _, err := c.chunk(content.ChunkID{3, byte(i), byte(i >> 8)}, func() ([]byte, error) { return big, nil }); err != nil {
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
