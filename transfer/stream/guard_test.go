package stream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/peer"
)

func TestGuardRates(t *testing.T) {
	for _, c := range []struct {
		lan         bool
		rate, burst int
	}{{true, rateLAN, burstLAN}, {false, rateWAN, burstWAN}} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuard()
			ask := func() verdict {
				v := g.enter("a", c.lan)
				if v == welcome || v == askedTooOften {
					g.leave("a")
				}
				return v
			}
			for i := range c.burst {
				if v := ask(); v != welcome {
					t.Fatalf("question %d of %d at once: %v", i, c.burst, v)
				}
			}
			for i := range strikes {
				if v := ask(); v != askedTooOften {
					t.Fatalf("question %d too many: %v", i, v)
				}
			}
			if v := ask(); v != flood {
				t.Fatalf("after %d warnings: %v", strikes, v)
			}
			if v := g.enter("b", c.lan); v != welcome {
				t.Errorf("somebody else: %v", v)
			}
			g.leave("b")
			// A second later it may ask as many as a second allows.
			time.Sleep(time.Second)
			for i := range c.rate {
				if v := ask(); v != welcome {
					t.Fatalf("question %d of the next second: %v", i, v)
				}
			}
			if v := ask(); v != askedTooOften {
				t.Errorf("one more: %v", v)
			}
			// Who rests is a stranger again, and takes no room.
			time.Sleep(time.Minute)
			g.sweep()
			if len(g.peers) != 0 || g.inAll != 0 {
				t.Errorf("%d peers remembered, %d streams", len(g.peers), g.inAll)
			}
		})
	}
}

// Warnings are forgiven to who rests, even while one of its streams stays open.
func TestGuardForgives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		g.enter("a", false)
		for round := range 3 {
			for i := range burstWAN + strikes - 10 {
				if v := g.enter("a", false); v == flood {
					t.Fatalf("round %d, question %d: %v", round, i, v)
				}
				g.leave("a")
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestGuardStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for p := 0; g.inAll < streamsInAll; p++ {
			id := peer.ID(fmt.Sprint(p))
			for range streamsPerPeer {
				if v := g.enter(id, true); v != welcome && g.inAll < streamsInAll {
					t.Fatalf("%v with %d streams", v, g.inAll)
				}
			}
			if v := g.enter(id, true); v != tooMany {
				t.Fatalf("a stream too many of one peer: %v", v)
			}
		}
		if v := g.enter("other", true); v != tooMany {
			t.Errorf("a stream too many of all: %v", v)
		}
		g.leave("0")
		if v := g.enter("other", true); v != welcome {
			t.Errorf("after one ended: %v", v)
		}
		// It is not the fault of who came when others had filled the house.
		if c := g.peers["other"]; c.strikes != 0 {
			t.Errorf("%d strikes", c.strikes)
		}
	})
}
