package transfertest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSuite(t *testing.T) {
	transfertest.Run(t, func(t testing.TB, a, b transfer.Handler) (transfer.Network, transfer.Network) {
		net := transfertest.NewNetwork(1)
		t.Cleanup(net.Close)
		return net.Node("a", a), net.Node("b", b)
	})
}

func library() transfertest.Handler {
	return transfertest.Handler{OnText: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, id [32]byte) ([]byte, error) {
		return sample.Noise(id[0], 100_000), nil
	}}
}

func ask(t *testing.T, c transfer.Conn) error {
	t.Helper()
	_, err := c.Text(t.Context(), sample.Space(t), transfer.Publication, [32]byte{1})
	return err
}

func connect(t *testing.T, a, b *transfertest.Node) transfer.Conn {
	t.Helper()
	c, err := a.Connect(t.Context(), b.Self())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := transfertest.NewNetwork(1)
		defer net.Close()
		a, b, c := net.Node("a", library()), net.Node("b", library()), net.NodeAt("elsewhere", "c", library())
		net.Delay(20 * time.Millisecond)
		net.DelayBetween(c.Self().ID, a.Self().ID, time.Second)
		for _, far := range []struct {
			node *transfertest.Node
			trip time.Duration
			lan  bool
		}{{b, 40 * time.Millisecond, true}, {c, 2 * time.Second, false}} {
			begun := time.Now()
			conn := connect(t, a, far.node)
			if took := time.Since(begun); took != far.trip {
				t.Errorf("connecting took %v, want %v", took, far.trip)
			}
			if conn.LAN() != far.lan {
				t.Errorf("LAN %v, want %v", conn.LAN(), far.lan)
			}
			begun = time.Now()
			if err := ask(t, conn); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took != far.trip {
				t.Errorf("a question took %v, want %v", took, far.trip)
			}
		}
	})
}

// outcomes asks 200 questions and tells which were answered.
func outcomes(t *testing.T, seed uint64) (list [200]bool) {
	net := transfertest.NewNetwork(seed)
	defer net.Close()
	net.Drop(0.3)
	c := connect(t, net.Node("a", library()), net.Node("b", library()))
	for i := range list {
		err := ask(t, c)
		list[i] = err == nil
		var lie *transfer.MisbehaviourError
		if errors.As(err, &lie) || errors.Is(err, transfer.ErrAbsent) {
			t.Errorf("a broken line: %v", err)
		}
	}
	return list
}

func TestDropFollowsSeed(t *testing.T) {
	first, again, other := outcomes(t, 1), outcomes(t, 1), outcomes(t, 2)
	if first != again {
		t.Error("one seed, two outcomes")
	}
	if first == other {
		t.Error("two seeds, one outcome")
	}
	lost := 0
	for _, ok := range first {
		if !ok {
			lost++
		}
	}
	if lost < 30 || lost > 90 {
		t.Errorf("%d of 200 lost at 30 %%", lost)
	}
}

func TestPartition(t *testing.T) {
	net := transfertest.NewNetwork(1)
	defer net.Close()
	a, b, c := net.Node("a", library()), net.Node("b", library()), net.Node("c", library())
	ab, ac := connect(t, a, b), connect(t, a, c)
	events := a.Events(t.Context())
	<-events
	<-events
	net.Partition([]peer.ID{a.Self().ID, c.Self().ID}, []peer.ID{b.Self().ID})
	if e := <-events; e.Peer != b.Self().ID || e.Conn != nil {
		t.Errorf("%+v", e)
	}
	if err := ask(t, ab); !errors.Is(err, transfer.ErrDisconnected) {
		t.Errorf("across: %v", err)
	}
	if err := ask(t, ac); err != nil {
		t.Errorf("within: %v", err)
	}
	if _, err := a.Connect(t.Context(), b.Self()); err == nil {
		t.Error("connected across a partition")
	}
	net.Heal()
	if err := ask(t, ab); !errors.Is(err, transfer.ErrDisconnected) {
		t.Errorf("healed, and not connected again: %v", err)
	}
	connect(t, a, b)
	if err := ask(t, ab); err != nil {
		t.Errorf("connected again: %v", err)
	}
	a.Disconnect(b.Self().ID)
	if err := ask(t, connect(t, b, a)); err != nil {
		t.Errorf("from the other side: %v", err)
	}
}

// A node that closes is gone; another may come under its name.
func TestNodeCloses(t *testing.T) {
	net := transfertest.NewNetwork(1)
	defer net.Close()
	a, b := net.Node("a", library()), net.Node("b", library())
	c := connect(t, a, b)
	events := a.Events(t.Context())
	<-events
	b.Close()
	if e := <-events; e.Conn != nil {
		t.Errorf("%+v", e)
	}
	if err := ask(t, c); !errors.Is(err, transfer.ErrDisconnected) {
		t.Error(err)
	}
	if _, err := b.Connect(t.Context(), a.Self()); !errors.Is(err, transfer.ErrClosed) {
		t.Error(err)
	}
	connect(t, a, net.Node("b", library()))
	if err := ask(t, c); err != nil {
		t.Error(err)
	}
}
