package wire

import (
	"encoding/binary"
	"log/slog"
	"runtime"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream/pb"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A length is a claim: it is not believed before the bytes have come.
func TestClaimsCostNothing(t *testing.T) {
	space, id := sample.Space(t), sample.ID("id", 1)
	h := sample.Path(t, 1).Hash()
	claim := func(n uint64) []byte { return append(binary.AppendUvarint(nil, n), 1, 2, 3) }
	const most = 256 << 10
	for name, ask := range map[string]func(*Asker) error{
		"a frame of 4 MiB": func(k *Asker) error {
			_, err := k.Lookup(t.Context(), newScript(claim(MaxFrame)), space, []nix.PathHash{h})
			return err
		},
		"a run of 2 MiB": func(k *Asker) error {
			return k.Chunks(t.Context(), newScript(claim(maxRunFrame)), space, content.BodyID{1}, []transfer.Range{{First: 0, Count: 1}}, nil)
		},
		"a body of 64 MiB": func(k *Asker) error {
			_, err := k.Text(t.Context(), newScript(frames(t, &pb.TextPart{Size: content.MaxBody, Data: []byte("x")})), space, transfer.Body, id)
			return err
		},
		"an answer to sync of 11 MiB": func(k *Asker) error {
			_, err := k.Sync(t.Context(), newScript(frames(t, &pb.SyncHead{Serial: 1, Document: id[:], DocumentSize: 1 << 20, ListSizes: []uint32{4 << 20, 4 << 20}})), space, transfer.SyncRequest{})
			return err
		},
	} {
		var k Asker
		if got := allocated(func() {
			if ask(&k) == nil {
				t.Errorf("%s: no error", name)
			}
		}); got > most {
			t.Errorf("%s that did not come: %d bytes", name, got)
		}
	}
	v := Server{Handler: everything{}, Log: slog.New(slog.DiscardHandler)}
	if got := allocated(func() { _ = v.Serve(t.Context(), Fetch, newScript(claim(MaxRequest)), Caller{}) }); got > 32<<10 {
		t.Errorf("a question of 64 KiB that did not come: %d bytes", got)
	}
}

// A message takes memory in proportion to its bytes, whatever is in it.
func TestMessagesDoNotMultiply(t *testing.T) {
	ones := func(n int) []byte { // n one-byte integers
		b := make([]byte, n)
		for i := range b {
			b[i] = 1
		}
		return b
	}
	for name, c := range map[string]struct {
		parse func([]byte) (any, error)
		num   int
	}{
		"ranges":        {decoding(parseFetchRequest), 4},
		"list sizes":    {decoding(parseSyncHead), 12},
		"bucket counts": {decoding(parseSyncHead), 16},
		"hashes":        {decoding(parseLookupRequest), 2},
	} {
		raw := appendBytes(nil, c.num, ones(60_000))
		if got := allocated(func() { _, _ = c.parse(raw) }); got > 512<<10 {
			t.Errorf("%d bytes of %s become %d", len(raw), name, got)
		}
	}
}

// Buffers hold what is asked of them, and are used again.
func TestBuffers(t *testing.T) {
	var pool buffers
	for _, n := range []int{1, 4 << 10, 4<<10 + 1, 4<<10 + 256, 4<<10 + 257, 64 << 10, 1 << 20, 2 << 20, maxRunFrame, MaxRequest, MaxFrame} {
		b := pool.get(n)
		if len(b.b) < n || len(b.b) > max(2*n+n/8, classSize(0)) {
			t.Errorf("a buffer of %d bytes for %d", len(b.b), n)
		}
		if b.class > 0 && classSize(b.class-1) >= n {
			t.Errorf("%d bytes would fit into class %d", n, b.class-1)
		}
		pool.put(b)
	}
	if c := pool.get(maxRunFrame).class; classSize(c) > 2<<20+1<<18 {
		t.Errorf("a run takes a buffer of %d bytes", classSize(c))
	}
}
