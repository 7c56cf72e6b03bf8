package disk

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/store"
)

// collection is a store.Collection.
type collection struct {
	s    *Store
	once sync.Once
}

// StartCollection implements [store.Collector].
func (s *Store) StartCollection(ctx context.Context) (store.Collection, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if !s.leases.start() {
		return nil, store.ErrCollecting
	}
	return &collection{s: s}, nil
}

// Close implements [store.Collection].
func (c *collection) Close() error {
	c.once.Do(c.s.leases.stop)
	return nil
}

// Stored implements [store.Collector].
func (s *Store) Stored(ctx context.Context, k store.Key) (bytes int64, ok bool, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, false, err
	}
	defer s.leave()
	at, ok, err := s.locate(k)
	if err != nil || !ok {
		return 0, false, err
	}
	return at.size(), true, nil
}

// Room implements [store.Collector].
func (s *Store) Room(ctx context.Context) (store.Room, error) {
	st, err := s.Stats(ctx)
	return store.Room{Used: st.Bytes, Live: st.LiveBytes, Quota: st.Quota, Free: st.DiskFree, Reserve: st.Reserve}, err
}

// Sweep implements [store.Collection]. First it takes out of the index what is to go, page by page, and then it writes packs
// anew of which much is out of use (see rewrite.go).
func (c *collection) Sweep(ctx context.Context, fate func(store.Key) store.Fate, o store.SweepOptions) (store.Swept, error) {
	if o.DeadPart == 0 {
		o.DeadPart = deadPart
	}
	if o.DeadPart < 0 || o.DeadPart > 1 || o.KeepOrphans < 0 {
		return store.Swept{}, fmt.Errorf("sweep: DeadPart %v or KeepOrphans %v is out of range", o.DeadPart, o.KeepOrphans)
	}
	w := &sweep{s: c.s, fate: fate, o: o, gone: make(map[uint32]int64)}
	err := w.contents(ctx)
	if err == nil {
		err = w.rewrite(ctx)
	}
	if err != nil {
		err = fmt.Errorf("sweep: %w", err)
	}
	return w.swept, err
}

// sweep is one run of Sweep.
type sweep struct {
	s     *Store
	fate  func(store.Key) store.Fate
	o     store.SweepOptions
	swept store.Swept
	gone  map[uint32]int64 // bytes by pack that a dry run would have taken out of use
}

// step is one use of the store; Close waits for it.
func (w *sweep) step(ctx context.Context, do func() error) error {
	if err := w.s.enter(ctx); err != nil {
		return err
	}
	defer w.s.leave()
	return do()
}

// contents goes through the index.
func (w *sweep) contents(ctx context.Context) error {
	n, _ := w.s.index.totals()
	var total, done int64
	for _, of := range n.contents {
		total += of
	}
	for from := []byte{prefixContent}; from != nil; {
		err := w.step(ctx, func() error {
			page, next, err := w.s.index.page(from)
			if err != nil {
				return err
			}
			from = next
			done += int64(len(page))
			return w.page(page)
		})
		if err != nil {
			return err
		}
		if w.o.Progress != nil {
			w.o.Progress(min(done, total), total)
		}
	}
	return nil
}

// judged is what is to be done with a page of the index.
type judged struct {
	gone, keep   []entry
	mark, unmark []store.Key // as orphans, and no longer
}

// page sweeps what lies between two keys of the index.
func (w *sweep) page(page []entry) error {
	if len(page) == 0 {
		return nil
	}
	since, err := w.s.index.orphans(page[0].key, page[len(page)-1].key)
	if err != nil {
		return err
	}
	var j judged
	for _, e := range page {
		w.judge(&j, e, since)
	}
	count(&w.swept.KeptContents, &w.swept.KeptBytes, j.keep)
	l := w.s.leases
	l.sweeping.Lock()
	defer l.sweeping.Unlock()
	w.release(&j)
	if w.o.DryRun || len(j.gone)+len(j.mark)+len(j.unmark) == 0 {
		return nil
	}
	return w.s.index.sweep(j, w.o.Now)
}

// judge puts e where it belongs by its fate.
func (w *sweep) judge(j *judged, e entry, since map[store.Key]time.Time) {
	orphaned, marked := since[e.key]
	switch w.fate(e.key) {
	case store.Dead:
		j.gone = append(j.gone, e)
		return
	case store.Orphan:
		if w.o.KeepOrphans == 0 || marked && !orphaned.After(w.o.Now.Add(-w.o.KeepOrphans)) {
			j.gone = append(j.gone, e)
			return
		}
		if !marked || orphaned.After(w.o.Now) {
			j.mark = append(j.mark, e.key)
		}
		count(&w.swept.WaitingContents, &w.swept.WaitingBytes, []entry{e})
	default:
		if marked {
			j.unmark = append(j.unmark, e.key)
		}
	}
	j.keep = append(j.keep, e)
}

// release takes out of j.gone what a batch holds, and what was put anew and is not in the index yet, and counts the rest as
// out of use. It needs leases.sweeping for writing.
func (w *sweep) release(j *judged) {
	held := w.s.leases.held()
	j.gone = slices.DeleteFunc(j.gone, func(e entry) bool {
		if _, waits := w.s.pending.find(e.key); !waits && !held(e.key) {
			return false
		}
		one := []entry{e}
		count(&w.swept.HeldContents, &w.swept.HeldBytes, one)
		count(&w.swept.KeptContents, &w.swept.KeptBytes, one)
		return true
	})
	count(&w.swept.Contents, &w.swept.Bytes, j.gone)
	if w.o.DryRun {
		for _, e := range j.gone {
			w.gone[e.at.pack] += e.at.size()
		}
	}
}

// count adds entries to two sums.
func count(contents, bytes *int64, entries []entry) {
	*contents += int64(len(entries))
	for _, e := range entries {
		*bytes += e.at.size()
	}
}
