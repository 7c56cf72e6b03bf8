package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/transfer"
)

// clockLiar says that it is another time than its node's clock says.
type clockLiar struct {
	transfer.Handler
	off time.Duration
}

func (l clockLiar) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	answer, err := l.Handler.Sync(ctx, from, a, r)
	if err == nil {
		answer.Time = answer.Time.Add(l.off)
	}
	return answer, err
}

// TestClock: a machine whose clock is ahead of its peers' is told so before it dates a publication that they would hold back;
// one peer alone cannot bring that about.
func TestClock(t *testing.T) {
	for _, c := range []struct {
		name   string
		ahead  time.Duration   // of the publisher
		others []time.Duration // how wrong the others say the time
		want   time.Duration
		told   bool
	}{
		{"right", 0, []time.Duration{0, 0}, 0, false},
		{"a little ahead", 9 * time.Minute, []time.Duration{0, 0}, 9 * time.Minute, false},
		{"far ahead", 14 * time.Minute, []time.Duration{0, 0}, 14 * time.Minute, true},
		{"far behind", -14 * time.Minute, []time.Duration{0, 0}, -14 * time.Minute, false},
		{"ahead of one peer", 14 * time.Minute, []time.Duration{0}, 14 * time.Minute, false},
		{"one of two lies", 0, []time.Duration{-time.Hour, 0}, 0, false},
		{"two of three are right", 14 * time.Minute, []time.Duration{0, 14 * time.Minute, 0}, 14 * time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.machine("alice", node.ShareAll, nil)
			a := alice.creates("acme-1")
			alice.stop() // it reads its clock
			alice.ahead = c.ahead
			alice = w.restart(alice)
			if err := alice.Put(node.Space{Alias: "acme-1", Address: a, Publish: true}); err != nil {
				t.Fatal(err)
			}
			for i, off := range c.others {
				o := w.machine(string('b'+rune(i)), node.ShareAll, func(h transfer.Handler) transfer.Handler { return clockLiar{h, off} })
				o.meet(alice)
				o.uses(a)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for alice.Clock().Peers < len(c.others) {
				select {
				case <-ctx.Done():
					t.Fatalf("alice knows the clocks of %d peers", alice.Clock().Peers)
				case <-time.After(time.Millisecond):
				}
			}
			// The way of an answer is all that may lie between.
			if got := alice.Clock(); (got.Ahead - c.want).Abs() > 30*time.Second {
				t.Errorf("the clock is said to be %v ahead of %d peers", got.Ahead, got.Peers)
			}
			p := alice.nix.build("hello", "1", 1000)
			request := node.PublishRequest{Alias: "acme-1", Roots: []nix.StorePath{p}, DryRun: true}
			if _, err := alice.Publish(t.Context(), alice.nix, request); err != nil {
				t.Errorf("a dry run: %v", err)
			}
			request.DryRun = false
			_, err := alice.Publish(t.Context(), alice.nix, request)
			var told *node.ClockError
			switch {
			case c.told && (!errors.As(err, &told) || told.Peers != len(c.others)):
				t.Errorf("publishing: %v", err)
			case !c.told && err != nil:
				t.Errorf("publishing: %v", err)
			}
		})
	}
}
