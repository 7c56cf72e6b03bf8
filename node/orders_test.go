package node_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/transfer"
)

// line is a node whose chunks leave by a line of some speed, one run after the other, whoever asks.
type line struct {
	transfer.Handler
	rate int // bytes a second; 0: no limit
	dies int // after so many bytes nothing comes any more; 0: never

	mu   sync.Mutex
	sent int
	free time.Time // when what was sent so far is through
}

func (l *line) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, b content.BodyID, r []transfer.Range, send func(transfer.Run) error) error {
	return l.Handler.Chunks(ctx, from, a, b, r, func(run transfer.Run) error {
		if l.rate == 0 {
			return send(run)
		}
		l.mu.Lock()
		l.sent += len(run.Data)
		dead := l.dies > 0 && l.sent > l.dies
		if now := time.Now(); l.free.Before(now) {
			l.free = now
		}
		l.free = l.free.Add(time.Duration(len(run.Data)) * time.Second / time.Duration(l.rate))
		through := time.NewTimer(time.Until(l.free))
		l.mu.Unlock()
		defer through.Stop()
		if dead {
			<-ctx.Done()
			return ctx.Err()
		}
		select {
		case <-through.C:
			return send(run)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// race is how long, in simulated time, bob takes to read paths of size incompressible bytes in all, one after the other, from
// holders behind lines, and how many bytes of chunks he receives for them.
func race(t *testing.T, paths, size int, lines ...*line) (took time.Duration, received uint64) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.machine("alice", node.ShareLAN, nil)
		a := alice.creates("acme-1")
		var all []nix.StorePath
		for k := range paths {
			all = append(all, alice.nix.build(fmt.Sprintf("app%d", k), "1", size/paths))
		}
		alice.publishes("acme-1", all...)
		bob := w.machine("bob", node.ShareLAN, nil)
		var holders []*machine
		for k, l := range lines {
			rate := l.rate
			l.rate = 0 // while alice's copy goes round
			m := w.machine(fmt.Sprintf("holder%d", k), node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
			m.meet(alice)
			m.uses(a)
			for _, p := range all {
				m.gets(alice, p)
				m.waitsSettled(p)
			}
			l.rate = rate
			holders = append(holders, m)
		}
		alice.stop()
		for _, m := range holders {
			bob.meet(m)
		}
		bob.uses(a)
		time.Sleep(5 * time.Second) // until bob knows that all of them hold the namespace
		before, start := bob.link.Traffic().Fetch.Received, time.Now()
		for _, p := range all {
			got, err := bob.readsFor(p, 5*time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(alice.nix.nar(p)) {
				t.Errorf("%d of %d bytes", len(got), len(alice.nix.nar(p)))
			}
		}
		took, received = time.Since(start), bob.link.Traffic().Fetch.Received-before
		for _, m := range append(holders, bob) {
			m.stop()
		}
	})
	return took, received
}

const (
	raceSize = 24_000_000
	fast     = 8_000_000
	spare    = 400_000 // of all that is received: the body, frames
)

func TestManySources(t *testing.T) {
	one, _ := race(t, 1, raceSize, &line{rate: fast})
	three, received := race(t, 1, raceSize, &line{rate: fast}, &line{rate: fast}, &line{rate: fast})
	if three.Seconds() > one.Seconds()/2.7 {
		t.Errorf("from three it takes %v, from one %v", three, one)
	}
	if received > raceSize+spare {
		t.Errorf("%d bytes were received for %d", received, raceSize)
	}
}

func TestSlowSourceSlowsNobody(t *testing.T) {
	two, _ := race(t, 1, raceSize, &line{rate: fast}, &line{rate: fast})
	slowed, received := race(t, 1, raceSize, &line{rate: fast}, &line{rate: fast}, &line{rate: fast / 10})
	if slowed.Seconds() > two.Seconds()/0.9 {
		t.Errorf("with a third at a tenth of their speed two take %v, without it %v", slowed, two)
	}
	if received > raceSize+spare+2*256<<10 { // two questions to the slow one were overtaken
		t.Errorf("%d bytes were received for %d", received, raceSize)
	}
}

// TestSlowSourceIsLeftOut: of NARs that the others bring before it brings anything, a slow peer is asked for nothing, once it
// is known how slow it is.
func TestSlowSourceIsLeftOut(t *testing.T) {
	const paths, size = 40, 16_000_000
	two, _ := race(t, paths, size, &line{rate: fast}, &line{rate: fast})
	slowed, received := race(t, paths, size, &line{rate: fast}, &line{rate: fast}, &line{rate: fast / 20})
	if slowed.Seconds() > two.Seconds()/0.8 { // at first nothing is known of it
		t.Errorf("with a third at a twentieth of their speed two take %v, without it %v", slowed, two)
	}
	if received > size+spare+2*256<<10 {
		t.Errorf("%d bytes were received for %d", received, size)
	}
}

// TestSilentSource: one of two says nothing any more, without going away. What was asked of it is asked of the other, and
// nothing else is received twice.
func TestSilentSource(t *testing.T) {
	took, received := race(t, 1, raceSize, &line{rate: fast}, &line{rate: fast, dies: 4_000_000})
	if most := 4 * time.Second; took > most {
		t.Errorf("it took %v", took)
	}
	if received > raceSize+spare {
		t.Errorf("%d bytes were received for %d", received, raceSize)
	}
}

// TestLoneSlowSource: who is slow, and has it alone, is waited for, however long one chunk takes.
func TestLoneSlowSource(t *testing.T) {
	took, received := race(t, 1, 600_000, &line{rate: 40_000})
	if took < 15*time.Second || took > 20*time.Second {
		t.Errorf("600 kB at 40 kB/s took %v", took)
	}
	if received > 600_000+spare {
		t.Errorf("%d bytes were received for 600,000", received)
	}
}

// TestLoneSilentSource: who has it alone and brings nothing any more, without going away, is given up in a few seconds, and the next one
// who asks is told at once that it is not here, since Nix asks again for the rest; so is who asks for something else that only the silent
// one has. After a while it is asked again.
func TestLoneSilentSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &line{}
		alice := w.machine("alice", node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
		a := alice.creates("acme-1")
		p := alice.nix.build("app", "1", 8_000_000)
		other := alice.nix.build("other", "1", 100_000)
		alice.publishes("acme-1", p, other)
		bob := w.machine("bob", node.ShareLAN, nil)
		bob.meet(alice)
		bob.uses(a)
		l.rate, l.dies = fast, 2_000_000
		start := time.Now()
		got, err := bob.readsFor(p, 5*time.Minute)
		if !errors.Is(err, node.ErrNoProvider) || len(got) == 0 {
			t.Errorf("%d bytes, and then %v", len(got), err)
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("after %v Nix is told", took)
		}
		start = time.Now()
		if _, err := bob.Nar(t.Context(), "", sha256.Sum256(alice.nix.nar(p)), p.Hash()); !errors.Is(err, node.ErrNotHere) || time.Since(start) > 0 {
			t.Errorf("for the rest: %v after %v", err, time.Since(start))
		}
		if _, err := bob.Info(t.Context(), "", other.Hash()); !errors.Is(err, node.ErrNotHere) || time.Since(start) > 0 {
			t.Errorf("something else of the silent one: %v after %v", err, time.Since(start))
		}
		l.mu.Lock()
		l.dies = 0
		l.mu.Unlock()
		time.Sleep(30 * time.Second)
		bob.gets(alice, other)
		bob.gets(alice, p)
		alice.stop()
		bob.stop()
	})
}

// TestTwinsTravelOnce: bytes that are in a NAR twice are received once.
func TestTwinsTravelOnce(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.machine("alice", node.ShareLAN, nil), w.machine("bob", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	p := alice.nix.twice("again", 4_000_000)
	alice.publishes("acme-1", p)
	bob.meet(alice)
	bob.uses(a)
	bob.gets(alice, p)
	if got := bob.link.Traffic().Fetch.Received; got > 4_000_000+spare {
		t.Errorf("%d bytes were received for a NAR that has the same 4,000,000 twice", got)
	}
}

// twice is a path with two files of the same size random bytes.
func (f *fakeNix) twice(name string, size int) nix.StorePath {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := nix.ParseBaseName(nix.PathHash{1}.String() + "-" + name)
	if err != nil {
		panic(err)
	}
	data := make([]byte, size)
	mathrand.NewChaCha8([32]byte{}).Read(data)
	f.add(p, nil, map[string]*nix.NarNode{"again": {Type: 'f', Data: data}, "once": {Type: 'f', Data: data}})
	return p
}
