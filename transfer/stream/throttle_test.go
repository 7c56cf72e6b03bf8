package stream

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/transfer/wire"
)

func TestThrottleCapsBulk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, each, streams = 1 << 20, 4 << 20, 4
		u := newUploads(rate)
		throttle := u.throttle(wire.Fetch)
		begun := time.Now()
		var wait sync.WaitGroup
		for range streams {
			wait.Go(func() {
				for sent := 0; sent < each; sent += wire.WriteStep {
					if err := throttle(t.Context(), wire.WriteStep); err != nil {
						t.Error(err)
					}
				}
			})
		}
		// A lookup does not wait, and bulk pays for it.
		time.Sleep(time.Second)
		asked := time.Now()
		if err := u.throttle(wire.Lookup)(t.Context(), 256<<10); err != nil || time.Since(asked) != 0 {
			t.Errorf("a lookup: %v after %v", err, time.Since(asked))
		}
		wait.Wait()
		took := time.Since(begun).Seconds()
		if want := float64(streams*each+256<<10-rate/4) / rate; took < want || took > want*1.05 {
			t.Errorf("%d MiB at 1 MiB/s took %.2f s, want %.2f", streams*each>>20, took, want)
		}
	})
}

func TestThrottleSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUploads(1000) // less than a step a minute
		throttle := u.throttle(wire.Fetch)
		begun := time.Now()
		for range 2 {
			if err := throttle(t.Context(), wire.WriteStep); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took < 60*time.Second {
			t.Errorf("two steps at 1000 bytes a second in %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := throttle(ctx, wire.WriteStep); err == nil {
			t.Error("a step within a second")
		}
	})
}

func TestNoThrottle(t *testing.T) {
	for p := range wire.Protocols {
		if newUploads(0).throttle(p) != nil {
			t.Errorf("%v is throttled without a cap", p)
		}
	}
}

// A cap means fewer uploads at a time, so that each is still worth it.
func TestUploadsShareTheCap(t *testing.T) {
	for rate, want := range map[int64]int{0: 64, 1: 2, 1 << 10: 2, 125_000: 7, 1_250_000: 64, 1 << 40: 64} {
		if got := newLimited(nil, 64, rate).uploadsWAN.free; got != want {
			t.Errorf("%d bytes a second: %d uploads, want %d", rate, got, want)
		}
	}
	if l := newLimited(nil, 64, 125_000); l.uploads.free != 64 || l.uploadsWAN.perPeer != 4 {
		t.Errorf("LAN %d, WAN %d for one peer", l.uploads.free, l.uploadsWAN.perPeer)
	}
}
