package node_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

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

// TestMovedClock: a clock that is set back after a move, as it is when the machine can ask what time it is, makes the grace no longer.
func TestMovedClock(t *testing.T) {
	w := newWorld(t)
	begun, passed := time.Now(), time.Duration(0)
	var wrong bool
	bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareNone, grace: 2 * time.Second,
		clock: func(time.Time) time.Time {
			if wrong {
				return setBack(begun.Add(passed))
			}
			return begun.Add(passed)
		}})
	bob.stop() // it reads its clock
	bob.Moved()
	wrong = true
	for _, want := range []time.Duration{2 * time.Second, 500 * time.Millisecond, 0} {
		passed = 2*time.Second - want
		if left := bob.GraceLeft(); left != want {
			t.Errorf("%v after a move, with a clock that was set back since, %v are left", passed, left)
		}
	}
}

// setBack is now on a clock that was set back by 10 s: the seconds of its wall reading are less, and its monotonic reading is as it was. The
// first word of a time with such a reading is 1 bit, 33 bits of seconds and 30 of nanoseconds.
func setBack(now time.Time) time.Time {
	*(*uint64)(unsafe.Pointer(&now)) -= 10 << 30
	return now
}

// TestMovedWallClock: where nothing but the clock on the wall is known, which is set back after a move, a question waits for the grace all
// the same, and not for as much longer as the clock was set back.
func TestMovedWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grace = 2 * time.Second
		w := newWorld(t)
		alice := w.machine("alice", node.ShareLAN, nil)
		a := alice.creates("acme-1")
		p := alice.nix.build("app", "1", 100_000)
		alice.publishes("acme-1", p)
		var back atomic.Int64
		bob := w.boot(&machine{w: w, name: "bob", store: storetest.NewMem(t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: node.ShareNone, grace: grace,
			clock: func(now time.Time) time.Time { return now.Add(-time.Duration(back.Load())) }})
		bob.meet(alice)
		bob.uses(a)
		time.Sleep(time.Minute)
		w.net.Cut(bob.link.Self().ID, alice.link.Self().ID)
		synctest.Wait()
		bob.Moved()
		back.Store(int64(10 * time.Second))
		if left := bob.GraceLeft(); left != grace {
			t.Errorf("%v are left", left)
		}
		if took, err := bob.asNix(p); !errors.Is(err, node.ErrNotHere) || took > grace+node.BudgetWAN {
			t.Errorf("%v after %v", err, took)
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
