package kad

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"golang.org/x/time/rate"

	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/dht/dhttest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/peer"
)

func keys(name string, n int) (out []dht.Key) {
	for i := range n {
		out = append(out, dhttest.Key(fmt.Sprint(name, " ", i)))
	}
	return out
}

func provide(t *testing.T, r *Router, keys ...dht.Key) {
	t.Helper()
	if err := r.Provide(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
}

func withdraw(t *testing.T, r *Router, keys ...dht.Key) {
	t.Helper()
	if err := r.Withdraw(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
}

// settled waits until n has told every key and has nothing more to tell.
func settled(t *testing.T, n *node) {
	t.Helper()
	eventually(t, "everything is told", func() bool {
		n.mu.Lock()
		var w *sweep
		if n.session != nil {
			w = n.session.sweep
		}
		n.mu.Unlock()
		if w == nil || n.Stats().Untold > 0 {
			return false
		}
		idle, err := w.idle(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return idle
	})
}

// holds reports whether n keeps a record that owner provides k.
func holds(t *testing.T, n *node, k dht.Key, owner host.Host) bool {
	t.Helper()
	found := false
	err := n.records.each(t.Context(), func(at, key, peer []byte) error {
		found = found || string(key) == spelled(k.Multihash()) && string(peer) == spelled([]byte(owner.ID()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFoundThroughAnother is what the DHT is for: A knows B, B knows C, and C finds
// A and can dial it, though nobody told it where A is.
func TestFoundThroughAnother(t *testing.T) {
	c := start(t, newHost(t, "c"), Options{})
	b := start(t, newHost(t, "b"), Options{Bootstrap: []peer.Info{c.info()}})
	a := start(t, newHost(t, "a"), Options{Bootstrap: []peer.Info{b.info()}})

	address, err := namespace.ParseAddress("cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=")
	if err != nil {
		t.Fatal(err)
	}
	path, err := nix.ParsePathHash("sx5wzhb1yl4bpxkbkcsqm9sdp5vqgvvz")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []dht.Key{dht.NamespaceKey(address), dht.PathKey(address, path)} {
		provide(t, a.Router, k)
		found := dhttest.Find(t, c.Router, k, a.info().ID)
		if len(found) != 1 {
			t.Fatalf("found %v, want A alone", found)
		}
		info, err := addrInfo(found[0])
		if err != nil {
			t.Fatal(err)
		}
		fresh := newHost(t, "never met A "+k.String())
		if err := fresh.Connect(t.Context(), info); err != nil {
			t.Errorf("what was found cannot be dialled: %v", err)
		}
	}
}

func TestRestartedNodeStillProvides(t *testing.T) {
	dir := t.TempDir()
	ks := keys("restart", 20)
	a := start(t, newHost(t, "a"), Options{Dir: dir})
	provide(t, a.Router, ks...) // told to nobody: it is alone
	a.stop()

	b := start(t, newHost(t, "b"), Options{})
	a = start(t, newHost(t, "a"), Options{Dir: dir, Bootstrap: []peer.Info{b.info()}})
	settled(t, a)
	eventually(t, "b holds all keys", func() bool { return b.Stats().Records == len(ks) }) // records are not acknowledged: first, then stop
	a.stop()
	b.stop()

	// Nobody who knew is left. What was told once is told again after a restart.
	c := start(t, newHost(t, "c"), Options{})
	a = start(t, newHost(t, "a"), Options{Dir: dir, Bootstrap: []peer.Info{c.info()}})
	settled(t, a)
	eventually(t, "c holds all keys", func() bool { return c.Stats().Records == len(ks) })
	for _, k := range ks {
		if !holds(t, c, k, a.Host) {
			t.Errorf("c holds no record of %s", k)
		}
	}
}

func TestWithdrawnKeysAreNotToldAgain(t *testing.T) {
	dir := t.TempDir()
	ks := keys("withdraw", 20)
	b := start(t, newHost(t, "b"), Options{})
	a := start(t, newHost(t, "a"), Options{Dir: dir, Bootstrap: []peer.Info{b.info()}})
	provide(t, a.Router, ks...)
	settled(t, a)
	gone, stay := ks[:7], ks[7:]
	withdraw(t, a.Router, gone...)
	a.stop()
	b.stop()

	c := start(t, newHost(t, "c"), Options{})
	a = start(t, newHost(t, "a"), Options{Dir: dir, Bootstrap: []peer.Info{c.info()}})
	settled(t, a)
	eventually(t, "c holds what stays", func() bool { return c.Stats().Records >= len(stay) })
	for _, k := range gone {
		if holds(t, c, k, a.Host) {
			t.Errorf("c was told %s, which was withdrawn", k)
		}
		if found := slices.Collect(c.Providers(t.Context(), k)); len(found) != 0 {
			t.Errorf("%s, which was withdrawn, is said to be at %v", k, found)
		}
	}
}

// TestWithdrawnNodeNoLongerNamesItself: others forget in two days, a node itself
// at once.
func TestWithdrawnNodeNoLongerNamesItself(t *testing.T) {
	b := start(t, newHost(t, "b"), Options{Mode: ModeClient}) // keeps nothing
	a := start(t, newHost(t, "a"), Options{})
	b.AddPeer(a.info())
	c := start(t, newHost(t, "c"), Options{Bootstrap: []peer.Info{a.info()}})
	k := dhttest.Key("k")
	provide(t, a.Router, k)
	dhttest.Find(t, b.Router, k, a.info().ID)
	settled(t, a)
	c.stop() // the only other that kept a record
	withdraw(t, a.Router, k)
	eventually(t, "nobody is found", func() bool {
		return len(slices.Collect(b.Providers(t.Context(), k))) == 0
	})
}

func TestPeersAreRememberedOverARestart(t *testing.T) {
	dir := t.TempDir()
	b := start(t, newHost(t, "b"), Options{})
	a := start(t, newHost(t, "a"), Options{Dir: dir, Bootstrap: []peer.Info{b.info()}})
	eventually(t, "a has met b", func() bool { return a.Stats().Peers == 1 })
	a.stop()
	a = start(t, newHost(t, "a"), Options{Dir: dir})
	eventually(t, "a has found b again", func() bool { return a.Stats().Peers == 1 })
}

func TestPeersFoundElsewhereAreMet(t *testing.T) {
	b := start(t, newHost(t, "b"), Options{})
	a := start(t, newHost(t, "a"), Options{})
	a.AddPeer(peer.Info{ID: "nonsense", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}})
	a.AddPeer(a.info())
	a.AddPeer(peer.Info{ID: b.info().ID})
	a.AddPeer(b.info())
	eventually(t, "a has met b", func() bool { return a.Stats().Peers == 1 && b.Stats().Peers == 1 })
}

// TestSilentBeforeRun: a router that is not run makes nothing of what it is told
// until it is.
func TestSilentBeforeRun(t *testing.T) {
	b := start(t, newHost(t, "b"), Options{})
	h := newHost(t, "a")
	r, err := New(h, Options{Bootstrap: []peer.Info{b.info()}})
	if err != nil {
		t.Fatal(err)
	}
	silent := func(when string) {
		t.Helper()
		if peers := h.Network().Peers(); len(peers) != 0 {
			t.Errorf("%s: connected to %v", when, peers)
		}
		if slices.Contains(h.Mux().Protocols(), protocolID) {
			t.Errorf("%s: offers the DHT's protocol", when)
		}
	}
	k := dhttest.Key("k")
	provide(t, r, k)
	r.AddPeer(b.info())
	if found := slices.Collect(r.Providers(t.Context(), k)); len(found) != 0 {
		t.Errorf("found %v without a network", found)
	}
	silent("before Run")
	if s := r.Stats(); s.Running || s.Provided != 1 || s.Untold != 1 {
		t.Errorf("before Run: %+v", s)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	eventually(t, "b was told", func() bool { return b.Stats().Records == 1 })
	if err := r.Run(ctx); !errors.Is(err, ErrRunning) {
		t.Errorf("a second Run gave %v, want ErrRunning", err)
	}
	if err := r.Close(); !errors.Is(err, ErrRunning) {
		t.Errorf("Close while it runs gave %v, want ErrRunning", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, "no stream of the DHT is open", func() bool {
		open := 0
		for _, c := range h.Network().Conns() {
			for _, s := range c.GetStreams() {
				if s.Protocol() == protocolID {
					open++
				}
			}
		}
		return open == 0
	})
	if err := h.Network().ClosePeer(b.Host.ID()); err != nil {
		t.Fatal(err)
	}
	withdraw(t, r, k)
	silent("after Run")
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestRunOutlastsWalks: when Run has returned nobody uses the store any more, so
// that it can be closed.
func TestRunOutlastsWalks(t *testing.T) {
	a := start(t, newHost(t, "a"), Options{})
	b := start(t, newHost(t, "b"), Options{Bootstrap: []peer.Info{a.info()}})
	k := dhttest.Key("k")
	provide(t, a.Router, k)
	dhttest.Find(t, b.Router, k, a.info().ID)
	holding, release, stopped := make(chan bool), make(chan bool), make(chan bool)
	go func() {
		for range b.Providers(context.Background(), k) {
			close(holding)
			<-release
			break
		}
	}()
	<-holding
	go func() {
		b.stop()
		close(stopped)
	}()
	eventually(t, "b is ending", func() bool { return !b.Stats().Running })
	looks := 0
	eventually(t, "b had every opportunity to end", func() bool { looks++; return looks > 10 })
	select {
	case <-stopped:
		t.Error("Run returned while a walk was on")
	default:
	}
	close(release)
	<-stopped
}

func TestRunsAgain(t *testing.T) {
	b := start(t, newHost(t, "b"), Options{})
	h := newHost(t, "a")
	r, err := New(h, Options{Bootstrap: []peer.Info{b.info()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	for round := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		k := dhttest.Key(fmt.Sprint("round ", round))
		provide(t, r, k)
		eventually(t, "b was told", func() bool { return holds(t, b, k, h) })
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

func TestModes(t *testing.T) {
	b := start(t, newHost(t, "b"), Options{})
	for _, c := range []struct {
		mode   Mode
		server bool
	}{{ModeAuto, true}, {ModeServer, true}, {ModeClient, false}} {
		a := start(t, newHost(t, fmt.Sprint("a", c.mode)), Options{Mode: c.mode, Bootstrap: []peer.Info{b.info()}})
		eventually(t, "a has met b", func() bool { return a.Stats().Peers > 0 })
		if got := a.Stats().Server; got != c.server {
			t.Errorf("mode %d: server %v, want %v", c.mode, got, c.server)
		}
		a.stop()
	}
}

func TestBootstrapPeersAreChecked(t *testing.T) {
	if _, err := New(newHost(t, "a"), Options{Bootstrap: []peer.Info{{ID: "nobody"}}}); !errors.Is(err, errNoPeer) {
		t.Errorf("got %v, want errNoPeer", err)
	}
}

// TestTheLastDoor: a key that was withdrawn while it waited in the library's queue
// is not told.
func TestTheLastDoor(t *testing.T) {
	d := memDB(t)
	p, err := openProvided(d)
	if err != nil {
		t.Fatal(err)
	}
	sent := &sentMessages{}
	var told atomic.Uint64
	door := &teller{sent, p, rate.NewLimiter(rate.Inf, 0), &told}
	k := dhttest.Key("k")
	to := libpeer.ID("somebody")
	if err := door.SendMessage(t.Context(), to, addProvider(k.Multihash())); err != nil || sent.n != 0 {
		t.Errorf("a key that is not provided: %v, sent %d", err, sent.n)
	}
	if _, err := p.add([]dht.Key{k}); err != nil {
		t.Fatal(err)
	}
	sent.err = errors.New("unreachable")
	if err := door.SendMessage(t.Context(), to, addProvider(k.Multihash())); err == nil {
		t.Error("an error was swallowed")
	}
	if _, untold := p.counts(); untold != 1 {
		t.Error("a key counts as told that was not")
	}
	sent.err = nil
	for range 2 {
		if err := door.SendMessage(t.Context(), to, addProvider(k.Multihash())); err != nil {
			t.Error(err)
		}
	}
	if _, untold := p.counts(); untold != 0 || sent.n != 2 || told.Load() != 2 {
		t.Errorf("untold %d, sent %d, counted %d; want 0, 2 and 2", untold, sent.n, told.Load())
	}
	if err := door.SendMessage(t.Context(), to, addProvider([]byte("not of this DHT"))); err == nil || sent.n != 2 {
		t.Errorf("a foreign key: %v, sent %d", err, sent.n)
	}
}

// TestBootstrapPeersAreTriedAgain: a node that was started first finds those that
// come later.
func TestBootstrapPeersAreTriedAgain(t *testing.T) {
	early := newHost(t, "b")
	at, where := self(early), early.Addrs()
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	a := start(t, newHost(t, "a"), Options{Bootstrap: []peer.Info{at}})
	eventually(t, "a runs", func() bool { return a.Stats().Running })
	b := start(t, newHost(t, "b", libp2p.ListenAddrs(where...)), Options{})
	// The host itself would not dial again for some seconds.
	a.Network().(*swarm.Swarm).Backoff().Clear(b.Host.ID())
	eventually(t, "a has met b", func() bool { return a.Stats().Peers == 1 && b.Stats().Peers == 1 })
}

// TestNoValues: a peer can crash a node of this library that deals in values.
func TestNoValues(t *testing.T) {
	n := start(t, newHost(t, "a"), Options{})
	eventually(t, "it runs", func() bool { return n.Stats().Running })
	s, done := n.current()
	defer done()
	if err := s.dht.PutValue(t.Context(), "/pk/x", []byte("v")); !errors.Is(err, routing.ErrNotSupported) {
		t.Errorf("PutValue gave %v, want ErrNotSupported", err)
	}
}

// TestOnlyProvidedKeysAreNamed: what was withdrawn while the library was about to
// announce it is not recorded here either.
func TestOnlyProvidedKeysAreNamed(t *testing.T) {
	n := start(t, newHost(t, "a"), Options{})
	eventually(t, "it runs", func() bool { return n.Stats().Running })
	s, done := n.current()
	defer done()
	ks := keys("named", 2)
	provide(t, n.Router, ks[0])
	for _, k := range ks {
		if err := s.addLocal(k.Multihash()); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []bool{true, false} {
		at := recordPrefix + spelled(ks[i].Multihash()) + "/" + spelled([]byte(n.Host.ID()))
		if found, err := has(n.db, []byte(at)); err != nil || found != want {
			t.Errorf("key %d is recorded: %v, %v; want %v", i, found, err, want)
		}
	}
}

// TestAnnouncingHasARate: a key that has to wait too long for its turn is not told, and one that was withdrawn while it
// waited is not told either.
func TestAnnouncingHasARate(t *testing.T) {
	d := memDB(t)
	p, err := openProvided(d)
	if err != nil {
		t.Fatal(err)
	}
	sent := &sentMessages{}
	var told atomic.Uint64
	pace := rate.NewLimiter(rate.Every(time.Hour), 1)
	door := &teller{sent, p, pace, &told}
	k := dhttest.Key("k")
	if _, err := p.add([]dht.Key{k}); err != nil {
		t.Fatal(err)
	}
	if err := door.SendMessage(t.Context(), "somebody", addProvider(k.Multihash())); err != nil || sent.n != 1 {
		t.Fatalf("the first: %v, sent %d", err, sent.n)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := door.SendMessage(short, "somebody", addProvider(k.Multihash())); err == nil || sent.n != 1 {
		t.Errorf("the second, an hour early: %v, sent %d", err, sent.n)
	}
	if err := p.remove([]dht.Key{k}); err != nil {
		t.Fatal(err)
	}
	pace.SetLimit(rate.Inf)
	if err := door.SendMessage(t.Context(), "somebody", addProvider(k.Multihash())); err != nil || sent.n != 1 {
		t.Errorf("a key that was withdrawn meanwhile: %v, sent %d", err, sent.n)
	}
}
