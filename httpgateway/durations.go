package httpgateway

import (
	"slices"
	"time"
)

// durationsOf is how many of the newest answers [Memory.Durations] looks at.
const durationsOf = 1000

// Durations returns how long the newest narinfo answers took, in seconds: their
// median and the longest. Both are 0 when Nix has asked nothing yet.
func (m *Memory) Durations() (median, longest float64) {
	var took []time.Duration
	m.mu.Lock()
	for i := m.next - 1; i >= 0 && i >= m.next-min(maxRemembered, durationsOf); i-- {
		slot := i % maxRemembered
		if r := &m.blocks[slot/blockLen][slot%blockLen]; !r.nar {
			took = append(took, r.took)
		}
	}
	m.mu.Unlock()
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2].Seconds(), took[len(took)-1].Seconds()
}
