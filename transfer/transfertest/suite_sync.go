package transfertest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// bucket is n ids that begin with b, in ascending order.
func bucket(b byte, n int) []namespace.ID {
	ids := make([]namespace.ID, n)
	for i := range ids {
		ids[i] = sample.ID("publication", i)
		ids[i][0] = b
	}
	slices.SortFunc(ids, namespace.ID.Compare)
	return ids
}

func digests() []transfer.BucketDigest {
	all := make([]transfer.BucketDigest, transfer.Buckets)
	for i := range all {
		all[i] = transfer.BucketDigest{Count: uint64(i), Sum: sample.ID("bucket", i)}
	}
	all[7] = transfer.BucketDigest{}
	return all
}

func testSync(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	epoch := [16]byte{1, 2, 3}
	ids := []namespace.ID{sample.ID("publication", 3), sample.ID("publication", 1)}
	type exchange struct {
		name    string
		request transfer.SyncRequest
		answer  transfer.SyncAnswer
	}
	var now atomic.Pointer[exchange]
	c := dial(t, pair, Handler{OnSync: func(_ context.Context, _ transfer.Remote, s namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
		x := now.Load()
		if s != space || !reflect.DeepEqual(r, x.request) {
			t.Errorf("%s: asked %+v in %s, want %+v", x.name, r, s, x.request)
		}
		return &x.answer, nil
	}})
	for _, x := range []exchange{
		{"nothing on either side", transfer.SyncRequest{}, transfer.SyncAnswer{Added: []namespace.ID{}}},
		{"the same", transfer.SyncRequest{Serial: 3, Document: sample.ID("document", 3), Count: 2, Sum: sample.ID("sum", 1), Epoch: epoch, Cursor: 9},
			transfer.SyncAnswer{Serial: 3, Document: sample.ID("document", 3), Equal: true, Known: true, Epoch: epoch, Cursor: 9, Added: []namespace.ID{}, Time: time.UnixMilli(1795721600123).UTC()}},
		{"a newer document with its lists, and more changes", transfer.SyncRequest{Serial: 3, Document: sample.ID("document", 3), Epoch: epoch, Cursor: 9, Wait: true},
			transfer.SyncAnswer{Serial: 4, Document: sample.ID("document", 4), RawDocument: sample.Noise(1, 300_000), Lists: [][]byte{sample.Noise(2, 1), sample.Noise(3, 400_000)},
				Known: true, Epoch: epoch, Cursor: 11, Added: ids, More: true}},
		{"an unknown epoch", transfer.SyncRequest{Count: 1, Sum: sample.ID("sum", 1), Epoch: [16]byte{9}, Cursor: 1 << 60},
			transfer.SyncAnswer{Epoch: epoch, Cursor: 2, Buckets: digests(), Added: []namespace.ID{}}},
		{"buckets", transfer.SyncRequest{Buckets: []byte{0, 7, 255}},
			transfer.SyncAnswer{Epoch: epoch, Cursor: 2, Added: []namespace.ID{}, BucketIDs: map[byte][]namespace.ID{0: bucket(0, 30_000), 7: {}, 255: bucket(255, 1)}}},
		{"the most ids", transfer.SyncRequest{Epoch: epoch},
			transfer.SyncAnswer{Known: true, Epoch: epoch, Cursor: 1, Added: bucket(3, transfer.MaxSyncIDs)}},
	} {
		now.Store(&x)
		got, err := c.Sync(ctx, space, x.request)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
		} else if !reflect.DeepEqual(got, &x.answer) {
			t.Errorf("%s: got %.300v, want %.300v", x.name, got, &x.answer)
		}
	}
}

// testSyncTrims: lists and buckets that do not fit are left out.
func testSyncTrims(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	large, small := sample.Noise(1, transfer.MaxSyncLists/2), sample.Noise(2, 100)
	c := dial(t, pair, Handler{OnSync: func(context.Context, transfer.Remote, namespace.Address, transfer.SyncRequest) (*transfer.SyncAnswer, error) {
		return &transfer.SyncAnswer{
			Serial: 1, Document: sample.ID("document", 1), RawDocument: small,
			Lists:     [][]byte{large, small, large, small},
			BucketIDs: map[byte][]namespace.ID{1: bucket(1, transfer.MaxSyncIDs), 2: bucket(2, 1), 3: {}},
		}, nil
	}})
	got, err := c.Sync(ctx, space, transfer.SyncRequest{Buckets: []byte{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Lists) != 3 || len(got.Lists[0]) != len(large) || len(got.Lists[2]) != len(small) {
		t.Errorf("%d lists", len(got.Lists))
	}
	if len(got.BucketIDs) != 2 || len(got.BucketIDs[1]) != transfer.MaxSyncIDs || got.BucketIDs[3] == nil {
		t.Errorf("%d buckets", len(got.BucketIDs))
	}
}

// testLongPoll: who waits for news does not hold up other questions, and hears of
// them when they come.
func testLongPoll(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	news, waiting := make(chan struct{}), make(chan struct{}, 8)
	c := dial(t, pair, Handler{OnSync: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
		waiting <- struct{}{}
		select {
		case <-news:
			return &transfer.SyncAnswer{Serial: 1, Document: sample.ID("document", 1)}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}})
	const polls = 8
	results := make(chan error, polls)
	for range polls {
		go func() {
			got, err := c.Sync(ctx, space, transfer.SyncRequest{Wait: true})
			if err == nil && got.Serial != 1 {
				err = errors.New("not the news")
			}
			results <- err
		}()
		<-waiting
	}
	if _, err := c.Text(ctx, space, transfer.Body, sample.ID("body", 1)); !errors.Is(err, transfer.ErrAbsent) {
		t.Errorf("a question meanwhile: %v", err)
	}
	close(news)
	for range polls {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
