package kad

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// meter bounds the rate of requests of each peer: it makes them wait for their
// turn, so that a sender with much to say is slowed down by the flow control of
// its stream and loses nothing. It is a leaky bucket of frameBurst that drains at
// frameRate (the generic cell rate algorithm, ITU-T I.371), one number for each
// of meterBins: peers are many, and strangers make new ones for nothing.
type meter struct {
	seed maphash.Seed
	done <-chan struct{} // closed when waiting is over for everybody

	mu   sync.Mutex
	turn [meterBins]time.Time // when the bucket of this bin will have drained
}

func newMeter(done <-chan struct{}) *meter {
	return &meter{seed: maphash.MakeSeed(), done: done}
}

// wait waits for the turn of one request that came from p at now. It reports
// false, at once, when p has too many waiting, and when the meter is done.
func (m *meter) wait(p peer.ID, now time.Time) bool {
	d := m.delay(p, now)
	if d > maxWait {
		return false
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-m.done:
		return false
	}
}

// delay counts one request from p at now and returns how long it has to wait. One
// that would have to wait for more than maxWait is not counted.
func (m *meter) delay(p peer.ID, now time.Time) time.Duration {
	const each = time.Second / frameRate
	bin := maphash.String(m.seed, string(p)) % meterBins
	m.mu.Lock()
	defer m.mu.Unlock()
	turn := m.turn[bin]
	if turn.Before(now) {
		turn = now
	}
	d := turn.Sub(now) - each*frameBurst
	if d <= maxWait {
		m.turn[bin] = turn.Add(each)
	}
	return d
}
