package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// A download brings the chunks of one body into the store from several peers at once. All readers of the body share it;
// it runs under the node's context, ends early when the last reader has left, and is durable when done is closed.
//
// Where the store takes nothing (disk reserve, quota) the chunks pass through memory, at most heldBytes of them.
type download struct {
	node *Node
	key  downloadKey
	v    trust.Verified
	body *parsedBody
	done chan struct{}
	stop context.CancelFunc

	mu       sync.Mutex
	scanned  bool
	state    []chunkState
	missing  int // chunks that are neither here nor held
	free     int // raw bytes of the chunks that are free
	orders   map[*order]bool
	asked    map[int][]*order // of each chunk that is claimed, by whom
	twins    twins
	from     int         // where claims begin: near the lowest chunk that a reader waits for
	wanted   map[int]int // how many readers wait for each chunk
	held     map[int][]byte
	heldSize int
	recent   recent // what came last, so that a reader close behind need not decode and check it again
	fresh    int    // raw bytes received since the last commit
	progress time.Time
	err      error         // set when the download gave up
	wake     chan struct{} // closed and replaced on every change
	readers  int
}

type downloadKey struct {
	address namespace.Address
	body    content.BodyID
}

// chunkState says where a chunk of a download is.
type chunkState byte

const (
	chunkFree    chunkState = iota // to be fetched
	chunkClaimed                   // asked of a peer
	chunkHere                      // in the store
	chunkHeld                      // in memory, waiting for a reader
	chunkTwin                      // has the bytes of an earlier chunk, and comes with it
)

// join returns the running download of body, or starts one. The caller must leave it.
func (n *Node) join(v trust.Verified, body *parsedBody) (*download, error) {
	key := downloadKey{v.Address(), body.id}
	n.mu.Lock()
	defer n.mu.Unlock()
	if d, ok := n.downloads[key]; ok && d.enter() {
		return d, nil
	}
	d := &download{node: n, key: key, v: v, body: body, done: make(chan struct{}), twins: findTwins(body.body.Chunks), state: make([]chunkState, len(body.body.Chunks)),
		orders: make(map[*order]bool), asked: make(map[int][]*order), held: make(map[int][]byte), wanted: make(map[int]int), wake: make(chan struct{}), readers: 1, progress: n.Now()}
	ctx, cancel, running := n.tasks.Context()
	if !running {
		return nil, ErrOffline
	}
	d.stop = cancel
	if !n.tasks.Go(func(context.Context) { defer cancel(); d.run(ctx) }) {
		cancel()
		return nil, ErrOffline
	}
	n.downloads[key] = d
	return d, nil
}

// downloading returns the running download of v, if there is one.
func (n *Node) downloading(v trust.Verified) *download {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.downloads[downloadKey{v.Address(), v.Entry().Body}]
}

func (d *download) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil || d.readers == 0 {
		return false
	}
	d.readers++
	return true
}

// leave ends a reader's interest. The last one to leave ends the download.
func (d *download) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.readers--; d.readers == 0 {
		d.stop()
	}
}

// tell is called with mu held.
func (d *download) tell() {
	close(d.wake)
	d.wake = make(chan struct{})
}

// wait returns when chunk i is here: with its bytes, for reading only, if they are in memory, else nil, and it is in the
// store.
func (d *download) wait(ctx context.Context, i int) ([]byte, error) {
	d.want(i)
	defer d.unwant(i)
	for {
		d.mu.Lock()
		if d.scanned {
			switch d.state[i] {
			case chunkHere:
				data := d.recent.get(i)
				d.mu.Unlock()
				return data, nil
			case chunkHeld:
				if data, ok := d.held[i]; ok {
					delete(d.held, i)
					d.heldSize -= len(data)
					d.tell()
					d.mu.Unlock()
					return data, nil
				}
				d.set(i, chunkFree) // another reader took it: once more
				d.missing++
				d.tell()
			}
			if i < d.from || d.state[d.from] == chunkHere {
				d.from = i
			}
		}
		err, wake := d.err, d.wake
		d.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-wake:
		}
	}
}

// want notes that a reader waits for chunk i: it is fetched first, and however little room there is.
func (d *download) want(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wanted[d.twins.first(i)]++; d.heldSize >= heldBytes {
		d.tell() // workers wait for room
	}
}

func (d *download) unwant(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.twins.first(i)
	if d.wanted[first]--; d.wanted[first] == 0 {
		delete(d.wanted, first)
	}
}

// run fetches what is missing until nothing is, nobody wants it any more, or nobody has it.
func (d *download) run(ctx context.Context) {
	defer d.end()
	batch, err := d.node.Store.Begin(ctx)
	if err != nil {
		d.fail(err)
		return
	}
	defer batch.Close()
	if err := d.scan(ctx, batch); err != nil {
		d.fail(err)
		return
	}
	if err := d.supervise(ctx, batch); err != nil {
		d.fail(err)
	}
	if err := keep(ctx, batch); err != nil {
		d.node.Log.Error("keeping a download failed", "path", d.v.Path().Base(), "err", err)
	}
}

// keep commits what was received, also when the readers are gone: the next one goes on from there, and a commit that is
// cut off takes with it all that the batch has.
func keep(ctx context.Context, batch store.Batch) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	return batch.Commit(ctx)
}

func (d *download) end() {
	d.fail(errEnded) // no effect on those whose chunks are here
	d.node.mu.Lock()
	if d.node.downloads[d.key] == d {
		delete(d.node.downloads, d.key)
	}
	d.node.mu.Unlock()
	close(d.done)
}

func (d *download) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
	d.tell()
}

// scan finds out which chunks are in the store. They belong to batch from then on.
func (d *download) scan(ctx context.Context, batch store.Batch) error {
	state := make([]chunkState, len(d.state))
	missing := 0
	for i, c := range d.body.body.Chunks {
		has, err := batch.Has(ctx, store.ChunkKey(c.ID))
		if err != nil {
			return err
		}
		if has {
			state[i] = chunkHere
		} else {
			missing++
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.missing, d.scanned = missing, true
	for i, s := range state {
		if first := d.twins.first(i); s == chunkFree && first != i && state[first] == chunkFree {
			s = chunkTwin
		}
		d.state[i] = chunkClaimed
		d.set(i, s)
	}
	d.tell()
	return nil
}

// supervise keeps workers on the best providers, commits now and then, and gives up when nobody delivers.
func (d *download) supervise(ctx context.Context, batch store.Batch) error {
	ctx, cancel := context.WithCancel(ctx)
	crew := &crew{download: d, batch: batch, at: make(map[*remote]*provider), sparse: make(map[*remote]*provider)}
	defer crew.wait()
	defer cancel()
	sought := false
	for {
		changed := d.node.peers.changes()
		d.mu.Lock()
		missing, wake, fresh, idle := d.missing, d.wake, d.fresh, d.node.Now().Sub(d.progress)
		if fresh >= commitEvery {
			d.fresh = 0
		}
		readers := d.readers
		d.mu.Unlock()
		if missing == 0 && (readers == 0 || !d.holding()) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if fresh >= commitEvery {
			if err := keep(ctx, batch); err != nil {
				return fmt.Errorf("keeping a download: %w", err)
			}
		}
		if missing > 0 {
			crew.hire(ctx)
			crew.recall(ctx)
		}
		switch alone := crew.size() == 0; {
		case missing == 0:
		case alone && idle > searchTime, idle > stallTime, idle > hushTime && crew.hushed():
			crew.giveUp()
			d.node.peers.setDeserted(d.key.address)
			return fmt.Errorf("%w: %s", ErrNoProvider, d.v.Path().Base())
		case !sought && (alone || idle > silentTime):
			sought = true
			d.node.tasks.Go(func(ctx context.Context) { d.node.seek(ctx, d.key.address, d.v.Path().Hash()) })
		}
		look := time.NewTimer(searchTime / 10)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-wake:
		case <-look.C:
		}
		look.Stop()
	}
}

// holding reports whether chunks wait in memory for readers.
func (d *download) holding() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.held) > 0
}

// lost notes that chunk i, which was held for here, is not: it is fetched.
func (d *download) lost(i int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state[i] == chunkHere {
		d.set(i, chunkFree)
		d.missing++
		d.tell()
	}
}

// peek returns chunk i, for reading only, if it came a moment ago.
func (d *download) peek(i int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.recent.get(i)
}

// arrived notes that chunk i came by c, and that it is in the store, or in memory alone. data is not changed any more.
func (d *download) arrived(i int, c *order, data []byte, stored bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.brought(i, c)
	if d.state[i] == chunkHere || d.state[i] == chunkHeld {
		return
	}
	d.progress = d.node.Now()
	d.settle(i, data, stored)
	for _, j := range d.twins.others[i] {
		if d.state[j] == chunkTwin {
			d.settle(j, data, stored)
		}
	}
	d.tell()
}

// settle notes where chunk i is from now on. It is called with mu held.
func (d *download) settle(i int, data []byte, stored bool) {
	d.missing--
	if stored {
		d.set(i, chunkHere)
		d.fresh += len(data)
		d.recent.put(i, data)
		return
	}
	d.set(i, chunkHeld)
	d.held[i] = data
	d.heldSize += len(data)
}

// twins are the chunks of a body that have the bytes of an earlier one: each comes with that one.
type twins struct {
	earlier map[int]int   // the first chunk with the same bytes, of those that are not the first
	others  map[int][]int // those, of the first
}

func findTwins(chunks []content.Piece) twins {
	t := twins{make(map[int]int), make(map[int][]int)}
	seen := make(map[content.ChunkID]int, len(chunks))
	for i, c := range chunks {
		if first, ok := seen[c.ID]; ok {
			t.earlier[i] = first
			t.others[first] = append(t.others[first], i)
			continue
		}
		seen[c.ID] = i
	}
	return t
}

// first is the first chunk with the bytes of chunk i.
func (t twins) first(i int) int {
	if first, ok := t.earlier[i]; ok {
		return first
	}
	return i
}

// recent keeps the chunks that came last, at most recentBytes of them.
type recent struct {
	byIndex map[int][]byte
	order   []int
	size    int
}

func (r *recent) get(i int) []byte { return r.byIndex[i] }

func (r *recent) put(i int, data []byte) {
	if r.byIndex == nil {
		r.byIndex = make(map[int][]byte)
	}
	r.byIndex[i] = data
	r.order = append(r.order, i)
	for r.size += len(data); r.size > recentBytes; {
		r.size -= len(r.byIndex[r.order[0]])
		delete(r.byIndex, r.order[0])
		r.order = r.order[1:]
	}
}
