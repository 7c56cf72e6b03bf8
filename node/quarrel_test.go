package node_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/catalog/catalogtest"
	"github.com/flurry-nix/flurry/dht"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// syncLiar answers Sync as a test says.
type syncLiar struct {
	transfer.Handler
	asked  atomic.Int64
	answer func(transfer.SyncRequest, *transfer.SyncAnswer) *transfer.SyncAnswer
}

func (l *syncLiar) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	l.asked.Add(1)
	answer, _ := l.Handler.Sync(ctx, from, a, r)
	return l.answer(r, answer), ctx.Err()
}

// TestNothingIsSyncedWithoutDocument: a stranger says "we are equal" about a namespace of which nothing is here. Then a miss
// is no answer, or Nix would remember it.
func TestNothingIsSyncedWithoutDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		liar := &syncLiar{answer: func(transfer.SyncRequest, *transfer.SyncAnswer) *transfer.SyncAnswer {
			return &transfer.SyncAnswer{Equal: true, Epoch: [16]byte{1}, Cursor: 1}
		}}
		mallory := w.machine("mallory", node.ShareAll, func(h transfer.Handler) transfer.Handler { liar.Handler = h; return liar })
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		bob := w.machine("bob", node.ShareLAN, nil)
		w.net.Cut(alice.link.Self().ID, bob.link.Self().ID)
		bob.meet(mallory)
		if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		synced := bob.WaitSynced(ctx, a)
		if liar.asked.Load() == 0 {
			t.Fatal("the liar was not asked")
		}
		if synced {
			t.Error("in step with a liar, without a document")
		}
	})
}

// TestMoreForever: a peer that always says that there is more, and names what is here already, is not asked without pause.
func TestMoreForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Delay(time.Millisecond)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		p := alice.nix.build("app", "1", 1000)
		alice.publishes("acme-1", p)
		var known []namespace.ID
		for pub, err := range alice.list.Publications(t.Context(), a) {
			if err != nil {
				t.Fatal(err)
			}
			known = append(known, pub.ID)
		}
		liar := &syncLiar{}
		liar.answer = func(r transfer.SyncRequest, _ *transfer.SyncAnswer) *transfer.SyncAnswer {
			if r.Epoch == [16]byte{} {
				return &transfer.SyncAnswer{Epoch: [16]byte{1}, Cursor: 1, Buckets: make([]transfer.BucketDigest, transfer.Buckets)}
			}
			return &transfer.SyncAnswer{Known: true, Epoch: [16]byte{1}, Cursor: r.Cursor + 1, Added: known, More: true}
		}
		mallory := w.machine("mallory", node.ShareAll, func(h transfer.Handler) transfer.Handler { liar.Handler = h; return liar })
		bob := w.machine("bob", node.ShareLAN, nil)
		bob.meet(alice)
		bob.uses(a)
		bob.meet(mallory)
		time.Sleep(10 * time.Minute) // of the bubble's time
		if n := liar.asked.Load(); n == 0 || n > 10_000 {
			t.Errorf("asked %d times in ten minutes", n)
		}
	})
}

// TestLANNamespaceStaysThere: a namespace that becomes one of the LAN is asked of nobody beyond it from then on, peers that
// answered for it before included; nor does the DHT hear of it.
func TestLANNamespaceStaysThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Delay(time.Millisecond)
		w.site = "away"
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		alice.publishes("acme-1", alice.nix.build("app", "1", 1000))
		w.site = "home"
		bob := w.machine("bob", node.ShareLAN, nil)
		bob.meet(alice)
		bob.uses(a)
		if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true, Share: node.ShareLAN}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s, err := bob.Show(t.Context(), node.ShowQuery{Alias: "acme-1"}); err != nil || len(s.Serving) != 0 {
			t.Errorf("still asked: %v (%v)", s.Serving, err)
		}
		asked := bob.router.asked(dht.NamespaceKey(a))
		time.Sleep(time.Hour) // of the bubble's time
		if more := bob.router.asked(dht.NamespaceKey(a)) - asked; more != 0 {
			t.Errorf("the DHT was asked for it %d times", more)
		}
	})
}

// TestAskerWhoLeavesSaysNothing: somebody asks for a listed path that nobody has, and leaves at once. The next one is not
// told no because of that: a holder may be found while it waits.
func TestAskerWhoLeavesSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.net.Delay(time.Millisecond)
		alice := w.machine("alice", node.ShareAll, nil)
		a := alice.creates("acme-1")
		p := alice.nix.build("app", "1", 1000)
		alice.publishes("acme-1", p)
		bob := w.machine("bob", node.ShareLAN, nil)
		bob.meet(alice)
		bob.uses(a)
		w.net.Cut(alice.link.Self().ID, bob.link.Self().ID)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := bob.Info(ctx, "", p.Hash()); !errors.Is(err, node.ErrNotHere) {
			t.Fatalf("with nobody to have it: %v", err)
		}
		w.net.Heal()
		go func() {
			time.Sleep(100 * time.Millisecond)
			bob.meet(alice)
		}()
		ctx, cancel = context.WithTimeout(t.Context(), node.BudgetWAN)
		defer cancel()
		if _, err := bob.Info(ctx, "", p.Hash()); err != nil {
			t.Errorf("after an asker left: %v", err)
		}
		time.Sleep(time.Second)
	})
}

// giver is a peer that names publications of its own making, and gives their texts.
type giver struct {
	transfer.Handler
	document trust.Document
	ids      []namespace.ID
	texts    map[namespace.ID][]byte
	given    atomic.Int64
	hold     chan struct{} // texts are given when it is closed; nil: at once
}

func (g *giver) add(p *catalogtest.Publisher, raw []byte) {
	id := p.ID(raw)
	g.ids = append(g.ids, id)
	g.texts[id] = raw
}

// Sync names 500 at a time, and says that there is more, over and over.
func (g *giver) Sync(_ context.Context, _ transfer.Remote, _ namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	if r.Epoch == [16]byte{} {
		answer := &transfer.SyncAnswer{Serial: 1, Document: g.document.ID(), Epoch: [16]byte{1}, Buckets: make([]transfer.BucketDigest, transfer.Buckets)}
		if r.Serial == 0 {
			answer.RawDocument = g.document.Raw()
		}
		return answer, nil
	}
	from := int(r.Cursor) * 500 % max(len(g.ids), 1)
	return &transfer.SyncAnswer{Serial: 1, Document: g.document.ID(), Known: true, Epoch: [16]byte{1}, Cursor: r.Cursor + 1, Added: g.ids[from:min(from+500, len(g.ids))], More: true}, nil
}

func (g *giver) Text(_ context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, id [32]byte) ([]byte, error) {
	g.given.Add(1)
	if g.hold != nil {
		<-g.hold
	}
	if raw, ok := g.texts[id]; ok {
		return raw, nil
	}
	return nil, transfer.ErrAbsent
}

// givers makes mallory, who gives what make makes of her, and bob, who follows her.
func givers(w *world, fill func(*giver, *catalogtest.Publisher)) (g *giver, mallory, bob *machine, p *catalogtest.Publisher) {
	w.t.Helper()
	p = catalogtest.NewPublisher(w.t, "acme-1", 1)
	p.Start = time.Now().Truncate(time.Second)
	g = &giver{document: p.Document(1, nil), texts: make(map[namespace.ID][]byte)}
	fill(g, p)
	mallory = w.machine("mallory", node.ShareAll, func(h transfer.Handler) transfer.Handler { g.Handler = h; return g })
	bob = w.machine("bob", node.ShareNone, nil)
	bob.meet(mallory)
	if err := bob.Put(node.Space{Alias: "acme-1", Address: p.Address, Use: true}); err != nil {
		w.t.Fatal(err)
	}
	return g, mallory, bob, p
}

// TestUnknownWriters: a peer names thousands of publications by writers that the document does not know. Each is fetched at
// most once, not all of them at once, and the one among them that counts is taken.
func TestUnknownWriters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 8000
		g, mallory, bob, p := givers(newWorld(t), func(g *giver, p *catalogtest.Publisher) {
			stranger := p.Key("stranger")
			for i := range most {
				key := stranger
				if i == 700 {
					key = p.Root
				}
				g.add(p, p.Publication(key, func(v *namespace.Publication) {
					v.Entries = []namespace.Entry{catalogtest.Entry(fmt.Sprint("path", i), "")}
				}))
			}
		})
		time.Sleep(3 * time.Minute)
		if n := g.given.Load(); n < 1000 || n > 4*1300 {
			t.Errorf("%d texts were fetched in three minutes", n)
		}
		if s := bob.list.Stats(p.Address); s.Publications != 1 {
			t.Errorf("bob has %d publications, not the one that counts", s.Publications)
		}
		time.Sleep(6 * time.Minute) // less than after which all is tried again
		if n := g.given.Load(); n > most {
			t.Errorf("%d texts were fetched, of %d that there are", n, most)
		}
		if bob.banned(mallory) {
			t.Error("who follows another document is no liar")
		}
	})
}

// TestOverTheBounds: a writer is over what is kept of one. What else the peer names is taken all the same.
func TestOverTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = catalog.MaxSignerMissing / 2
		var last namespace.ID
		_, mallory, bob, p := givers(newWorld(t), func(g *giver, p *catalogtest.Publisher) {
			for i := range 3 {
				g.add(p, p.Publication(p.Root, func(v *namespace.Publication) {
					for k := range each {
						v.Uses = append(v.Uses, namespace.ID(sha256.Sum256(fmt.Append(nil, i, k))))
					}
					slices.SortFunc(v.Uses, namespace.ID.Compare)
				}))
			}
			g.add(p, p.Publication(p.Root, func(v *namespace.Publication) { v.Entries = []namespace.Entry{catalogtest.Entry("app", "")} }))
			last = g.ids[len(g.ids)-1]
		})
		time.Sleep(time.Minute)
		if known, err := bob.list.Knows(t.Context(), p.Address, last); err != nil || !known {
			t.Errorf("what came after a publication over the bounds was not taken: %v", err)
		}
		if s := bob.list.Stats(p.Address); s.Publications != 3 {
			t.Errorf("%d publications were taken", s.Publications)
		}
		if bob.banned(mallory) {
			t.Error("who has more than is kept here is no liar")
		}
	})
}

// TestLeftWhileFollowed: a namespace is given up while its publications come. That is no fault of who sends them.
func TestLeftWhileFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, mallory, bob, p := givers(newWorld(t), func(g *giver, p *catalogtest.Publisher) {
			g.hold = make(chan struct{})
			g.add(p, p.Publication(p.Root, func(v *namespace.Publication) { v.Entries = []namespace.Entry{catalogtest.Entry("app", "")} }))
		})
		time.Sleep(time.Second)
		if g.given.Load() == 0 {
			t.Fatal("nothing was asked for")
		}
		if err := bob.list.Forget(t.Context(), p.Address); err != nil {
			t.Fatal(err)
		}
		close(g.hold)
		time.Sleep(time.Second)
		if bob.banned(mallory) {
			t.Error("who gave what was asked for is banned")
		}
	})
}
