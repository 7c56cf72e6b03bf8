package httpgateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/trust"
)

// TestAllowance: where nothing is late it is what it says; what is late is not counted, but for maxStarved alone.
func TestAllowance(t *testing.T) {
	spent := func(late func(k int) time.Duration) (all, starved time.Duration, pieces int) {
		a := allowance{left: 200 * time.Millisecond}
		for piece := a.next(); piece > 0; piece = a.next() {
			took := piece + late(pieces)
			starved += a.waited(piece, took)
			all += took
			if pieces++; pieces > 1000 {
				t.Fatal("it does not end")
			}
		}
		return all, starved, pieces
	}
	for _, c := range []struct {
		name         string
		late         func(int) time.Duration
		all, starved time.Duration
	}{
		{"on time", func(int) time.Duration { return 0 }, 200 * time.Millisecond, 0},
		{"a little late, as timers are", func(int) time.Duration { return 2 * time.Millisecond }, 202 * time.Millisecond, 0},
		{"late once", func(k int) time.Duration { return []time.Duration{0, 0, 300 * time.Millisecond, 0, 0, 0, 0, 0}[k] }, 500 * time.Millisecond, 300 * time.Millisecond},
		{"always late", func(int) time.Duration { return 100 * time.Millisecond }, time.Second, 800 * time.Millisecond},
		{"asleep", func(int) time.Duration { return time.Hour }, time.Hour + waitPiece, maxStarved},
	} {
		if all, starved, _ := spent(c.late); all != c.all || starved != c.starved {
			t.Errorf("%s: %v, %v of it not counted; want %v and %v", c.name, all, starved, c.all, c.starved)
		}
	}
	// More than maxStarved together is counted again.
	if all, starved, _ := spent(func(int) time.Duration { return 400 * time.Millisecond }); starved != maxStarved || all > maxStarved+400*time.Millisecond+200*time.Millisecond {
		t.Errorf("%v, %v of it not counted", all, starved)
	}
}

// TestStarvedIsAskedAgain: when time ran out in which this process could not run, the question is put once more; else it is not.
func TestStarvedIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hello := newSample(t, "h", "hello-1.0", digits(100))
		ask := func(starved time.Duration) (calls int, took time.Duration, err error) {
			cache := newFakeCache(t)
			cache.onInfo("", hello.hash(), func(ctx context.Context) (trust.Verified, error) {
				if calls++; calls > 1 {
					return hello.v, nil
				}
				<-ctx.Done()
				return trust.Verified{}, ErrNotHere
			})
			g := New(cache, Options{Budget: 200 * time.Millisecond})
			defer closeGateway(t, g)
			q := &ask{done: make(chan struct{}), err: errNoAnswer}
			q.starved.note(starved)
			began := time.Now()
			g.asker.run(t.Context(), runningKey{asked: asked{hash: hello.hash()}}, q, nil)
			return calls, time.Since(began), q.err
		}
		if calls, took, err := ask(0); calls != 1 || took != 180*time.Millisecond || !errors.Is(err, ErrNotHere) {
			t.Errorf("asked %d times in %v: %v", calls, took, err)
		}
		if calls, took, err := ask(50 * time.Millisecond); calls != 2 || took != 180*time.Millisecond || err != nil {
			t.Errorf("starved: asked %d times in %v: %v", calls, took, err)
		}
	})
}

// TestAnswerAtTheLastMoment: an answer that is there when time is over is given.
func TestAnswerAtTheLastMoment(t *testing.T) {
	for range 50 {
		q := &ask{done: make(chan struct{})}
		close(q.done)
		if !q.wait(0) {
			t.Fatal("an answer that is there was not taken")
		}
	}
}

// TestStuck: a question that the Cache does not give back is noticed when its time has long been over, and not before.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hello := newSample(t, "h", "hello-1.0", digits(100))
		cache := newFakeCache(t)
		held := make(hang)
		cache.onInfo("", hello.hash(), held.info)
		g := New(cache, Options{Budget: 200 * time.Millisecond})
		defer closeGateway(t, g)
		get(g, hello.infoURL())
		if g.Stuck() {
			t.Error("stuck as soon as the budget is over")
		}
		time.Sleep(maxStarved + time.Millisecond)
		if !g.Stuck() {
			t.Error("not stuck though nothing comes back")
		}
		close(held)
		synctest.Wait()
		if g.Stuck() {
			t.Error("stuck though all came back")
		}
	})
}
