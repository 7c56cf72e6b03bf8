package catalogtest

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

// Clock is a clock that tests move. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now returns what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set moves the clock, forward or back.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// Add moves the clock by d.
func (c *Clock) Add(d time.Duration) { c.Set(c.Now().Add(d)) }

// Bench is a catalog on a test bench: with its stores, its clock, and one
// publisher.
type Bench struct {
	*Publisher
	KV      catalog.KV
	Texts   *Texts
	Clock   *Clock
	Catalog *catalog.Catalog
}

// NewBench returns an empty catalog on kv, and the publisher of "acme-1". It is
// the publisher's Start.
func NewBench(t testing.TB, kv catalog.KV) *Bench {
	b := &Bench{Publisher: NewPublisher(t, "acme-1", 1), KV: kv, Texts: new(Texts)}
	b.Clock = NewClock(b.Start)
	b.Reopen()
	return b
}

// Reopen opens the catalog anew, as after a restart.
func (b *Bench) Reopen() {
	b.T.Helper()
	c, err := catalog.Open(b.T.Context(), b.KV, b.Texts, b.Clock.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		b.T.Fatal(err)
	}
	b.Catalog = c
}

// Adopt adopts a document.
func (b *Bench) Adopt(d trust.Document, lists ...*namespace.KeepList) {
	b.T.Helper()
	if err := b.Catalog.Adopt(b.T.Context(), d, lists); err != nil {
		b.T.Fatal(err)
	}
}

// Verify verifies a publication under the policy in force.
func (b *Bench) Verify(raw []byte) trust.Publication {
	b.T.Helper()
	policy, ok := b.Catalog.Policy(b.Address)
	if !ok {
		b.T.Fatal("no policy")
	}
	p, err := policy.VerifyPublication(raw)
	if err != nil {
		b.T.Fatal(err)
	}
	return p
}

// Add adds a publication.
func (b *Bench) Add(raw []byte) catalog.Added {
	b.T.Helper()
	added, err := b.Catalog.Add(b.T.Context(), b.Verify(raw))
	if err != nil {
		b.T.Fatal(err)
	}
	return added
}

// Lookup returns what Lookup answers for the path of that name; nil: not found.
func (b *Bench) Lookup(name string) []trust.Verified {
	b.T.Helper()
	found, err := b.Catalog.Lookup(b.T.Context(), b.Address, Path(name).Hash())
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err != nil {
		b.T.Fatalf("Lookup(%s): %v", name, err)
	}
	return found
}

// Alive returns the ids of the set that Digest stands for, in rising order, and
// fails if Digest, Buckets and IDs do not agree.
func (b *Bench) Alive() []namespace.ID {
	b.T.Helper()
	return Alive(b.T, b.Catalog, b.Address)
}

// Alive is [Bench.Alive] for any catalog.
func Alive(t testing.TB, c *catalog.Catalog, a namespace.Address) []namespace.ID {
	t.Helper()
	buckets, err := c.Buckets(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	var all []namespace.ID
	for i, d := range buckets {
		ids, err := c.IDs(t.Context(), a, byte(i))
		if err != nil {
			t.Fatal(err)
		}
		if d != digest(ids) {
			t.Fatalf("bucket %d is %v, its ids are %v", i, d, ids)
		}
		all = append(all, ids...)
	}
	if !slices.IsSortedFunc(all, namespace.ID.Compare) {
		t.Fatalf("ids are not sorted: %v", all)
	}
	d, err := c.Digest(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if d != digest(all) {
		t.Fatalf("digest is %v, that of all ids is %v", d, digest(all))
	}
	return all
}
