package transfertest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// testTraffic counts bytes by hand: each frame has its length before it, each
// field its tag and, if it is bytes, its length.
func testTraffic(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	text, chunk, e := sample.Noise(1, 1000), sample.Noise(2, 100_000), sample.Entry(t, 1)
	entry := e.Append(nil)
	a, b := pair(t, Handler{}, Handler{
		OnText: func(context.Context, transfer.Remote, namespace.Address, transfer.Kind, [32]byte) ([]byte, error) {
			return text, nil
		},
		OnChunks: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
			return send(transfer.Run{First: 300, Count: 1, RawLength: len(chunk), Data: chunk})
		},
		OnLookup: func(_ context.Context, _ transfer.Remote, _ namespace.Address, hashes []nix.PathHash) ([]transfer.Answer, error) {
			return []transfer.Answer{{Hash: hashes[0], Entries: []transfer.LookupEntry{{Entry: e, Publication: sample.ID("publication", 1)}}}}, nil
		},
		OnSync: func(context.Context, transfer.Remote, namespace.Address, transfer.SyncRequest) (*transfer.SyncAnswer, error) {
			return &transfer.SyncAnswer{Serial: 1, Document: sample.ID("document", 1)}, nil
		},
	})
	c := connect(t, a, b)
	name := uint64(2 + len(space.String())) // the namespace in each request

	var want transfer.Traffic
	step := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		total := want.Total()
		want.LAN = total
		if got := a.Traffic(); got != want {
			t.Errorf("%s: asker's traffic is %+v, want %+v", what, got, want)
		}
		if got := a.PeerTraffic()[b.Self().ID]; got != want {
			t.Errorf("%s: asker's traffic with the peer is %+v, want %+v", what, got, want)
		}
		mirrored := transfer.Traffic{Lookup: swap(want.Lookup), Fetch: swap(want.Fetch), Sync: swap(want.Sync), Offer: swap(want.Offer), LAN: swap(want.LAN)}
		eventually(t, func() (string, bool) {
			got, with := b.Traffic(), b.PeerTraffic()[a.Self().ID]
			return fmt.Sprintf("%s: answerer's traffic is %+v and %+v, want %+v", what, got, with, mirrored), got == mirrored && with == mirrored
		})
	}

	_, err := c.Text(ctx, space, transfer.Document, sample.ID("document", 1))
	want.Fetch.Sent += 1 + name + 2 + 34
	want.Fetch.Received += 2 + 3 + 3 + 1000
	step("text", err)

	err = c.Chunks(ctx, space, content.BodyID(sample.ID("body", 1)), []transfer.Range{{First: 300, Count: 1}}, func(transfer.Run) error { return nil })
	want.Fetch.Sent += 1 + name + 2 + 34 + 2 + 3
	want.Fetch.Received += 3 + 3 + 2 + 4 + 4 + 100_000
	step("chunks", err)

	_, err = c.Lookup(ctx, space, []nix.PathHash{e.Path.Hash()})
	want.Lookup.Sent += 1 + name + 22
	want.Lookup.Received += 2 + 22 + 3 + uint64(len(entry)) + 34 + 1 + 2
	step("lookup", err)

	_, err = c.Sync(ctx, space, transfer.SyncRequest{Count: 300, Sum: sample.ID("sum", 1)})
	want.Sync.Sent += 1 + name + 3 + 34
	want.Sync.Received += 1 + 2 + 34
	step("sync", err)

	err = c.Offer(ctx, space, sample.ID("publication", 1), func(transfer.OfferUpdate) error { return nil })
	want.Offer.Sent += 1 + name + 34
	want.Offer.Received += 1 + 2 + 2
	step("offer", err)
}

func swap(b transfer.Bytes) transfer.Bytes {
	return transfer.Bytes{Sent: b.Received, Received: b.Sent}
}

// eventually waits for what the other side is about to do.
func eventually(t testing.TB, check func() (string, bool)) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		what, ok := check()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Error(what)
			return
		}
	}
}

// testTogether asks many questions at once, in both directions.
func testTogether(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	texts := sample.Noise(1, 1<<20)
	h := Handler{OnText: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, id [32]byte) ([]byte, error) {
		return texts[:1+int(id[0])*1000], nil
	}}
	a, b := pair(t, h, h)
	there, back := connect(t, a, b), connect(t, b, a)
	var wait sync.WaitGroup
	for i := range 12 {
		for _, c := range []transfer.Conn{there, back} {
			wait.Go(func() {
				for j := range 5 {
					n := byte(20*i + j)
					got, err := c.Text(ctx, space, transfer.Body, [32]byte{n, 1})
					if err != nil || !bytes.Equal(got, texts[:1+int(n)*1000]) {
						t.Errorf("text %d: %d bytes, %v", n, len(got), err)
					}
				}
			})
		}
	}
	wait.Wait()
}
