package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/catalog"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// documentLife is how long a document is valid. From half of it on it is renewed by whoever holds the root key.
const documentLife = 365 * 24 * time.Hour

// edit changes the document of a and returns its new version, signed by root and adopted here. change gets a copy of the
// one in force, in which serial, times and predecessor are set; it returns kept lists that the new one names and the old
// one did not. Edits take turns. Others learn of it when they next sync.
func (n *Node) edit(ctx context.Context, a namespace.Address, root nix.SecretKey, change func(*namespace.Document) ([]*namespace.KeepList, error)) (trust.Document, error) {
	if root.Public() != a.Key() {
		return trust.Document{}, ErrNoRootKey
	}
	select {
	case n.editing <- struct{}{}:
		defer func() { <-n.editing }()
	case <-ctx.Done():
		return trust.Document{}, ctx.Err()
	}
	policy, ok := n.Catalog.Policy(a)
	if !ok {
		return trust.Document{}, fmt.Errorf("%w: %s has no document here yet", trust.ErrUntrusted, a.Name())
	}
	old, _ := policy.Document()
	next := successor(old, n.Now())
	lists, err := n.keptLists(ctx, a, next)
	if err != nil {
		return trust.Document{}, err
	}
	more, err := change(next)
	if err != nil {
		return trust.Document{}, err
	}
	raw, err := trust.SignDocument(next, root)
	if err != nil {
		return trust.Document{}, fmt.Errorf("%w: %w", ErrUnsignable, err)
	}
	d, err := trust.VerifyDocument(a, raw)
	if err != nil {
		return trust.Document{}, err
	}
	if err := n.Catalog.Adopt(ctx, d, append(lists, more...)); err != nil {
		return trust.Document{}, err
	}
	n.Log.Info("document signed", "namespace", a.Name(), "serial", next.Serial)
	return d, nil
}

// successor is a copy of old as its next version, which says the same for another year. What this version does not know is
// kept. A clock that is behind is not followed.
func successor(old trust.Document, now time.Time) *namespace.Document {
	next := *old.Value()
	next.Serial++
	next.Previous = old.ID()
	if now = now.UTC().Truncate(time.Second); now.After(next.Issued) {
		next.Issued = now
	}
	next.Expires = next.Issued.Add(documentLife)
	next.Writers = slices.Clone(next.Writers)
	next.Closed = slices.Clone(next.Closed)
	next.Withdrawn = slices.Clone(next.Withdrawn)
	next.Denied = slices.Clone(next.Denied)
	next.Seeds = slices.Clone(next.Seeds)
	next.Unknown = slices.Clone(next.Unknown)
	return &next
}

// keptLists are the lists that d names already.
func (n *Node) keptLists(ctx context.Context, a namespace.Address, d *namespace.Document) ([]*namespace.KeepList, error) {
	var lists []*namespace.KeepList
	for _, c := range d.Closed {
		if c.None {
			continue
		}
		raw, err := n.Catalog.KeepList(ctx, a, c.Keep)
		if err != nil {
			return nil, err
		}
		list, err := namespace.ParseKeepList(raw)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return lists, nil
}

// root returns the root key of a: the one given, else that of this machine.
func (n *Node) root(a namespace.Address, given *nix.SecretKey) (nix.SecretKey, error) {
	if given == nil {
		return n.Keys.Root(a)
	}
	if given.Public() != a.Key() {
		return nix.SecretKey{}, ErrNoRootKey
	}
	return *given, nil
}

// DocumentEdit is what a publisher may say in a document besides who writes and what is void. Nil leaves it as it is.
type DocumentEdit struct {
	About *string
	Keep  *time.Duration
	Seeds *[]string // multiaddrs
}

// EditDocument changes what the document of the namespace called alias says to people and peers.
func (n *Node) EditDocument(ctx context.Context, alias string, root *nix.SecretKey, e DocumentEdit) (trust.Document, error) {
	sp, key, err := n.rootOf(alias, root)
	if err != nil {
		return trust.Document{}, err
	}
	return n.edit(ctx, sp.Address, key, func(d *namespace.Document) ([]*namespace.KeepList, error) {
		if e.About != nil {
			d.About = *e.About
		}
		if e.Keep != nil {
			d.Keep = *e.Keep
		}
		if e.Seeds != nil {
			d.Seeds = slices.Clone(*e.Seeds)
		}
		return nil, nil
	})
}

func (n *Node) rootOf(alias string, given *nix.SecretKey) (Space, nix.SecretKey, error) {
	sp, err := n.space(alias)
	if err != nil {
		return sp, nix.SecretKey{}, err
	}
	key, err := n.root(sp.Address, given)
	return sp, key, err
}

// spreadTime is how long Spread waits for peers to have a document.
const spreadTime = 5 * time.Second

// Spread reports how many of the connected peers that serve a have the document that is in force here. It waits for them
// for a few seconds, while they learn of it.
func (n *Node) Spread(ctx context.Context, a namespace.Address) (have, of int) {
	policy, ok := n.Catalog.Policy(a)
	if !ok || n.network() == nil {
		return 0, 0
	}
	d, _ := policy.Document()
	ctx, cancel := context.WithTimeout(ctx, spreadTime)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, r := range n.peers.serving(a, nil) {
		of++
		all.Go(func() {
			for ctx.Err() == nil {
				answer, err := r.conn.Sync(ctx, a, transfer.SyncRequest{Serial: d.Value().Serial, Document: d.ID()})
				if err == nil && answer.Document == d.ID() {
					mu.Lock()
					have++
					mu.Unlock()
					return
				}
				pause(ctx, spreadTime/20)
			}
		})
	}
	all.Wait()
	return have, of
}

// keepUp does until ctx ends what a namespace's publisher owes it: its document and what is pinned are renewed in time, and
// what its writers published is countersigned. When nothing has changed there is nothing to do for an hour.
func (n *Node) keepUp(ctx context.Context) {
	var last time.Time
	var seen uint64
	for ctx.Err() == nil {
		if generation := n.Catalog.Generation(); generation != seen || n.Now().Sub(last) >= time.Hour {
			seen, last = generation, n.Now()
			for _, sp := range n.spaces.all() {
				n.keepUpOne(ctx, sp)
			}
		}
		pause(ctx, upkeepEvery)
	}
}

func (n *Node) keepUpOne(ctx context.Context, sp Space) {
	for _, duty := range []struct {
		what string
		do   func(context.Context, Space) error
	}{
		{"the document was not renewed", n.renewDocument},
		{"what is pinned was not renewed", n.renewPinned},
		{"writers' paths were not countersigned", n.countersign},
	} {
		if err := duty.do(ctx, sp); err != nil && !errors.Is(err, catalog.ErrNotFound) && ctx.Err() == nil {
			n.Log.Warn(duty.what, "namespace", sp.Alias, "err", err)
		}
	}
}

// renewDocument signs the document of a anew if its half is over.
func (n *Node) renewDocument(ctx context.Context, sp Space) error {
	a := sp.Address
	policy, ok := n.Catalog.Policy(a)
	if !ok {
		return nil
	}
	d, ok := policy.Document()
	if !ok {
		return nil
	}
	v := d.Value()
	if n.Now().Before(v.Issued.Add(v.Expires.Sub(v.Issued) / 2)) {
		return nil
	}
	root, err := n.Keys.Root(a)
	if err != nil {
		return nil // whoever has it renews it
	}
	_, err = n.edit(ctx, a, root, func(d *namespace.Document) ([]*namespace.KeepList, error) {
		if n.Now().Before(d.Issued.Add(-time.Minute)) {
			return nil, errors.New("the clock is behind the document")
		}
		return nil, nil
	})
	return err
}
