package node

import (
	"sync"
	"time"

	"github.com/flurry-nix/flurry/namespace"
)

// demandHours is over how long demand is counted.
const demandHours = 24

// demand counts what others were sent of each namespace, by the hour.
type demand struct {
	now func() time.Time

	mu   sync.Mutex
	sent map[namespace.Address]*hours
}

// hours are the bytes of the last demandHours hours; at is the last one that was counted, in hours since 1970.
type hours struct {
	at    int64
	bytes [demandHours]uint64
}

func newDemand(now func() time.Time) *demand {
	return &demand{now: now, sent: make(map[namespace.Address]*hours)}
}

func (d *demand) add(a namespace.Address, bytes uint64) {
	if bytes == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.sent[a]
	if h == nil {
		h = &hours{at: d.hour()}
		d.sent[a] = h
	}
	h.advance(d.hour())
	h.bytes[h.at%demandHours] += bytes
}

// day is how many bytes were sent of a in the last 24 hours.
func (d *demand) day(a namespace.Address) (sum uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.sent[a]
	if h == nil {
		return 0
	}
	h.advance(d.hour())
	for _, n := range h.bytes {
		sum += n
	}
	return sum
}

func (d *demand) hour() int64 { return d.now().Unix() / 3600 }

// advance forgets what is older than a day.
func (h *hours) advance(to int64) {
	for steps := 0; h.at < to && steps < demandHours; steps++ {
		h.at++
		h.bytes[h.at%demandHours] = 0
	}
	h.at = max(h.at, to)
}
