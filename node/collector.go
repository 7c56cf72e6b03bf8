package node

import (
	"context"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/store"
)

// collectAll collects by itself until ctx ends: when the store is nearly full, when a document has changed, since it may refuse
// or deny something, and every collectDue what is due.
func (n *Node) collectAll(ctx context.Context) {
	w := &watch{node: n, serials: n.serials(), due: n.Now().Add(collectDue)}
	for {
		look := time.NewTimer(collectEvery)
		select {
		case <-look.C:
		case <-n.pressure:
		case <-ctx.Done():
		}
		look.Stop()
		if ctx.Err() != nil {
			return
		}
		w.look(ctx)
	}
}

// watch is what collectAll knows.
type watch struct {
	node    *Node
	serials map[namespace.Address]uint64 // of the documents at the last collection
	due     time.Time                    // of the next one
	again   time.Time                    // before then none is made for want of room
}

// look collects if there is a reason to.
func (w *watch) look(ctx context.Context) {
	n, now := w.node, w.node.Now()
	room, err := n.Store.Room(ctx)
	if err != nil {
		n.Log.Warn("how full the store is is not known", "err", err)
		return
	}
	need := wanting(room)
	if now.Before(w.again) {
		need = 0
	}
	serials := n.serials()
	if need == 0 && now.Before(w.due) && same(serials, w.serials) && !n.hasDropped() && n.spareBytes() < spareMost {
		return
	}
	w.due = now.Add(collectDue)
	done, err := n.Collect(ctx, CollectRequest{Need: need})
	if err != nil {
		w.again = now.Add(collectAgain)
		if ctx.Err() == nil {
			n.Log.Error("collecting failed", "err", err)
		}
		return
	}
	w.serials = serials
	if need > 0 && done.Freed > 0 {
		w.again = now.Add(collectAgain)
	} else if need > 0 {
		w.again = w.due
	}
	w.log(done, need)
}

func (w *watch) log(done report.Collected, need int64) {
	n := w.node
	if done.Contents > 0 || done.Freed > 0 {
		n.Log.Info("collected", "records", done.Contents, "bytes", done.Bytes, "freed", done.Freed, "publications", done.Publications, "why", done.Why)
	}
	if need > done.Freed {
		n.Log.Warn("the store is nearly full, and what is in it is not to go", "used", done.Used, "quota", done.Quota, "wanted", need, "freed", done.Freed)
	}
}

// wanting is how many bytes of room a store should have that it has not.
func wanting(r store.Room) (need int64) {
	if r.Quota > 0 && float64(r.Used) > fullPart*float64(r.Quota) {
		need = r.Used - int64(easyPart*float64(r.Quota))
	}
	if slack := r.Reserve / reserveSlack; r.Reserve > 0 && r.Free < r.Reserve+slack {
		need = max(need, r.Reserve+2*slack-r.Free)
	}
	return need
}

// serials is which document each namespace follows.
func (n *Node) serials() map[namespace.Address]uint64 {
	all := make(map[namespace.Address]uint64)
	for _, a := range n.Catalog.Namespaces() {
		if policy, ok := n.Catalog.Policy(a); ok {
			if d, ok := policy.Document(); ok {
				all[a] = d.Value().Serial
			}
		}
	}
	return all
}

// same reports whether no document is newer than it was. One of a namespace that was not there before refuses nothing yet.
func same(now, before map[namespace.Address]uint64) bool {
	for a, serial := range now {
		if old, known := before[a]; known && old != serial {
			return false
		}
	}
	return true
}

// press has it looked at soon whether something is to be collected.
func (n *Node) press() {
	select {
	case n.pressure <- struct{}{}:
	default:
	}
}

// touch notes that content was asked for.
func (n *Node) touch(ctx context.Context, a namespace.Address, b content.BodyID) {
	last, err := n.Catalog.Touched(ctx, a, b)
	if err != nil || !last.Before(n.Now().Truncate(time.Hour)) {
		return
	}
	n.tasks.Go(func(ctx context.Context) { // nobody waits for whoever writes to the catalog now
		if err := n.Catalog.Touch(ctx, a, b); err != nil && ctx.Err() == nil {
			n.Log.Debug("when content was asked for was not noted", "body", b, "err", err)
		}
	})
}
