package kad

import (
	"testing"
	"time"
)

// eventually waits until what holds, which background work brings about, and
// fails the test when it does not come.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-patience.C:
			t.Fatalf("not so within 30 s: %s", what)
		}
	}
}
