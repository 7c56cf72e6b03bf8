package origin

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// drips gives n bytes at a time, after a pause each; 0: nothing, ever.
type drips struct {
	ctx   context.Context
	n     int
	pause time.Duration
}

func (d drips) Read(p []byte) (int, error) {
	if d.n == 0 {
		<-d.ctx.Done()
		return 0, context.Cause(d.ctx)
	}
	time.Sleep(d.pause)
	return min(d.n, len(p)), nil
}

// TestWatched: who falls silent or trickles is given up, and nobody pays for a reader who takes his time.
func TestWatched(t *testing.T) {
	for _, c := range []struct {
		name  string
		n     int
		pause time.Duration
		think time.Duration // of the reader, between two reads
		want  error
		after time.Duration
	}{
		{"silence", 0, 0, 0, errStalled, stallTimeout},
		{"a byte a second", 1, time.Second, 0, errSlow, slowTime},
		{"a slow line", 32 << 10, time.Second, 0, nil, 0},
		{"a slow reader", 32 << 10, 0, time.Minute, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				w := &watched{r: drips{ctx, c.n, c.pause}, stop: cancel, stall: stallTimeout, window: slowTime, least: slowBytes}
				began := time.Now()
				var err error
				for range 200 {
					if _, err = io.ReadFull(w, make([]byte, max(c.n, 1))); err != nil {
						break
					}
					time.Sleep(c.think)
				}
				if !errors.Is(err, c.want) {
					t.Fatalf("%v, want %v", err, c.want)
				}
				if took := time.Since(began); err != nil && took != c.after {
					t.Errorf("given up after %v, want %v", took, c.after)
				}
			})
		})
	}
}
