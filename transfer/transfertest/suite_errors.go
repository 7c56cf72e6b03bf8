package transfertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// failing is a handler that answers everything with err().
func failing(err func() error) Handler {
	return Handler{
		OnLookup: func(context.Context, transfer.Remote, namespace.Address, []nix.PathHash) ([]transfer.Answer, error) {
			return nil, err()
		},
		OnText: func(context.Context, transfer.Remote, namespace.Address, transfer.Kind, [32]byte) ([]byte, error) {
			return nil, err()
		},
		OnChunks: func(context.Context, transfer.Remote, namespace.Address, content.BodyID, []transfer.Range, func(transfer.Run) error) error {
			return err()
		},
		OnSync: func(context.Context, transfer.Remote, namespace.Address, transfer.SyncRequest) (*transfer.SyncAnswer, error) {
			return nil, err()
		},
		OnOffer: func(context.Context, transfer.Remote, namespace.Address, namespace.ID, func(transfer.OfferUpdate) error) error {
			return err()
		},
	}
}

// questions asks one question of each kind.
func questions(t testing.TB, c transfer.Conn) map[string]func(context.Context) error {
	space := sample.Space(t)
	return map[string]func(context.Context) error{
		"lookup": func(ctx context.Context) error {
			_, err := c.Lookup(ctx, space, []nix.PathHash{sample.Path(t, 1).Hash()})
			return err
		},
		"text": func(ctx context.Context) error {
			_, err := c.Text(ctx, space, transfer.Document, sample.ID("document", 1))
			return err
		},
		"chunks": func(ctx context.Context) error {
			return c.Chunks(ctx, space, content.BodyID(sample.ID("body", 1)), []transfer.Range{{First: 0, Count: 1}}, func(transfer.Run) error {
				return errors.New("a run out of nowhere")
			})
		},
		"sync": func(ctx context.Context) error {
			_, err := c.Sync(ctx, space, transfer.SyncRequest{})
			return err
		},
		"offer": func(ctx context.Context) error {
			return c.Offer(ctx, space, sample.ID("publication", 1), func(transfer.OfferUpdate) error {
				return errors.New("an update out of nowhere")
			})
		},
	}
}

func testErrors(t *testing.T, pair Pair) {
	ctx := testContext(t)
	var answer atomic.Pointer[error]
	c := dial(t, pair, failing(func() error { return *answer.Load() }))
	busyFor := func(d time.Duration) func(error) bool {
		return func(err error) bool {
			var busy *transfer.BusyError
			return errors.As(err, &busy) && busy.RetryAfter == d
		}
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for _, c2 := range []struct {
		answer error
		want   func(error) bool
	}{
		{transfer.ErrAbsent, is(transfer.ErrAbsent)},
		{fmt.Errorf("not shown to you: %w", transfer.ErrAbsent), is(transfer.ErrAbsent)},
		{transfer.ErrRefused, is(transfer.ErrRefused)},
		{&transfer.BusyError{RetryAfter: 1234567 * time.Microsecond}, busyFor(1234 * time.Millisecond)},
		{&transfer.BusyError{}, busyFor(time.Millisecond)},
		{&transfer.BusyError{RetryAfter: 24 * time.Hour}, busyFor(transfer.MaxRetryAfter)},
		{transfer.BadRequest("I do not like \x1b[31mred"), func(err error) bool {
			var bad *transfer.BadRequestError
			return errors.As(err, &bad) && bad.Reason == `I do not like \x1b[31mred`
		}},
		{transfer.BadRequest(""), func(err error) bool {
			var bad *transfer.BadRequestError
			return errors.As(err, &bad) && bad.Reason == ""
		}},
		{errors.New("open /var/lib/flurry/secret: input/output error"), busyFor(10 * time.Second)},
		{context.DeadlineExceeded, busyFor(10 * time.Second)},
	} {
		answer.Store(&c2.answer)
		for name, ask := range questions(t, c) {
			if err := ask(ctx); !c2.want(err) {
				t.Errorf("%s answered with %q: %v", name, c2.answer, err)
			}
		}
	}
}

// testFaultyHandler: what a handler gets wrong is told as busy, and does not look
// like a lie.
func testFaultyHandler(t *testing.T, pair Pair) {
	ctx := testContext(t)
	h := Handler{
		OnLookup: func(context.Context, transfer.Remote, namespace.Address, []nix.PathHash) ([]transfer.Answer, error) {
			return []transfer.Answer{{Hash: sample.Path(t, 1).Hash(), Entries: []transfer.LookupEntry{{Entry: sample.Entry(t, 2)}}}}, nil
		},
		OnText: func(context.Context, transfer.Remote, namespace.Address, transfer.Kind, [32]byte) ([]byte, error) {
			return make([]byte, transfer.Document.MaxSize()+1), nil
		},
		OnChunks: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
			send(transfer.Run{First: 1, Count: 1, RawLength: 1, Data: []byte{1}})
			return nil // although send failed
		},
		OnSync: func(context.Context, transfer.Remote, namespace.Address, transfer.SyncRequest) (*transfer.SyncAnswer, error) {
			return &transfer.SyncAnswer{Equal: true, Buckets: digests()}, nil
		},
		OnOffer: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ namespace.ID, send func(transfer.OfferUpdate) error) error {
			send(transfer.OfferUpdate{State: transfer.OfferStored})
			return nil // although send failed
		},
	}
	for name, ask := range questions(t, dial(t, pair, h)) {
		var busy *transfer.BusyError
		if err := ask(ctx); !errors.As(err, &busy) {
			t.Errorf("%s: %v, want busy", name, err)
		}
	}
}

// testBadRequests: what must not be asked does not reach the peer.
func testBadRequests(t *testing.T, pair Pair) {
	ctx, space := testContext(t), sample.Space(t)
	var asked atomic.Int32
	a, b := pair(t, Handler{}, failing(func() error {
		asked.Add(1)
		return transfer.ErrRefused
	}))
	c := connect(t, a, b)
	chunks := func(ranges ...transfer.Range) error {
		return c.Chunks(ctx, space, content.BodyID{1}, ranges, func(transfer.Run) error { return nil })
	}
	many := make([]nix.PathHash, transfer.MaxLookup+1)
	for i := range many {
		many[i] = sample.Path(t, i).Hash()
	}
	lookup := func(a namespace.Address, hashes []nix.PathHash) error {
		_, err := c.Lookup(ctx, a, hashes)
		return err
	}
	text := func(k transfer.Kind) error {
		_, err := c.Text(ctx, space, k, [32]byte{1})
		return err
	}
	sync := func(r transfer.SyncRequest) error {
		_, err := c.Sync(ctx, space, r)
		return err
	}
	ranges := make([]transfer.Range, transfer.MaxRanges+1)
	for i := range ranges {
		ranges[i] = transfer.Range{First: uint32(2 * i), Count: 1}
	}
	for name, err := range map[string]error{
		"no namespace":          lookup(namespace.Address{}, many[:1]),
		"no hash":               lookup(space, nil),
		"too many hashes":       lookup(space, many),
		"a hash twice":          lookup(space, []nix.PathHash{many[0], many[1], many[0]}),
		"no kind":               text(0),
		"an unknown kind":       text(transfer.Body + 1),
		"no range":              chunks(),
		"an empty range":        chunks(transfer.Range{First: 1}),
		"a range beyond":        chunks(transfer.Range{First: content.MaxChunks, Count: 1}),
		"a range that wraps":    chunks(transfer.Range{First: 1<<32 - 1, Count: 1<<32 - 1}),
		"ranges that overlap":   chunks(transfer.Range{First: 5, Count: 2}, transfer.Range{First: 1, Count: 5}),
		"too many ranges":       chunks(ranges...),
		"a serial, no document": sync(transfer.SyncRequest{Serial: 1}),
		"a cursor, no epoch":    sync(transfer.SyncRequest{Cursor: 1}),
		"a bucket twice":        sync(transfer.SyncRequest{Buckets: []byte{1, 1}}),
		"buckets out of order":  sync(transfer.SyncRequest{Buckets: []byte{2, 1}}),
	} {
		var bad *transfer.BadRequestError
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the peer was asked %d times", n)
	}
	// At the bounds it is asked.
	for name, err := range map[string]error{
		"the most ranges": chunks(ranges[:transfer.MaxRanges]...),
		"the last range":  chunks(transfer.Range{First: content.MaxChunks - 1, Count: 1}),
		"everything":      chunks(transfer.Range{First: 0, Count: content.MaxChunks}),
		"the most hashes": lookup(space, many[:transfer.MaxLookup]),
		"a document":      text(transfer.Document),
	} {
		if !errors.Is(err, transfer.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testCancel(t *testing.T, pair Pair) {
	asked, ended := make(chan struct{}, 1), make(chan struct{}, 1)
	wait := func(ctx context.Context) error {
		asked <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return ctx.Err()
	}
	h := Handler{
		OnLookup: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ []nix.PathHash) ([]transfer.Answer, error) {
			return nil, wait(ctx)
		},
		OnText: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
			return nil, wait(ctx)
		},
		OnChunks: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, _ func(transfer.Run) error) error {
			return wait(ctx)
		},
		OnSync: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.SyncRequest) (*transfer.SyncAnswer, error) {
			return nil, wait(ctx)
		},
		OnOffer: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ namespace.ID, _ func(transfer.OfferUpdate) error) error {
			return wait(ctx)
		},
	}
	bored := errors.New("bored")
	for name, ask := range questions(t, dial(t, pair, h)) {
		ctx, cancel := context.WithCancelCause(testContext(t))
		go func() {
			<-asked
			cancel(bored)
		}()
		if err := ask(ctx); !errors.Is(err, bored) {
			t.Errorf("%s: %v", name, err)
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("%s: the handler was not told", name)
		}
		if err := ask(ctx); !errors.Is(err, bored) {
			t.Errorf("%s with an ended context: %v", name, err)
		}
	}
}

// testPeerVanishes: questions end when the connection does.
func testPeerVanishes(t *testing.T, pair Pair) {
	ctx := testContext(t)
	asked := make(chan struct{}, 1)
	a, b := pair(t, Handler{}, Handler{OnText: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	c := connect(t, a, b)
	go func() {
		<-asked
		b.Ban(a.Self().ID, time.Hour, "asks too much")
	}()
	var lie *transfer.MisbehaviourError
	err := questions(t, c)["text"](ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, transfer.ErrAbsent) || errors.Is(err, transfer.ErrStalled) || errors.As(err, &lie) {
		t.Errorf("the peer hung up: %v", err)
	}
}
