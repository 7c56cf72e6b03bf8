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
	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/report"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/trust"
)

// Writers lists who may publish to a namespace, and who might.
func (n *Node) Writers(ctx context.Context, alias string) (report.Writers, error) {
	sp, err := n.space(alias)
	if err != nil {
		return report.Writers{}, err
	}
	w := report.Writers{Schema: "flurry/writers/1", Alias: sp.Alias, Writers: []report.Writer{}}
	policy, ok := n.Catalog.Policy(sp.Address)
	if !ok {
		return w, fmt.Errorf("%w: %s has no document here yet", trust.ErrUntrusted, sp.Alias)
	}
	d, _ := policy.Document()
	w.Serial = d.Value().Serial
	w.Writers = append(w.Writers, report.Writer{Name: "(root)", Key: sp.Address.String()})
	for _, one := range d.Value().Writers {
		r := report.Writer{Name: one.Key.Name, Key: one.Key.String()}
		if !one.Until.IsZero() {
			until := one.Until
			r.Until = &until
		}
		w.Writers = append(w.Writers, r)
	}
	for _, one := range d.Value().Closed {
		w.Writers = append(w.Writers, report.Writer{Name: one.Key.Name, Key: one.Key.String(), Closed: true})
	}
	return w, n.countWriters(ctx, sp, &w)
}

// countWriters adds how much each published, and when last.
func (n *Node) countWriters(ctx context.Context, sp Space, w *report.Writers) error {
	at := make(map[string]int, len(w.Writers))
	for i, one := range w.Writers {
		at[one.Key] = i
	}
	for info, err := range n.Catalog.Publications(ctx, sp.Address) {
		if err != nil {
			return err
		}
		i, known := at[info.Signer.String()]
		if !known || info.Standing.State == trust.Refused {
			continue
		}
		w.Writers[i].Publications++
		if w.Writers[i].Last == nil || info.Time.After(*w.Writers[i].Last) {
			last := info.Time
			w.Writers[i].Last = &last
		}
	}
	return nil
}

// WriterExistsError says that a key or a name cannot become a writer's, and why.
type WriterExistsError struct {
	Name   string
	Closed bool // it was revoked, and stays so
}

func (e *WriterExistsError) Error() string {
	if e.Closed {
		return fmt.Sprintf("%s was revoked; neither its name nor its key can publish again", e.Name)
	}
	return fmt.Sprintf("a writer is called %s, or has that key, already", e.Name)
}

// AddWriter lets a key publish from now on, until a time if that is not zero.
func (n *Node) AddWriter(ctx context.Context, alias string, root *nix.SecretKey, key nix.PublicKey, until time.Time) (report.WriterChange, error) {
	sp, signer, err := n.rootOf(alias, root)
	if err != nil {
		return report.WriterChange{}, err
	}
	d, err := n.edit(ctx, sp.Address, signer, func(d *namespace.Document) ([]*namespace.KeepList, error) {
		if key.Name == d.Namespace.Name() || key.Key == d.Namespace.Key().Key {
			return nil, &WriterExistsError{Name: "the root"}
		}
		for _, w := range d.Writers {
			if w.Key.Name == key.Name || w.Key.Key == key.Key {
				return nil, &WriterExistsError{Name: w.Key.Name}
			}
		}
		for _, c := range d.Closed {
			if c.Key.Name == key.Name || c.Key.Key == key.Key {
				return nil, &WriterExistsError{Name: c.Key.Name, Closed: true}
			}
		}
		d.Writers = append(d.Writers, namespace.Writer{Key: key, Until: until.UTC().Truncate(time.Second)})
		return nil, nil
	})
	if err != nil {
		return report.WriterChange{}, err
	}
	c := report.WriterChange{Schema: "flurry/writer/1", Alias: sp.Alias, Name: key.Name, Key: key.String(), Serial: d.Value().Serial}
	c.Have, c.Of = n.Spread(ctx, sp.Address)
	return c, nil
}

// ErrNoWriter says that a namespace has no writer of that name.
var ErrNoWriter = errors.New("no such writer")

// RevokeRequest says which publications of a writer stay when its key does not count any more.
type RevokeRequest struct {
	Alias string
	Name  string
	// After keeps what this node, or a peer of Ask, had received by then; zero: until now. What a publication says of its own
	// time is of no account: the key may be in wrong hands.
	After time.Time
	// All keeps nothing.
	All bool
	// Ask are seeds whose word about when they had a publication is taken, and what people call each.
	Ask map[peer.ID]string
}

// PlanRevocation says what a revocation would keep and drop. It signs nothing.
func (n *Node) PlanRevocation(ctx context.Context, r RevokeRequest) (report.Revocation, error) {
	sp, err := n.space(r.Alias)
	if err != nil {
		return report.Revocation{}, err
	}
	key, err := n.writer(sp.Address, r.Name)
	if err != nil {
		return report.Revocation{}, err
	}
	plan := report.Revocation{Schema: "flurry/revocation/1", Alias: sp.Alias, Name: key.Name, Key: key.String(), All: r.All, Keep: []namespace.ID{}}
	if !r.After.IsZero() {
		plan.After = &r.After
	}
	var late []namespace.ID
	for info, err := range n.Catalog.Publications(ctx, sp.Address) {
		if err != nil {
			return plan, err
		}
		if info.Signer != key || info.Standing.State == trust.Refused {
			continue
		}
		plan.Total++
		switch {
		case r.All:
			plan.DroppedPaths += info.Entries
		case r.After.IsZero(), !info.Received.After(r.After):
			plan.Keep = append(plan.Keep, info.ID)
			plan.KeptHere++
		default:
			late = append(late, info.ID)
			plan.DroppedPaths += info.Entries
		}
	}
	had, silent := n.hadBy(ctx, sp.Address, late, r.After, r.Ask)
	plan.Silent = silent
	for _, id := range had {
		plan.Keep = append(plan.Keep, id)
		plan.KeptSeeds++
		if info, err := n.Catalog.PublicationInfo(ctx, sp.Address, id); err == nil {
			plan.DroppedPaths -= info.Entries
		}
	}
	plan.Kept = len(plan.Keep)
	plan.Dropped = plan.Total - plan.Kept
	return plan, nil
}

// writer returns the key of a writer that the document names, by its name or as a whole.
func (n *Node) writer(a namespace.Address, name string) (nix.PublicKey, error) {
	policy, ok := n.Catalog.Policy(a)
	if !ok {
		return nix.PublicKey{}, fmt.Errorf("%w: %s has no document here yet", trust.ErrUntrusted, a.Name())
	}
	d, _ := policy.Document()
	for _, w := range d.Value().Writers {
		if w.Key.Name == name || w.Key.String() == name {
			return w.Key, nil
		}
	}
	for _, c := range d.Value().Closed {
		if c.Key.Name == name || c.Key.String() == name {
			return nix.PublicKey{}, &WriterExistsError{Name: c.Key.Name, Closed: true}
		}
	}
	return nix.PublicKey{}, fmt.Errorf("%w: %q in %s", ErrNoWriter, name, a.Name())
}

// hadBy are those of ids that one of the peers had by a time, as its receipt says. silent are the names of peers that did not
// answer for all of them: what they had is not known.
func (n *Node) hadBy(ctx context.Context, a namespace.Address, ids []namespace.ID, by time.Time, ask map[peer.ID]string) (had []namespace.ID, silent []string) {
	var (
		mu    sync.Mutex
		found = make(map[namespace.ID]bool)
		all   sync.WaitGroup
	)
	todo := make([]int, len(ids))
	for i := range todo {
		todo[i] = i
	}
	for who, name := range ask {
		all.Go(func() {
			r := n.peers.awaited(ctx, who, meetTime)
			err := errUnreached
			if r != nil {
				err = inParallel(ctx, offersAtOnce, todo, func(ctx context.Context, i int) error {
					mu.Lock()
					known := found[ids[i]]
					mu.Unlock()
					if known {
						return nil
					}
					receipt, refused, err := n.hadAlready(ctx, r, a, ids[i])
					switch {
					case err != nil:
						return err
					case refused != nil && refused.Why == transfer.RefusedNotHosted:
						return nil
					case refused != nil:
						return fmt.Errorf("it does not say: %s", refusalWords(*refused))
					}
					mu.Lock()
					defer mu.Unlock()
					found[ids[i]] = found[ids[i]] || !receipt.IsZero() && !receipt.Value().Time.After(by)
					return nil
				})
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				silent = append(silent, name)
			}
		})
	}
	all.Wait()
	for _, id := range ids {
		if found[id] {
			had = append(had, id)
		}
	}
	slices.Sort(silent)
	return had, silent
}

// hadAlready offers a publication to r, but waits for the receipt of one that r had already: what it has to fetch first it did not
// have in time, and may never get.
func (n *Node) hadAlready(ctx context.Context, r *remote, a namespace.Address, id namespace.ID) (trust.Receipt, *transfer.OfferUpdate, error) {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var lacks *time.Timer
	receipt, refused, err := n.offerTo(asking, r, a, id, OfferPatience, func(u transfer.OfferUpdate) {
		if lacks == nil && (u.State == transfer.OfferQueued || u.State == transfer.OfferHave) {
			lacks = time.AfterFunc(hadPatience, stop)
		}
	})
	if lacks != nil && !lacks.Stop() && ctx.Err() == nil {
		return trust.Receipt{}, nil, nil
	}
	return receipt, refused, err
}

var errUnreached = errors.New("not connected")

// Revoke closes a writer as planned: what the plan keeps stays by name, everything else by that key is void for ever,
// however it is dated. What the root countersigned of it is withdrawn with it.
func (n *Node) Revoke(ctx context.Context, alias string, root *nix.SecretKey, plan report.Revocation) (report.WriterChange, error) {
	sp, signer, err := n.rootOf(alias, root)
	if err != nil {
		return report.WriterChange{}, err
	}
	key, err := n.writer(sp.Address, plan.Key)
	if err != nil {
		return report.WriterChange{}, err
	}
	var dropped []namespace.ID
	for info, err := range n.Catalog.Publications(ctx, sp.Address) {
		if err != nil {
			return report.WriterChange{}, err
		}
		if info.Signer == key && !slices.Contains(plan.Keep, info.ID) {
			dropped = append(dropped, info.ID)
		}
	}
	countersigned, err := n.countersignatures(ctx, sp.Address, dropped)
	if err != nil {
		return report.WriterChange{}, err
	}
	list := &namespace.KeepList{Namespace: sp.Address, Publications: plan.Keep}
	closed := namespace.Closed{Key: key, None: len(plan.Keep) == 0}
	if !closed.None {
		closed.Keep = list.ID()
	}
	d, err := n.edit(ctx, sp.Address, signer, func(d *namespace.Document) ([]*namespace.KeepList, error) {
		d.Writers = slices.DeleteFunc(d.Writers, func(w namespace.Writer) bool { return w.Key == key })
		d.Closed = append(d.Closed, closed)
		withdraw(d, countersigned, "it countersigned what "+key.Name+" published")
		if closed.None {
			return nil, nil
		}
		return []*namespace.KeepList{list}, nil
	})
	if err != nil {
		return report.WriterChange{}, err
	}
	c := report.WriterChange{Schema: "flurry/writer/1", Alias: sp.Alias, Name: key.Name, Key: key.String(), Serial: d.Value().Serial,
		Dropped: len(dropped), DroppedPaths: plan.DroppedPaths, Kept: len(plan.Keep)}
	c.Have, c.Of = n.Spread(ctx, sp.Address)
	return c, nil
}

// withdraw adds withdrawals that are not there.
func withdraw(d *namespace.Document, ids []namespace.ID, reason string) {
	for _, id := range ids {
		if !slices.ContainsFunc(d.Withdrawn, func(w namespace.Withdrawal) bool { return w.Publication == id }) {
			d.Withdrawn = append(d.Withdrawn, namespace.Withdrawal{Publication: id, Reason: reason})
		}
	}
}

// Retract takes back a path, whoever of the namespace published it and with whatever content, or a publication by its id or
// the beginning of it: nobody is given it any more.
func (n *Node) Retract(ctx context.Context, alias string, root *nix.SecretKey, what, reason string) (report.Retraction, error) {
	sp, signer, err := n.rootOf(alias, root)
	if err != nil {
		return report.Retraction{}, err
	}
	r := report.Retraction{Schema: "flurry/retract/1", Alias: sp.Alias, What: what, Reason: reason, Publications: []string{}}
	change, err := n.retraction(ctx, sp.Address, &r)
	if err != nil {
		return r, err
	}
	d, err := n.edit(ctx, sp.Address, signer, func(d *namespace.Document) ([]*namespace.KeepList, error) { change(d); return nil, nil })
	if err != nil {
		return r, err
	}
	r.Serial = d.Value().Serial
	r.Have, r.Of = n.Spread(ctx, sp.Address)
	return r, nil
}

// retraction is what takes r.What back.
func (n *Node) retraction(ctx context.Context, a namespace.Address, r *report.Retraction) (func(*namespace.Document), error) {
	if p, err := nix.ParseStorePath(r.What); err == nil {
		return n.denial(ctx, a, p, r)
	}
	var found []catalog.PublicationInfo
	for info, err := range n.Catalog.Publications(ctx, a) {
		if err != nil {
			return nil, err
		}
		if id := info.ID.String(); len(r.What) >= 8 && len(r.What) <= len(id) && id[:len(r.What)] == r.What {
			found = append(found, info)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: %d publications of %s have an id that begins with %q", ErrNotHere, len(found), a.Name(), r.What)
	}
	ids := []namespace.ID{found[0].ID}
	more, err := n.countersignatures(ctx, a, ids)
	if err != nil {
		return nil, err
	}
	r.Publications, r.Paths = []string{found[0].ID.String()}, found[0].Entries
	return func(d *namespace.Document) { withdraw(d, append(ids, more...), r.Reason) }, nil
}

// publication is the text of a publication, whatever it counts for.
func (n *Node) publication(ctx context.Context, a namespace.Address, id namespace.ID) (*namespace.Publication, error) {
	raw, err := n.Catalog.RawPublication(ctx, a, id)
	if err != nil {
		return nil, err
	}
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return nil, err
	}
	return namespace.ParsePublication(note.Text)
}

// denial denies every content that is published for p.
func (n *Node) denial(ctx context.Context, a namespace.Address, p nix.StorePath, r *report.Retraction) (func(*namespace.Document), error) {
	// The texts are read, all of them: what has expired, or counts from a later time on, may come back.
	var denied []namespace.Denial
	for info, err := range n.Catalog.Publications(ctx, a) {
		if err != nil {
			return nil, err
		}
		if info.Entries == 0 || info.Standing.State == trust.Refused {
			continue
		}
		text, err := n.publication(ctx, a, info.ID)
		if errors.Is(err, catalog.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range text.Entries {
			d := namespace.Denial{Path: p.Hash(), NarHash: text.Entries[i].NarHash, Reason: r.Reason}
			if text.Entries[i].Path == p && !slices.Contains(denied, d) {
				denied = append(denied, d)
			}
		}
	}
	if policy, ok := n.Catalog.Policy(a); ok { // what was denied before is not taken back again
		if d, ok := policy.Document(); ok {
			denied = slices.DeleteFunc(denied, func(x namespace.Denial) bool {
				return slices.ContainsFunc(d.Value().Denied, func(o namespace.Denial) bool { return o.Path == x.Path && o.NarHash == x.NarHash })
			})
		}
	}
	if len(denied) == 0 {
		if policy, ok := n.Catalog.Policy(a); ok {
			if d, ok := policy.Document(); ok {
				for _, o := range d.Value().Denied {
					if o.Path == p.Hash() {
						return nil, fmt.Errorf("%w: %s took %s back already: %s", ErrNotHere, a.Name(), p, o.Reason)
					}
				}
			}
		}
		return nil, fmt.Errorf("%w: %s has not published %s", ErrNotHere, a.Name(), p)
	}
	r.Paths = 1
	return func(d *namespace.Document) {
		for _, one := range denied {
			if !slices.ContainsFunc(d.Denied, func(o namespace.Denial) bool { return o.Path == one.Path && o.NarHash == one.NarHash }) {
				d.Denied = append(d.Denied, one)
			}
		}
	}, nil
}
