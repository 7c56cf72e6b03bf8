package wire_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// inBubble runs f with a connection to a peer that answers with h, in a bubble
// of virtual time.
func inBubble(t *testing.T, h transfer.Handler, f func(t *testing.T, c transfer.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		net := transfertest.NewNetwork(1)
		defer net.Close()
		a, b := net.Node("a", transfertest.Handler{}), net.Node("b", h)
		c, err := a.Connect(t.Context(), b.Self())
		if err != nil {
			t.Fatal(err)
		}
		f(t, c)
	})
}

// dripping sends n runs of size bytes, one each interval.
func dripping(n, size int, interval time.Duration) transfer.Handler {
	data := sample.Noise(1, size)
	return transfertest.Handler{OnChunks: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
		for i := range n {
			time.Sleep(interval)
			if err := send(transfer.Run{First: uint32(i), Count: 1, RawLength: size, Data: data}); err != nil {
				return err
			}
		}
		return nil
	}}
}

func chunks(ctx context.Context, t *testing.T, c transfer.Conn, n int, recv func(transfer.Run) error) error {
	return c.Chunks(ctx, sample.Space(t), content.BodyID{1}, []transfer.Range{{First: 0, Count: uint32(n)}}, recv)
}

func nothing(transfer.Run) error { return nil }

// A peer that keeps the pace may take for ever.
func TestSlowEnough(t *testing.T) {
	pace := wire.DefaultPace()
	inBubble(t, dripping(1000, pace.Bytes+100, pace.Within-time.Second), func(t *testing.T, c transfer.Conn) {
		if err := chunks(t.Context(), t, c, 1000, nothing); err != nil {
			t.Error(err)
		}
	})
}

// One that does not is cut off before the second period is over, in whatever
// pieces its bytes come.
func TestTooSlow(t *testing.T) {
	pace := wire.DefaultPace()
	for _, size := range []int{100, 1000, pace.Bytes / 10} {
		inBubble(t, dripping(1000, size, pace.Within/8), func(t *testing.T, c transfer.Conn) {
			begun := time.Now()
			if err := chunks(t.Context(), t, c, 1000, nothing); !errors.Is(err, transfer.ErrStalled) {
				t.Errorf("%d bytes each %v: %v", size, pace.Within/8, err)
			}
			if took := time.Since(begun); took > 2*pace.Within {
				t.Errorf("cut off after %v", took)
			}
		})
	}
}

// The first byte has as long as a period.
func TestNoAnswer(t *testing.T) {
	h := transfertest.Handler{OnText: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
		time.Sleep(time.Hour) // deaf to its context
		return []byte("late"), nil
	}}
	inBubble(t, h, func(t *testing.T, c transfer.Conn) {
		begun := time.Now()
		_, err := c.Text(t.Context(), sample.Space(t), transfer.Body, [32]byte{1})
		if !errors.Is(err, transfer.ErrStalled) || time.Since(begun) != wire.DefaultPace().Within {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// A handler that heeds its context says that it is busy before the asker gives
// up.
func TestHandlerRunsOutOfTime(t *testing.T) {
	h := transfertest.Handler{OnText: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	inBubble(t, h, func(t *testing.T, c transfer.Conn) {
		_, err := c.Text(t.Context(), sample.Space(t), transfer.Body, [32]byte{1})
		var busy *transfer.BusyError
		if !errors.As(err, &busy) {
			t.Error(err)
		}
	})
}

// What the receiver takes itself is not held against the peer.
func TestSlowReceiver(t *testing.T) {
	inBubble(t, dripping(10, 1000, time.Second), func(t *testing.T, c transfer.Conn) {
		err := chunks(t.Context(), t, c, 10, func(transfer.Run) error {
			time.Sleep(time.Hour)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A sync that waits is waited for a minute, and a period; a handler that took
// nearly as long is told about.
func TestLongPollPatience(t *testing.T) {
	busy := errors.New("busy")
	after := time.Duration(0)
	h := transfertest.Handler{OnSync: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.SyncRequest) (*transfer.SyncAnswer, error) {
		time.Sleep(after)
		return &transfer.SyncAnswer{}, nil
	}}
	for _, c2 := range []struct {
		after time.Duration
		wait  bool
		want  error
	}{
		{14 * time.Second, false, nil},
		{15*time.Second + 1, false, busy},
		{17 * time.Second, false, transfer.ErrStalled},
		{transfer.MaxWait, true, nil},
		{transfer.MaxWait + 14*time.Second, true, nil},
		{transfer.MaxWait + 15*time.Second + 1, true, busy},
		{transfer.MaxWait + 17*time.Second, true, transfer.ErrStalled},
	} {
		inBubble(t, h, func(t *testing.T, c transfer.Conn) {
			after = c2.after
			_, err := c.Sync(t.Context(), sample.Space(t), transfer.SyncRequest{Wait: c2.wait})
			if b := new(transfer.BusyError); errors.As(err, &b) {
				err = busy
			}
			if !errors.Is(err, c2.want) {
				t.Errorf("an answer after %v, waiting %v: %v", c2.after, c2.wait, err)
			}
		})
	}
}

// The context of a handler outlives what it may take, as long as its answer is
// being written: so long, something of it is in memory.
func TestHandlersContextLastsAsTheAnswer(t *testing.T) {
	var handler context.Context
	synctest.Test(t, func(t *testing.T) {
		net := transfertest.NewNetwork(1)
		defer net.Close()
		body := sample.Noise(1, content.MaxBody)
		a, b := net.Node("a", transfertest.Handler{}), net.Node("b", transfertest.Handler{
			OnText: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
				handler = ctx
				return body, nil
			},
		})
		net.Delay(time.Second) // and so at most 1 MiB a second
		c, err := a.Connect(t.Context(), b.Self())
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		watch := time.AfterFunc(45*time.Second, func() {
			if handler.Err() != nil {
				t.Errorf("after 45 s: %v", context.Cause(handler))
			}
		})
		defer watch.Stop()
		if _, err := c.Text(t.Context(), sample.Space(t), transfer.Body, [32]byte{1}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < time.Minute {
			t.Errorf("64 MiB in %v", took)
		}
		synctest.Wait()
		if handler.Err() == nil {
			t.Error("the context outlives the answer")
		}
	})
}
