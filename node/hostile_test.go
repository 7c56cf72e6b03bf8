package node_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/node"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// liar answers as the node behind it does, but for what a test changes.
type liar struct {
	transfer.Handler
	chunks func(ctx context.Context, send func(transfer.Run) error) (func(transfer.Run) error, error)
	text   func(kind transfer.Kind, raw []byte) []byte
	lookup func([]transfer.Answer) []transfer.Answer
	hang   chan struct{} // bodies are not answered for until it is closed
}

func (l *liar) Chunks(ctx context.Context, from transfer.Remote, a namespace.Address, b content.BodyID, r []transfer.Range, send func(transfer.Run) error) error {
	if l.chunks != nil {
		other, err := l.chunks(ctx, send)
		if err != nil {
			return err
		}
		send = other
	}
	return l.Handler.Chunks(ctx, from, a, b, r, send)
}

func (l *liar) Text(ctx context.Context, from transfer.Remote, a namespace.Address, k transfer.Kind, id [32]byte) ([]byte, error) {
	if l.hang != nil && k == transfer.Body {
		select {
		case <-l.hang:
		case <-ctx.Done():
		}
	}
	raw, err := l.Handler.Text(ctx, from, a, k, id)
	if err == nil && l.text != nil {
		raw = l.text(k, bytes.Clone(raw))
	}
	return raw, err
}

func (l *liar) Lookup(ctx context.Context, from transfer.Remote, a namespace.Address, h []nix.PathHash) ([]transfer.Answer, error) {
	answers, err := l.Handler.Lookup(ctx, from, a, h)
	if err == nil && l.lookup != nil {
		answers = l.lookup(answers)
	}
	return answers, err
}

// banned reports whether m has banned who.
func (m *machine) banned(who *machine) bool {
	for _, b := range m.link.Banned() {
		if b.Peer == who.link.Self().ID {
			return true
		}
	}
	return false
}

// pair is an honest publisher and a mallory who holds everything it published, but lies as l does.
func (w *world) pair(l *liar, size int) (alice, mallory *machine, a namespace.Address, p nix.StorePath) {
	w.t.Helper()
	alice = w.machine("alice", node.ShareLAN, nil)
	mallory = w.machine("mallory", node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
	a = alice.creates("acme-1")
	p = alice.nix.build("app", "1", size)
	alice.publishes("acme-1", p)
	mallory.meet(alice)
	mallory.uses(a)
	mallory.gets(alice, p)
	mallory.waitsSettled(p)
	return alice, mallory, a, p
}

func TestWrongChunkIsCaughtBannedAndHealed(t *testing.T) {
	w := newWorld(t)
	var lies atomic.Int64
	alice, mallory, a, p := w.pair(&liar{chunks: func(_ context.Context, send func(transfer.Run) error) (func(transfer.Run) error, error) {
		return func(r transfer.Run) error {
			lies.Add(1)
			r.Data = bytes.Clone(r.Data)
			r.Data[len(r.Data)/2] ^= 1
			return send(r)
		}, nil
	}}, 3_000_000)
	bob := w.machine("bob", node.ShareLAN, nil)
	w.net.Cut(bob.link.Self().ID, alice.link.Self().ID)
	bob.meet(mallory)
	bob.uses(a)
	if got, err := bob.readsFor(p, 3*time.Second); err == nil {
		t.Fatalf("bob got %d bytes with only a liar to ask", len(got))
	}
	if lies.Load() == 0 || !bob.banned(mallory) {
		t.Fatalf("after %d lies mallory is banned: %v", lies.Load(), bob.banned(mallory))
	}
	w.net.Heal()
	bob.meet(alice)
	bob.eventually("to hear from alice", func() bool { _, err := bob.readsFor(p, time.Second); return err == nil })
	bob.gets(alice, p)
}

func TestStalledPeerIsOvertaken(t *testing.T) {
	w := newWorld(t)
	alice, mallory, a, p := w.pair(&liar{chunks: func(ctx context.Context, _ func(transfer.Run) error) (func(transfer.Run) error, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, 2_000_000)
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.meet(mallory, alice)
	bob.uses(a)
	bob.gets(alice, p)
}

func TestPeerThatDiesMidTransferCostsNothing(t *testing.T) {
	w := newWorld(t)
	var runs atomic.Int64
	var mallory *machine
	l := &liar{}
	alice, mallory, a, p := w.pair(l, 12_000_000)
	l.chunks = func(_ context.Context, send func(transfer.Run) error) (func(transfer.Run) error, error) {
		return func(r transfer.Run) error {
			if runs.Add(1) == 2 {
				go mallory.stop()
				return errors.New("gone")
			}
			return send(r)
		}, nil
	}
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.meet(mallory)
	bob.uses(a)
	bob.meet(alice)
	bob.gets(alice, p)
	fetched := bob.link.Traffic().Fetch.Received
	if fetched > 16_000_000 {
		t.Errorf("a 12 MB path took %d bytes", fetched)
	}
}

func TestForgedPublicationIsRefused(t *testing.T) {
	w := newWorld(t)
	alice, mallory, a, p := w.pair(&liar{text: func(k transfer.Kind, raw []byte) []byte {
		if k == transfer.Publication {
			raw[len(raw)-20] ^= 1 // in the signature: the id stays the same
		}
		return raw
	}}, 100_000)
	bob := w.machine("bob", node.ShareLAN, nil)
	w.net.Cut(bob.link.Self().ID, alice.link.Self().ID)
	bob.meet(mallory)
	if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
		t.Fatal(err)
	}
	bob.eventually("to ban mallory", func() bool { return bob.banned(mallory) })
	if _, err := bob.readsFor(p, time.Second); err == nil {
		t.Error("a forged publication was served from")
	}
	if s := bob.list.Stats(a); s.Publications != 0 {
		t.Errorf("%d forged publications are in the catalog", s.Publications)
	}
}

func TestAnswerForAnotherPathIsALie(t *testing.T) {
	w := newWorld(t)
	alice := w.machine("alice", node.ShareLAN, nil)
	a := alice.creates("acme-1")
	p := alice.nix.build("app", "1", 1000)
	q := alice.nix.build("other", "1", 1000)
	alice.publishes("acme-1", p)
	mallory := w.machine("mallory", node.ShareLAN, func(h transfer.Handler) transfer.Handler {
		return &slowSync{liar{Handler: h, lookup: func(as []transfer.Answer) []transfer.Answer {
			for i := range as {
				as[i].Hash = q.Hash()
			}
			return as
		}}}
	})
	mallory.meet(alice)
	mallory.uses(a)
	mallory.gets(alice, p)
	bob := w.machine("bob", node.ShareLAN, nil)
	bob.meet(mallory)
	if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
		t.Fatal(err)
	}
	bob.eventually("to ban mallory or list nothing wrong", func() bool {
		_, err := bob.readsFor(q, 500*time.Millisecond)
		if err == nil {
			t.Fatal("another path was served")
		}
		return true
	})
}

// slowSync is a liar with whom a follower never gets in step, so that lookups are asked.
type slowSync struct{ liar }

func (s *slowSync) Sync(ctx context.Context, from transfer.Remote, a namespace.Address, r transfer.SyncRequest) (*transfer.SyncAnswer, error) {
	answer, err := s.Handler.Sync(ctx, from, a, r)
	if err == nil && answer.RawDocument == nil && !answer.Equal {
		return nil, &transfer.BusyError{RetryAfter: time.Hour}
	}
	return answer, err
}

// TestPublishedLie: the namespace's own signer vouches for a NarHash that the body does not give.
func TestPublishedLie(t *testing.T) {
	for name, size := range map[string]int{"checked whole first": 100_000, "checked before its end": 3_000_000} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.machine("alice", node.ShareLAN, nil)
			a := alice.creates("acme-1")
			p := alice.nix.build("app", "1", size)
			alice.publishesWrongHash(a, p)
			bob := w.machine("bob", node.ShareLAN, nil)
			bob.meet(alice)
			bob.uses(a)
			got, err := bob.readsFor(p, 10*time.Second)
			if !errors.Is(err, node.ErrWrongNar) {
				t.Fatalf("reading a NAR with a wrong hash: %v", err)
			}
			if most := len(alice.nix.nar(p)) - 64<<10; len(got) > max(most, 0) {
				t.Errorf("%d bytes of %d left before the check", len(got), len(alice.nix.nar(p)))
			}
			if _, err := bob.readsFor(p, time.Second); !errors.Is(err, node.ErrNotHere) {
				t.Errorf("the second time: %v", err)
			}
			if keys := w.dht.Join(bob.link.Self()).Provided(); len(keys) > 0 {
				t.Errorf("bob announces %d keys", len(keys))
			}
		})
	}
}

// publishesWrongHash publishes p with the NarHash of something else.
func (m *machine) publishesWrongHash(a namespace.Address, p nix.StorePath) {
	t := m.w.t
	t.Helper()
	ctx := t.Context()
	codec := store.NewCodec()
	batch, err := m.store.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	s := content.NewSplitter(ctx, content.SplitOptions{Candidates: []nix.PathHash{p.Hash()}, Put: func(id content.ChunkID, data []byte) error {
		return store.Receive(ctx, batch, codec, store.ChunkKey(id), data)
	}})
	if _, err := s.Write(m.nix.nar(p)); err != nil {
		t.Fatal(err)
	}
	split, err := s.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Receive(ctx, batch, codec, store.BodyKey(split.Body.ID()), split.Body.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if err := batch.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	e := &namespace.Entry{Path: p, NarHash: nix.NarHash{1, 2, 3}, NarSize: split.NarSize, References: []nix.StorePath{p}, Body: split.Body.ID(), Slots: split.Slots}
	trust.SignEntry(e, m.keys.all[0])
	now := time.Now().UTC().Truncate(time.Second)
	raw, err := trust.SignPublication(&namespace.Publication{Namespace: a, Time: now, Expires: now.AddDate(0, 1, 0), Roots: []nix.StorePath{p}, Entries: []namespace.Entry{*e}}, m.keys.all[0])
	if err != nil {
		t.Fatal(err)
	}
	policy, _ := m.list.Policy(a)
	v, err := policy.VerifyPublication(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.list.Add(ctx, v); err != nil {
		t.Fatal(err)
	}
}

// TestStalledBodyIsOvertaken: a peer that never answers the question for a body is not waited for alone.
func TestStalledBodyIsOvertaken(t *testing.T) {
	w := newWorld(t)
	hang := make(chan struct{})
	alice, mallory, a, p := w.pair(&liar{}, 500_000)
	bob := w.machine("bob", node.ShareLAN, nil)
	defer close(hang)
	silent := w.machine("silent", node.ShareLAN, func(h transfer.Handler) transfer.Handler { return &liar{Handler: h, hang: hang} })
	silent.meet(alice)
	silent.uses(a)
	silent.gets(alice, p)
	silent.waitsSettled(p)
	bob.meet(silent, mallory)
	bob.uses(a)
	bob.gets(alice, p) // within the 20 s that a reader here has; a body's own time is longer
}

// TestStalledBodyIsGivenUp: who holds a path alone and does not answer for its body costs a few seconds, and what else it holds nothing.
func TestStalledBodyIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := &liar{hang: make(chan struct{})}
		alice := w.machine("alice", node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
		a := alice.creates("acme-1")
		p, other := alice.nix.build("app", "1", 1_000_000), alice.nix.build("other", "1", 100_000)
		alice.publishes("acme-1", p, other)
		bob := w.machine("bob", node.ShareNone, nil)
		bob.meet(alice)
		bob.uses(a)
		start := time.Now()
		if _, err := bob.readsFor(p, time.Minute); err == nil {
			t.Error("it came")
		}
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("given up after %v", took)
		}
		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), node.BudgetWAN)
		defer cancel()
		if _, err := bob.Info(ctx, "", other.Hash()); !errors.Is(err, node.ErrNotHere) {
			t.Errorf("what else it holds: %v after %v", err, time.Since(start))
		}
		close(l.hang)
		time.Sleep(time.Minute)
		bob.gets(alice, p)
		bob.gets(alice, other)
		alice.stop()
		bob.stop()
	})
}

// TestSilentPeerIsNotAskedOnAndOn: a peer that answers no question, in a namespace that cannot be synced, holds up a few of Nix's
// and not all of a build's.
func TestSilentPeerIsNotAskedOnAndOn(t *testing.T) {
	w := newWorld(t)
	var lookups atomic.Int64
	l := &silent{lookups: &lookups}
	alice := w.machine("alice", node.ShareLAN, func(h transfer.Handler) transfer.Handler { l.Handler = h; return l })
	a := alice.creates("acme-1")
	alice.publishes("acme-1", alice.nix.build("app", "1", 1000))
	bob := w.machine("bob", node.ShareNone, nil)
	bob.meet(alice)
	if err := bob.Put(node.Space{Alias: "acme-1", Address: a, Use: true}); err != nil {
		t.Fatal(err)
	}
	bob.eventually("to know whom to ask", func() bool { return bob.Status(false).Namespaces[0].Serving == 1 })
	for i := range 20 {
		if _, err := bob.Info(t.Context(), "", nix.PathHash{byte(i)}); !errors.Is(err, node.ErrNotHere) {
			t.Fatalf("an unknown path: %v", err)
		}
	}
	if n := lookups.Load(); n == 0 || n > 5 {
		t.Errorf("%d of 20 questions waited for a peer that answers none", n)
	}
}

// silent names publications, and answers nothing else.
type silent struct {
	transfer.Handler
	lookups *atomic.Int64
}

func (s *silent) Text(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *silent) Lookup(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ []nix.PathHash) ([]transfer.Answer, error) {
	s.lookups.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}
