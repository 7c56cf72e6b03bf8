package transfertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

// Pair makes two networks that can reach each other over a LAN and are not
// connected yet. They answer with a and b, and are closed when the test ends.
type Pair func(t testing.TB, a, b transfer.Handler) (transfer.Network, transfer.Network)

// Run tests an implementation of [transfer.Network].
func Run(t *testing.T, pair Pair) {
	for _, s := range []struct {
		name string
		test func(*testing.T, Pair)
	}{
		{"Connect", testConnect},
		{"Ban", testBan},
		{"LateReader", testLateReader},
		{"Lookup", testLookup},
		{"LookupRoom", testLookupRoom},
		{"Text", testText},
		{"Chunks", testChunks},
		{"ChunksGaps", testChunksGaps},
		{"ChunksReceiverFails", testChunksReceiverFails},
		{"ChunksAreNotCopiedTooLate", testChunksReuse},
		{"Sync", testSync},
		{"SyncTrims", testSyncTrims},
		{"LongPoll", testLongPoll},
		{"Offer", testOffer},
		{"OfferPulls", testOfferPulls},
		{"OfferEnds", testOfferEnds},
		{"OfferFaults", testOfferFaults},
		{"Errors", testErrors},
		{"FaultyHandler", testFaultyHandler},
		{"BadRequests", testBadRequests},
		{"Cancel", testCancel},
		{"PeerVanishes", testPeerVanishes},
		{"Traffic", testTraffic},
		{"Together", testTogether},
	} {
		t.Run(s.name, func(t *testing.T) { s.test(t, pair) })
	}
}

// patience is how long anything in the suite may take; a failing test meets it.
const patience = 30 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// dial connects two networks of which the second answers with h.
func dial(t *testing.T, pair Pair, h transfer.Handler) transfer.Conn {
	t.Helper()
	a, b := pair(t, Handler{}, h)
	return connect(t, a, b)
}

func connect(t testing.TB, a, b transfer.Network) transfer.Conn {
	t.Helper()
	c, err := a.Connect(testContext(t), b.Self())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testConnect(t *testing.T, pair Pair) {
	ctx := testContext(t)
	a, b := pair(t, Handler{}, Handler{})
	ofA, ofB := a.Events(ctx), b.Events(ctx)
	if n := len(a.Connected()); n != 0 {
		t.Fatalf("%d connections before the first", n)
	}
	c := connect(t, a, b)
	if c.Peer() != b.Self().ID || !c.LAN() {
		t.Errorf("connected to %s, LAN %v; want %s on the LAN", c.Peer(), c.LAN(), b.Self().ID)
	}
	if again := connect(t, a, b); again.Peer() != c.Peer() {
		t.Errorf("the second time: %s", again.Peer())
	}
	wantEvent(t, ofA, b, true)
	wantEvent(t, ofB, a, true)
	if all := a.Connected(); len(all) != 1 || all[0].Peer() != b.Self().ID {
		t.Errorf("a is connected to %v", all)
	}
	// b can use the connection that a made.
	back := connect(t, b, a)
	if back.Peer() != a.Self().ID {
		t.Errorf("b is connected to %s", back.Peer())
	}
	if _, err := back.Text(ctx, sample.Space(t), transfer.Document, sample.ID("document", 1)); !errors.Is(err, transfer.ErrAbsent) {
		t.Errorf("b asks a: %v", err)
	}
}

func wantEvent(t testing.TB, events <-chan transfer.Event, of transfer.Network, connected bool) {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok || e.Peer != of.Self().ID || (e.Conn != nil) != connected {
			t.Fatalf("event %+v (%v); want %s, connected %v", e, ok, of.Self().ID, connected)
		}
		if connected && e.Conn.Peer() != e.Peer {
			t.Fatalf("the event of %s has the connection of %s", e.Peer, e.Conn.Peer())
		}
	case <-time.After(patience):
		t.Fatalf("no event; want %s, connected %v", of.Self().ID, connected)
	}
}

func testBan(t *testing.T, pair Pair) {
	ctx := testContext(t)
	a, b := pair(t, Handler{}, Handler{})
	ofA, ofB := a.Events(ctx), b.Events(ctx)
	c := connect(t, a, b)
	wantEvent(t, ofA, b, true)
	wantEvent(t, ofB, a, true)

	a.Ban(b.Self().ID, time.Hour, "sent a wrong chunk")
	wantEvent(t, ofA, b, false)
	wantEvent(t, ofB, a, false)
	if _, err := a.Connect(ctx, b.Self()); !errors.Is(err, transfer.ErrBanned) {
		t.Errorf("connecting to a banned peer: %v", err)
	}
	if _, err := c.Text(ctx, sample.Space(t), transfer.Body, sample.ID("body", 1)); err == nil || errors.Is(err, transfer.ErrAbsent) {
		t.Errorf("asking a banned peer: %v", err)
	}
	a.Ban(b.Self().ID, time.Minute, "again")
	bans := a.Banned()
	if len(bans) != 1 || bans[0].Peer != b.Self().ID || bans[0].Why != "sent a wrong chunk" || time.Until(bans[0].Until) < 50*time.Minute {
		t.Errorf("bans: %+v", bans)
	}
	// Nobody gets in from the other side either.
	if back, err := b.Connect(ctx, a.Self()); err == nil {
		if _, err := back.Text(ctx, sample.Space(t), transfer.Body, sample.ID("body", 1)); err == nil || errors.Is(err, transfer.ErrAbsent) {
			t.Errorf("a banned peer's question: %v", err)
		}
	}
	if n := len(a.Connected()); n != 0 {
		t.Errorf("%d connections, all banned", n)
	}
}

func testLateReader(t *testing.T, pair Pair) {
	a, b := pair(t, Handler{}, Handler{})
	connect(t, a, b)
	ctx, cancel := context.WithCancel(testContext(t))
	events := a.Events(ctx)
	wantEvent(t, events, b, true)
	cancel()
	select {
	case e, open := <-events:
		if open {
			t.Errorf("event %+v after the end", e)
		}
	case <-time.After(patience):
		t.Error("the events do not end with their context")
	}
}
