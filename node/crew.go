package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/transfer"
)

// crew are the goroutines that fetch for one download: claimsEach for each of at most providersAtOnce peers.
type crew struct {
	download *download
	batch    store.Batch
	workers  sync.WaitGroup

	mu     sync.Mutex
	at     map[*remote]*provider
	sparse map[*remote]*provider // those that have little of it: they are asked again when nobody else is left
}

// provider is what a download knows of one peer that it asks.
type provider struct {
	workers int // guarded by crew.mu

	// What follows is guarded by download.mu.
	lacks map[int]bool // chunks that it said it does not have
	vain  int          // claims in a row of which it had nothing
}

func (c *crew) wait() { c.workers.Wait() }

func (c *crew) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := 0
	for _, p := range c.at {
		all += p.workers
	}
	return all
}

// hire puts workers on the best peers that have none.
func (c *crew) hire(ctx context.Context) {
	d := c.download
	for _, r := range d.node.peers.serving(d.key.address, &d.key.body) {
		c.mu.Lock()
		_, known := c.at[r]
		if c.sparse[r] != nil {
			known = true
		}
		room := len(c.at) < providersAtOnce
		p := &provider{workers: claimsEach, lacks: make(map[int]bool)}
		if !known && room {
			c.at[r] = p
		}
		c.mu.Unlock()
		if known || !room {
			continue
		}
		c.employ(ctx, r, p)
	}
}

func (c *crew) employ(ctx context.Context, r *remote, p *provider) {
	for range claimsEach {
		c.workers.Go(func() { c.work(ctx, r, p) })
	}
}

// recall puts workers on those that have little when nobody else is left: what is missing may be the little that they have.
func (c *crew) recall(ctx context.Context) {
	c.mu.Lock()
	if len(c.at) > 0 {
		c.mu.Unlock()
		return
	}
	again := c.sparse
	c.sparse = make(map[*remote]*provider)
	for r, p := range again {
		p.workers = claimsEach
		c.at[r] = p
	}
	c.mu.Unlock()
	c.download.mu.Lock()
	for _, p := range again {
		p.vain = 0
	}
	c.download.mu.Unlock()
	for r, p := range again {
		c.employ(ctx, r, p)
	}
}

// rest notes that r has little.
func (c *crew) rest(r *remote, p *provider) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sparse[r] = p
}

// giveUp notes of all who are asked that they do not have the body, for a while: they did not bring it. Those that bring nothing to
// anybody are asked for nothing else either.
func (c *crew) giveUp() {
	n := c.download.node
	for _, r := range c.asked() {
		if n.peers.hushed(r) {
			r.content.trip(n.Now())
		}
		n.peers.setAbsent(r, c.download.key.body)
	}
}

// asked are the peers that are asked now.
func (c *crew) asked() []*remote {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.at))
}

// hushed reports whether none of those that are asked brings anything any more.
func (c *crew) hushed() bool {
	all := c.asked()
	return len(all) > 0 && !slices.ContainsFunc(all, func(r *remote) bool { return !c.download.node.peers.hushed(r) })
}

func (c *crew) leave(r *remote) {
	c.mu.Lock()
	if c.at[r].workers--; c.at[r].workers == 0 {
		delete(c.at, r)
	}
	c.mu.Unlock()
	c.download.mu.Lock()
	c.download.tell()
	c.download.mu.Unlock()
}

// work claims and fetches from r until nothing is missing, r fails, or r has nothing of what is missing.
func (c *crew) work(ctx context.Context, r *remote, p *provider) {
	defer c.leave(r)
	d := c.download
	for ctx.Err() == nil {
		d.mu.Lock()
		missing, wake := d.missing, d.wake
		d.mu.Unlock()
		if missing == 0 {
			return
		}
		f := c.field(r, p)
		mine, hope := d.claim(p, f)
		if !hope {
			d.node.peers.setAbsent(r, d.key.body)
			return
		}
		if mine == nil {
			if !c.pause(ctx, r, wake) {
				return
			}
			continue
		}
		err := c.fetch(ctx, r, mine)
		absent := errors.Is(err, transfer.ErrAbsent)
		more := absent && d.missed(mine)
		d.release(mine)
		switch {
		case errors.Is(err, errOvertaken), more: // it may have other chunks
			continue
		case absent:
			c.rest(r, p)
			return
		}
		if err != nil {
			if ctx.Err() == nil {
				d.node.Log.Debug("fetching failed", "peer", r.conn.Peer().Short(), "path", d.v.Path().Base(), "err", err)
				d.node.fault(r, d.key.body, err)
			}
			return
		}
	}
}

// pause waits until there may be something to claim, or somebody to overtake; false: the work is over.
func (c *crew) pause(ctx context.Context, r *remote, wake <-chan struct{}) bool {
	look := time.NewTimer(overtakeAfter / 2)
	defer look.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-r.gone:
		return false
	case <-wake:
	case <-c.download.node.peers.eases(r):
	case <-look.C:
	}
	return true
}

// field is what is known of the peers of the download, for p, which is r, to claim by.
func (c *crew) field(r *remote, p *provider) field {
	c.mu.Lock()
	at := maps.Clone(c.at)
	c.mu.Unlock()
	f := field{pace: make(map[*provider]*pace, len(at))}
	all, measured := 0.0, 0
	for r, p := range at {
		now := c.download.node.peers.pace(r)
		f.pace[p] = &now
		if now.rate > 0 {
			all += now.rate
			measured++
		}
	}
	mine := f.pace[p]
	f.room = mine.most - mine.asked
	f.share = 1 / float64(len(at))
	if measured == 0 {
		return f
	}
	mean := all / float64(measured) // which those that were never measured are taken to have
	own := mine.rate
	if own == 0 {
		own = mean
	}
	f.share = own / (all + mean*float64(len(at)-measured))
	f.others = all - mine.rate
	return f
}

// fetch asks r for the chunks of mine and takes in what comes.
func (c *crew) fetch(ctx context.Context, r *remote, mine *order) error {
	d := c.download
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.begin(mine, cancel)
	d.node.peers.ask(r, mine.size)
	raw := 0
	defer func() { d.node.peers.answered(r, mine.size-raw) }()
	err := r.conn.Chunks(ctx, d.key.address, d.key.body, ranges(mine.chunks), func(run transfer.Run) error {
		n, err := c.take(ctx, mine, run)
		d.node.stats.fetched.Add(uint64(n))
		d.node.peers.came(r, n)
		raw += n
		return err
	})
	if err != nil && errors.Is(context.Cause(ctx), errOvertaken) {
		return errOvertaken
	}
	return err
}

// ranges joins neighbouring indexes.
func ranges(indexes []int) []transfer.Range {
	var out []transfer.Range
	for _, i := range indexes {
		if last := len(out) - 1; last >= 0 && out[last].First+out[last].Count == uint32(i) {
			out[last].Count++
			continue
		}
		out = append(out, transfer.Range{First: uint32(i), Count: 1})
	}
	return out
}

// take checks every chunk of run against its id and puts it into the store; it returns the raw bytes taken.
func (c *crew) take(ctx context.Context, mine *order, run transfer.Run) (int, error) {
	chunks := c.download.body.body.Chunks
	if uint64(run.First)+uint64(run.Count) > uint64(len(chunks)) {
		return 0, lied(fmt.Errorf("run %d+%d is outside of a body of %d chunks", run.First, run.Count, len(chunks)))
	}
	frames, err := c.split(run, chunks[run.First:run.First+run.Count])
	if err != nil {
		return 0, lied(err)
	}
	raw := 0
	for k, f := range frames {
		i := int(run.First) + k
		data, err := store.ReceiveFrame(ctx, c.batch, c.download.node.Codec, store.ChunkKey(chunks[i].ID), f)
		switch {
		case err == nil:
			c.download.arrived(i, mine, data, true)
		case data != nil && ctx.Err() == nil: // the bytes are right, and the store did not take them
			if err := c.hold(ctx, i, mine, data); err != nil {
				return raw, err
			}
		case errors.Is(err, store.ErrCorrupt):
			return raw, lied(fmt.Errorf("chunk %d of body %s: %w", i, c.download.key.body, err))
		default:
			return raw, err
		}
		raw += len(data)
	}
	return raw, nil
}

// hold keeps chunk i in memory for a reader, once there is room; at once if a reader waits for it.
func (c *crew) hold(ctx context.Context, i int, mine *order, data []byte) error {
	d := c.download
	for {
		d.mu.Lock()
		full, wake := d.heldSize >= 2*heldBytes && d.wanted[i] == 0, d.wake
		d.mu.Unlock()
		if !full {
			d.arrived(i, mine, data, false)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}

// split gives one frame for each chunk of run: as the peer compressed it, if it sent a frame a chunk, else cut from the
// decoded run.
func (c *crew) split(run transfer.Run, chunks []content.Piece) ([]store.Frame, error) {
	total := 0
	for _, p := range chunks {
		total += int(p.Length)
	}
	if run.RawLength != total {
		return nil, fmt.Errorf("run %d+%d has %d raw bytes, its body says %d", run.First, run.Count, run.RawLength, total)
	}
	whole := store.Frame{Encoding: store.Encoding(run.Encoding), RawLength: total, Data: run.Data}
	if whole.Encoding == store.Zstd {
		if parts, err := transfer.SplitFrames(run.Data); err == nil && len(parts) == len(chunks) {
			frames := make([]store.Frame, len(parts))
			for k, part := range parts {
				frames[k] = store.Frame{Encoding: store.Zstd, RawLength: int(chunks[k].Length), Data: part}
			}
			return frames, nil
		}
	}
	raw, err := c.download.node.Codec.Decode(nil, whole)
	if err != nil {
		return nil, fmt.Errorf("run %d+%d: %w", run.First, run.Count, err)
	}
	frames := make([]store.Frame, len(chunks))
	for k, p := range chunks {
		frames[k] = store.Frame{Encoding: store.Raw, RawLength: int(p.Length), Data: raw[:p.Length]}
		raw = raw[p.Length:]
	}
	return frames, nil
}
