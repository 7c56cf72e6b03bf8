package stream

import (
	"context"
	"time"

	"golang.org/x/time/rate"

	"github.com/flurry-nix/flurry/transfer/wire"
)

// uploads caps what is sent to the internet, everything together. Bulk waits
// for its share; lookups and syncs, which somebody waits for, go at once, and
// bulk waits so much longer.
type uploads struct {
	bulk *rate.Limiter // nil: nothing is capped
}

// newUploads caps at perSecond bytes a second; 0: not at all.
func newUploads(perSecond int64) *uploads {
	if perSecond <= 0 {
		return &uploads{}
	}
	burst := max(float64(perSecond)*throttleBurst, wire.WriteStep)
	return &uploads{bulk: rate.NewLimiter(rate.Limit(perSecond), int(burst))}
}

// throttle is what holds back a stream to the internet; nil: nothing.
func (u *uploads) throttle(p wire.Protocol) wire.Throttle {
	switch {
	case u.bulk == nil:
		return nil
	case p == wire.Fetch:
		return u.bulk.WaitN
	}
	return func(_ context.Context, n int) error {
		u.bulk.ReserveN(time.Now(), n)
		return nil
	}
}
