package disk

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/flurry-nix/flurry/internal/durable"
	"github.com/flurry-nix/flurry/store"
)

// pack is a pack that is, or was, appended to since the store was opened.
//
// One writer at a time appends (see writer); any number of batches settle. end
// only grows, and every byte before it belongs to whole records.
type pack struct {
	id      uint32
	mark    mark
	index   *index
	pending *pending

	mu       sync.Mutex
	file     durable.File  // nil once the pack is sealed and settled
	end      int64         // bytes of whole records, header included
	settled  int64         // fsynced and indexed up to here
	backlog  []entry       // records from settled to end, in order
	settling chan struct{} // closed when the settling that is under way ends; nil when none is
	sealed   bool          // nothing more is appended
	failed   error         // what was between settled and end is lost
}

// errPackFailed is the part of the message that batches see.
var errPackFailed = errors.New("what was put is lost")

// append writes a record, whose bytes are whole. It is called by the pack's
// writer alone. After an error the pack is as it was, or sealed.
func (p *pack) append(rec record, whole []byte) (end int64, err error) {
	p.mu.Lock()
	off, file := p.end, p.file
	p.mu.Unlock()

	if _, err := file.WriteAt(whole, off); err != nil {
		p.rollBack(file, off)
		return 0, writeError(p.id, err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return 0, p.failed
	}
	e := entry{key: rec.key, at: rec.at(p.id, off)}
	p.end = off + rec.size()
	p.backlog = append(p.backlog, e)
	p.pending.add(e)
	return p.end, nil
}

// rollBack cuts off what a failed write left. If that fails too, nothing more
// may follow it.
func (p *pack) rollBack(file durable.File, off int64) {
	if err := file.Truncate(off); err != nil {
		p.seal()
	}
}

// seal ends appending.
func (p *pack) seal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sealed = true
	p.closeIfDone()
}

// closeIfDone needs mu.
func (p *pack) closeIfDone() {
	if p.sealed && p.file != nil && p.settling == nil && (p.settled == p.end || p.failed != nil) {
		p.file.Close() // it is synced, or given up
		p.file = nil
	}
}

// done tells whether the pack will neither be appended to nor settled again.
func (p *pack) done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sealed && p.file == nil
}

// writable tells whether n more bytes may be appended within max.
func (p *pack) writable(n, max int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.sealed && p.failed == nil && (p.end+n <= max || p.end == packHeader)
}

// behind tells whether so much waits to be settled that Put has to see to it.
func (p *pack) behind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.backlog) >= maxBacklog || p.end-p.settled >= maxBacklogBytes
}

// settle returns once everything before upTo is fsynced and indexed. Whoever
// comes while a settling is under way waits for it, and then one of those who
// waited fsyncs for all of them.
func (p *pack) settle(ctx context.Context, upTo int64) error {
	for {
		p.mu.Lock()
		if p.settled >= upTo {
			p.mu.Unlock()
			return nil
		}
		if p.failed != nil {
			p.mu.Unlock()
			return p.failed
		}
		if other := p.settling; other != nil {
			p.mu.Unlock()
			select {
			case <-other:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		p.settling = make(chan struct{})
		file, end, entries := p.file, p.end, p.backlog
		p.mu.Unlock()

		err := file.Sync()
		if err != nil {
			err = writeError(p.id, err)
		} else {
			err = p.index.add(p.id, entries, end)
		}
		p.finish(end, entries, err)
	}
}

// finish ends a settling.
func (p *pack) finish(end int64, entries []entry, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.settling)
	p.settling = nil
	if err != nil {
		p.giveUp(err)
		return
	}
	p.settled = end
	if p.failed == nil { // else the backlog was given up meanwhile
		p.backlog = append([]entry(nil), p.backlog[len(entries):]...)
		p.pending.drop(entries)
	}
	p.closeIfDone()
}

// fail gives up what is not settled.
func (p *pack) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil && p.settled < p.end {
		p.giveUp(err)
	}
}

// giveUp needs mu. The bytes may be on the disk all the same; opening the store
// again finds them then. Here they count for nothing, since a second fsync
// would say nothing about what the first has lost.
func (p *pack) giveUp(err error) {
	p.failed = fmt.Errorf("%w: %w", errPackFailed, err)
	p.sealed = true
	p.pending.drop(p.backlog)
	p.backlog = nil
	p.closeIfDone()
}

// writeError says what went wrong with a pack, and that the store is full when
// that is it.
func writeError(id uint32, err error) error {
	if durable.IsFull(err) {
		return fmt.Errorf("write pack %s: %w", packName(id), &store.FullError{Cause: err})
	}
	return fmt.Errorf("write pack %s: %w", packName(id), err)
}

// settleAll settles what there is.
func (p *pack) settleAll(ctx context.Context) error {
	p.mu.Lock()
	end, failed := p.end, p.failed
	p.mu.Unlock()
	if failed != nil {
		return nil // those whom it concerns know
	}
	return p.settle(ctx, end)
}
