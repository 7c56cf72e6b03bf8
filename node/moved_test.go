package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store/storetest"
)

// asNix asks as the gateway does: with the budget, and the grace that is left.
func (m *machine) asNix(p nix.StorePath) (time.Duration, error) {
	m.w.t.Helper()
	ctx, cancel := context.WithTimeout(m.w.t.Context(), node.BudgetWAN+m.GraceLeft())
	defer cancel()
	start := time.Now()
	_, err := m.Info(ctx, "", p.Hash())
	return time.Since(start), err
}

// TestMoved: after a move the first question waits for those who hold what it asks for to be found again, and no other waits when that
// was in vain; without a move nobody waits.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareLAN, nil)
		a := alice.creates("acme-1")
		p, other := alice.nix.build("app", "1", 100_000), alice.nix.build("other", "1", 100_000)
		alice.publishes("acme-1", p, other)
		bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareNone, grace: 2 * time.Second})
		bob.meet(alice)
		bob.uses(a)
		time.Sleep(time.Minute)

		w.net.Cut(bob.link.Self().ID, alice.link.Self().ID)
		synctest.Wait()
		if took, err := bob.asNix(p); !errors.Is(err, node.ErrNotHere) || took > node.BudgetWAN {
			t.Errorf("with nobody there: %v after %v", err, took)
		}
		bob.Moved()
		time.AfterFunc(1500*time.Millisecond, func() {
			w.net.Heal()
			if err := bob.Meet(t.Context(), alice.link.Self()); err != nil {
				t.Error(err)
			}
		})
		if took, err := bob.asNix(p); err != nil || took < time.Second {
			t.Errorf("after a move: %v after %v", err, took)
		}
		if took, err := bob.asNix(other); err != nil || took > 0 {
			t.Errorf("when all is as before: %v after %v", err, took)
		}

		w.net.Cut(bob.link.Self().ID, alice.link.Self().ID)
		synctest.Wait()
		bob.Moved()
		if took, err := bob.asNix(p); !errors.Is(err, node.ErrNotHere) || took > 2*time.Second+node.BudgetWAN {
			t.Errorf("moved to where nobody is: %v after %v", err, took)
		}
		if took, err := bob.asNix(other); !errors.Is(err, node.ErrNotHere) || took > node.BudgetWAN {
			t.Errorf("the next question there: %v after %v", err, took)
		}
		if left := bob.GraceLeft(); left > 0 {
			t.Errorf("the grace goes on: %v", left)
		}
		alice.stop()
		bob.stop()
	})
}

// TestMovedOrigin: an origin that did not answer in the last network is asked in this one.
func TestMovedOrigin(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob, _ := w.downstream(o)
	p := o.nix.build("app", "1", 1000)
	o.down()
	for i := range 5 {
		if _, err := bob.Info(t.Context(), "", nix.PathHash{byte(i)}); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("an origin that refuses: %v", err)
		}
	}
	o.changes(nil, nil)
	if !bob.Absent("", p.Hash()) {
		t.Fatal("an origin that was just down is waited for")
	}
	bob.Moved()
	bob.getsFrom(o, p)
}
