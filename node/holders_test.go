package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/store/storetest"
	"github.com/flurry-nix/flurry/transfer"
)

// client is a machine that uses the cache o, and answers others as wrap says.
func (w *world) client(name string, o *fakeOrigin, share node.Share, wrap func(transfer.Handler) transfer.Handler) *machine {
	w.t.Helper()
	m := w.boot(&machine{w: w, name: name, store: storetest.NewMem(w.t), keys: &keys{}, nix: newFakeNix(), kv: &catalogtest.MemKV{}, texts: &catalogtest.Texts{}, share: share, wrap: wrap, budget: 10 * time.Second,
		origins: func(string) (node.Origin, error) { return o, nil }})
	m.usesCache(o, node.ShareDefault)
	return m
}

// usesCache puts o in use, with seeds of its own.
func (m *machine) usesCache(o *fakeOrigin, share node.Share, seeds ...*machine) {
	m.w.t.Helper()
	sp := node.Space{Alias: "cache", Address: o.address(), Use: true, Origin: "https://cache.example", Share: share}
	for _, s := range seeds {
		sp.Peers = append(sp.Peers, peer.Hint{Multiaddr: "/p2p/" + string(s.link.Self().ID)})
	}
	if err := m.Put(sp); err != nil {
		m.w.t.Fatal(err)
	}
}

func (o *fakeOrigin) address() namespace.Address { return namespace.AddressOf(o.key.Public()) }

// has fetches p, and waits until it is in the store.
func (m *machine) has(o *fakeOrigin, p nix.StorePath) {
	m.w.t.Helper()
	m.getsFrom(o, p)
	m.eventually("to keep "+p.Base(), func() bool { return m.hasKept(p) })
}

// joins connects m to others, and waits until it has noticed.
func (m *machine) joins(others ...*machine) {
	m.w.t.Helper()
	m.meet(others...)
	m.eventually("to be connected", func() bool { return m.Status(false).Network.Peers == len(others) })
}

// away is the same cache as another machine sees it.
func (o *fakeOrigin) away() *fakeOrigin { return &fakeOrigin{nix: o.nix, key: o.key} }

// TestUpstreamFromNeighbours: what one machine of a LAN has, the others get from it, also when the origin is down; and give on.
func TestUpstreamFromNeighbours(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	small := o.nix.build("small", "1", 10_000)
	large := o.nix.build("large", "1", 5_000_000, small)
	bob := w.client("bob", o, node.ShareLAN, nil)
	bob.has(o, small)
	bob.has(o, large)

	hers := o.away()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	carol.joins(bob)
	carol.has(o, large)
	carol.has(o, small)
	if hers.nars.Load() != 0 {
		t.Errorf("%d NARs were asked of the origin, that a neighbour has", hers.nars.Load())
	}
	bob.stop()

	his := o.away()
	his.down()
	dave := w.client("dave", his, node.ShareLAN, nil)
	dave.joins(carol)
	dave.getsFrom(o, large)
	if got, err := dave.readsPart(small, 100, 200); err != nil || !bytes.Equal(got, o.nix.nar(small)[100:300]) {
		t.Errorf("a part: %d bytes, %v", len(got), err)
	}
	if _, err := dave.Info(t.Context(), "", nix.PathHash{1}); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("nobody has it: %v", err)
	}
}

// TestUpstreamKnownAndOriginDown: when it has told Nix of a path, or Nix remembers that, and the origin goes down, the NAR comes from who
// has it.
func TestUpstreamKnownAndOriginDown(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p := o.nix.build("app", "1", 2_000_000)
	bob := w.client("bob", o, node.ShareLAN, nil)
	bob.has(o, p)
	hers := o.away()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	v, err := carol.Info(t.Context(), "", p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	hers.down()
	for i := range 10 {
		if _, err := carol.Info(t.Context(), "", nix.PathHash{byte(i)}); !errors.Is(err, node.ErrNotHere) {
			t.Fatal(err)
		}
	}
	carol.joins(bob)
	nar, err := carol.Nar(t.Context(), "", v.Entry().NarHash, p.Hash())
	if err != nil {
		t.Fatal(err)
	}
	defer nar.Close()
	var got bytes.Buffer
	if err := nar.WriteRange(t.Context(), &got, 0, nar.Size()); err != nil || !bytes.Equal(got.Bytes(), o.nix.nar(p)) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

// TestUpstreamPeerLies: a peer that names another body is found out before the end leaves, and dropped; a small NAR comes from the origin
// all the same.
func TestUpstreamPeerLies(t *testing.T) {
	for _, size := range []int{100_000, 5_000_000} {
		w, o := newWorld(t), newFakeOrigin(t)
		p, q := o.nix.build("app", "1", size), o.nix.build("bad", "1", size)
		l := &liar{}
		mallory := w.client("mallory", o, node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
		mallory.has(o, p)
		mallory.has(o, q)
		answers, err := mallory.Server().Lookup(t.Context(), transfer.Remote{LAN: true}, o.address(), []nix.PathHash{q.Hash()})
		if err != nil {
			t.Fatal(err)
		}
		other := answers[0].Entries[0]
		l.lookup = func(all []transfer.Answer) []transfer.Answer {
			for _, a := range all {
				for i := range a.Entries {
					a.Entries[i].Entry.Body = other.Entry.Body
				}
			}
			return all
		}
		hers := o.away()
		carol := w.client("carol", hers, node.ShareLAN, nil)
		carol.joins(mallory)
		got, err := carol.reads(p)
		if !carol.banned(mallory) {
			t.Errorf("%d bytes: the liar is not dropped", size)
		}
		if size < 1<<20 {
			if err != nil || !bytes.Equal(got, o.nix.nar(p)) {
				t.Errorf("%d bytes of %d, %v", len(got), size, err)
			}
			continue
		}
		if whole := len(o.nix.nar(p)); err == nil || len(got) > whole-64<<10 {
			t.Errorf("%d of %d bytes left, %v", len(got), whole, err)
		}
		if _, err := carol.reads(p); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("asked again: %v", err)
		}
		w.passes(2 * time.Minute)
		carol.getsFrom(o, p)
	}
}

// TestUpstreamPeerForges: an entry that the upstream's key did not sign is a lie.
func TestUpstreamPeerForges(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p := o.nix.build("app", "1", 100_000)
	l := &liar{lookup: func(all []transfer.Answer) []transfer.Answer {
		for _, a := range all {
			for i := range a.Entries {
				a.Entries[i].Entry.NarHash[0] ^= 1
			}
		}
		return all
	}}
	mallory := w.client("mallory", o, node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
	mallory.has(o, p)
	hers := o.away()
	hers.down()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	carol.joins(mallory)
	if v, err := carol.Info(t.Context(), "", p.Hash()); !errors.Is(err, node.ErrNotHere) {
		t.Errorf("forged: %v, %v", v, err)
	}
	if !carol.banned(mallory) {
		t.Error("the forger is not dropped")
	}
}

// TestUpstreamPeerStops: when a peer gives a part of a NAR and no more, the rest comes from the origin, and the reader sees nothing of it.
func TestUpstreamPeerStops(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p := o.nix.build("app", "1", 9_000_000)
	var runs atomic.Int64
	l := &liar{chunks: func(_ context.Context, send func(transfer.Run) error) (func(transfer.Run) error, error) {
		return func(r transfer.Run) error {
			if runs.Add(1) > 2 {
				return transfer.ErrAbsent
			}
			return send(r)
		}, nil
	}}
	bob := w.client("bob", o, node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
	bob.has(o, p)
	hers := o.away()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	carol.joins(bob)
	carol.getsFrom(o, p)
	if runs.Load() == 0 || hers.nars.Load() != 1 {
		t.Errorf("%d runs from the peer, %d NARs from the origin", runs.Load(), hers.nars.Load())
	}
	if carol.banned(bob) {
		t.Error("who stopped is taken for a liar")
	}
}

// TestUpstreamSeeds: beyond the LAN a path is asked of the seeds that were named for the namespace, and of nobody else; of none, if
// the namespace is marked as no business of theirs.
func TestUpstreamSeeds(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p := o.nix.build("app", "1", 2_000_000)
	var asked, strangerAsked atomic.Int64
	w.site = "elsewhere"
	seed := w.client("seed", o, node.ShareAll, func(h transfer.Handler) transfer.Handler { return nosy{h, o.address(), &asked} })
	stranger := w.client("stranger", o, node.ShareAll, func(h transfer.Handler) transfer.Handler { return nosy{h, o.address(), &strangerAsked} })
	seed.has(o, p)
	stranger.has(o, p)
	w.site = "home"
	hers := o.away()
	hers.down()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	carol.joins(seed, stranger)
	carol.usesCache(hers, node.ShareLAN, seed)
	if _, err := carol.reads(p); !errors.Is(err, node.ErrNotHere) || asked.Load() > 0 {
		t.Errorf("a namespace for the LAN: %v, a seed elsewhere was asked %d times", err, asked.Load())
	}
	carol.usesCache(hers, node.ShareDefault, seed)
	carol.getsFrom(o, p)
	if strangerAsked.Load() > 0 {
		t.Errorf("a stranger was asked %d times", strangerAsked.Load())
	}
}

// TestUpstreamShyPeer: who shares nothing of the namespace is not asked for each path.
func TestUpstreamShyPeer(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	var asked atomic.Int64
	bob := w.client("bob", o, node.ShareNone, func(h transfer.Handler) transfer.Handler { return nosy{h, o.address(), &asked} })
	carol := w.client("carol", o.away(), node.ShareLAN, nil)
	carol.joins(bob)
	for i := range 20 {
		if _, err := carol.Info(t.Context(), "", nix.PathHash{byte(i)}); !errors.Is(err, node.ErrNotHere) {
			t.Fatal(err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// TestUpstreamManyFromNeighbour: a closure's narinfos come from a neighbour, all at once.
func TestUpstreamManyFromNeighbour(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	bob := w.client("bob", o, node.ShareLAN, nil)
	var all []nix.StorePath
	for i := range 200 {
		p := o.nix.build(fmt.Sprintf("p%d", i), "1", 100, all[max(0, i-3):]...)
		bob.getsFrom(o, p)
		all = append(all, p)
	}
	for _, p := range all {
		bob.eventually("to keep "+p.Base(), func() bool { return bob.hasKept(p) })
	}
	hers := o.away()
	hers.down()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	carol.joins(bob)
	var done sync.WaitGroup
	for _, p := range all {
		done.Go(func() { carol.getsFrom(o, p) })
	}
	done.Wait()
}

// TestUpstreamSlowPeer: a peer that is so slow that a build would wait is left for the origin; when that is down, it is not.
func TestUpstreamSlowPeer(t *testing.T) {
	for _, down := range []bool{false, true} {
		w, o := newWorld(t), newFakeOrigin(t)
		p := o.nix.build("app", "1", 20_000_000)
		var slow atomic.Bool
		l := &liar{chunks: func(_ context.Context, send func(transfer.Run) error) (func(transfer.Run) error, error) {
			return func(r transfer.Run) error {
				if slow.Load() {
					w.passes(4 * time.Second)
				}
				return send(r)
			}, nil
		}}
		bob := w.client("bob", o, node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
		bob.has(o, p)
		hers := o.away()
		carol := w.client("carol", hers, node.ShareLAN, nil)
		if down {
			hers.down()
			for i := range 10 {
				carol.Info(t.Context(), "", nix.PathHash{byte(i)})
			}
		}
		carol.joins(bob)
		slow.Store(true)
		carol.getsFrom(o, p)
		if asked := hers.nars.Load() > 0; asked == down {
			t.Errorf("the origin down: %v, asked for the NAR: %v", down, asked)
		}
	}
}

// TestUpstreamNewPeer: what no peer had is asked of one that has come since.
func TestUpstreamNewPeer(t *testing.T) {
	w, o := newWorld(t), newFakeOrigin(t)
	p := o.nix.build("app", "1", 100_000)
	bob := w.client("bob", o, node.ShareLAN, nil)
	bob.has(o, p)
	hers := o.away()
	hers.down()
	carol := w.client("carol", hers, node.ShareLAN, nil)
	carol.joins(w.client("dave", o, node.ShareLAN, nil))
	for range 5 {
		if _, err := carol.reads(p); !errors.Is(err, node.ErrNotHere) {
			t.Fatalf("nobody has it: %v", err)
		}
	}
	carol.meet(bob)
	carol.eventually("to know of bob", func() bool { return carol.Status(false).Network.Peers == 2 })
	carol.eventually("to ask him", func() bool {
		_, err := carol.Info(t.Context(), "", p.Hash())
		return err == nil
	})
	carol.getsFrom(o, p)
}
