package ledger

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMeter(t *testing.T) {
	var m Meter
	m.Tap("a", wire.Lookup, true).Sent(1)
	m.Tap("a", wire.Fetch, false).Received(10)
	m.Tap("b", wire.Fetch, true).Received(100)
	m.Tap("b", wire.Sync, false).Sent(1000)
	b := func(sent, received uint64) transfer.Bytes { return transfer.Bytes{Sent: sent, Received: received} }
	want := transfer.Traffic{Lookup: b(1, 0), Fetch: b(0, 110), Sync: b(1000, 0), LAN: b(1, 100)}
	if got := m.Traffic(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := m.Traffic().Total(); got != b(1001, 110) {
		t.Errorf("total %+v", got)
	}
	peers := m.PeerTraffic()
	if got, want := peers["b"], (transfer.Traffic{Fetch: b(0, 100), Sync: b(1000, 0), LAN: b(0, 100)}); len(peers) != 2 || got != want {
		t.Errorf("b: %+v, want %+v", got, want)
	}
}

// Peers beyond the bound are forgotten, those asked for longest ago first; the
// sum is not.
func TestMeterForgets(t *testing.T) {
	var m Meter
	for i := range MaxAccounts + 10 {
		m.Tap("first", wire.Sync, false)
		m.Tap(peer.ID(fmt.Sprint(i)), wire.Sync, false).Sent(1)
	}
	peers := m.PeerTraffic()
	_, kept := peers["first"]
	_, old := peers["10"]
	_, next := peers["11"]
	if len(peers) != MaxAccounts || !kept || old || !next {
		t.Errorf("%d peers; kept %v, %v, %v", len(peers), kept, old, next)
	}
	if got := m.Traffic().Sync.Sent; got != MaxAccounts+10 {
		t.Errorf("%d bytes in all", got)
	}
}

// stutter is a stream that takes and gives less than it is asked to.
type stutter struct {
	wire.Stream
	held bytes.Buffer
}

func (s *stutter) Write(p []byte) (int, error) {
	n := min(3, len(p))
	s.held.Write(p[:n])
	return n, io.ErrShortWrite
}

func (s *stutter) Read(p []byte) (int, error) { return s.held.Read(p[:min(2, len(p))]) }

func TestCountedCountsWhatWent(t *testing.T) {
	var m Meter
	s := Counted(&stutter{}, m.Tap("a", wire.Fetch, false))
	if n, err := s.Write([]byte("hello")); n != 3 || err != io.ErrShortWrite {
		t.Fatalf("%d, %v", n, err)
	}
	got, err := io.ReadAll(s)
	if string(got) != "hel" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if got := m.Traffic().Fetch; got != (transfer.Bytes{Sent: 3, Received: 3}) {
		t.Errorf("%+v", got)
	}
}

func TestBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bans
		b.Add("a", time.Minute, "one")
		b.Add("a", time.Second, "shorter")
		b.Add("b", time.Hour, strings.Repeat("é", 200))
		b.Add("c", 0, "not at all")
		b.Add("c", -time.Hour, "in the past")
		if !b.Has("a") || !b.Has("b") || b.Has("c") {
			t.Errorf("a %v, b %v, c %v", b.Has("a"), b.Has("b"), b.Has("c"))
		}
		all := b.Banned()
		if len(all) != 2 || all[0].Peer != "a" || all[0].Why != "one" || len(all[1].Why) != maxWhy {
			t.Errorf("%+v", all)
		}
		time.Sleep(time.Minute)
		if b.Has("a") || !b.Has("b") || len(b.Banned()) != 1 {
			t.Error("a minute later a is still banned, or b is not")
		}
		b.Add("b", 2*time.Hour, "longer")
		if all := b.Banned(); all[0].Why != "longer" {
			t.Errorf("%+v", all)
		}
	})
}

func TestBansAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bans
		b.Add("short", time.Minute, "")
		for i := range MaxBans {
			b.Add(peer.ID(fmt.Sprint(i)), time.Hour, "")
		}
		if b.Has("short") || !b.Has("0") || len(b.list) != MaxBans {
			t.Errorf("%d bans; the one that ends first is kept: %v", len(b.list), b.Has("short"))
		}
		time.Sleep(2 * time.Hour)
		b.Add("new", time.Hour, "")
		if len(b.list) != 1 {
			t.Errorf("%d bans, all but one over", len(b.list))
		}
	})
}

// fakeConn is a connection with a name.
type fakeConn struct {
	transfer.Conn
	peer peer.ID
}

func (c *fakeConn) Peer() peer.ID { return c.peer }

func TestRosterEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoster()
		defer r.Close()
		a, b := &fakeConn{peer: "a"}, &fakeConn{peer: "b"}
		r.Put(a)
		if got := r.Put(&fakeConn{peer: "a"}); got != a {
			t.Error("a second connection takes the place of the first")
		}
		ctx, cancel := context.WithCancel(t.Context())
		events := r.Events(ctx)
		if e := <-events; e.Peer != "a" || e.Conn != a {
			t.Errorf("who is there: %+v", e)
		}
		r.Put(b)
		synctest.Wait() // b's event is under way
		r.Remove("a")
		r.Put(a)
		r.Remove("b")
		r.Put(&fakeConn{peer: "c"})
		r.Remove("c")
		// What changed back is not told; what was told and changed is.
		if e := <-events; e.Peer != "b" || e.Conn != b {
			t.Errorf("%+v", e)
		}
		if e := <-events; e.Peer != "b" || e.Conn != nil {
			t.Errorf("%+v", e)
		}
		synctest.Wait()
		select {
		case e := <-events:
			t.Errorf("one more: %+v", e)
		default:
		}
		if all := r.Connected(); len(all) != 1 || all[0] != a || r.Get("b") != nil || r.Get("a") != a {
			t.Errorf("%v", all)
		}
		cancel()
		if _, open := <-events; open {
			t.Error("events after their context")
		}
		synctest.Wait()
		if len(r.readers) != 0 {
			t.Errorf("%d readers are left", len(r.readers))
		}
	})
}

// A reader that never reads costs a queue of each peer once.
func TestRosterSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoster()
		r.Events(t.Context())
		for range 1000 {
			for _, p := range []peer.ID{"a", "b", "c"} {
				r.Put(&fakeConn{peer: p})
				r.Remove(p)
			}
		}
		for rd := range r.readers {
			if len(rd.queue) > 3 || cap(rd.queue) > 100 {
				t.Errorf("a queue of %d (room for %d) for three peers", len(rd.queue), cap(rd.queue))
			}
		}
		r.Close()
	})
}

func TestRosterClosed(t *testing.T) {
	r := NewRoster()
	r.Put(&fakeConn{peer: "a"})
	events := r.Events(t.Context())
	r.Close()
	r.Close()
	for range events { // ends
	}
	if r.Put(&fakeConn{peer: "b"}) != nil || len(r.Connected()) != 0 {
		t.Error("a closed roster is not empty")
	}
	if _, open := <-r.Events(t.Context()); open {
		t.Error("a closed roster has events")
	}
}

// Whatever happens meanwhile, readers end up knowing who is there.
func TestRosterConverges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoster()
		var wait sync.WaitGroup
		var seen [3]map[peer.ID]bool
		for i := range seen {
			seen[i] = make(map[peer.ID]bool)
			events := r.Events(t.Context())
			wait.Go(func() {
				for e := range events {
					if (e.Conn != nil) == seen[i][e.Peer] {
						t.Errorf("%s told twice", e.Peer)
					}
					seen[i][e.Peer] = e.Conn != nil
				}
			})
		}
		var changes sync.WaitGroup
		for g := range 4 {
			changes.Go(func() {
				for i := range 500 {
					p := peer.ID(fmt.Sprint((i * (g + 3)) % 10))
					if i%3 == 0 {
						r.Remove(p)
					} else {
						r.Put(&fakeConn{peer: p})
					}
				}
			})
		}
		changes.Wait()
		synctest.Wait()
		for i := range seen {
			for p := range 10 {
				id := peer.ID(fmt.Sprint(p))
				if seen[i][id] != (r.Get(id) != nil) {
					t.Errorf("reader %d thinks that %s is connected: %v", i, id, seen[i][id])
				}
			}
		}
		r.Close()
		wait.Wait()
	})
}
