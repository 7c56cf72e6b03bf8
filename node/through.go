package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/store"
	"github.com/flurry-nix/flurry/trust"
)

// A through brings one NAR of an upstream namespace, from peers or from its origin, for all who read it meanwhile, and keeps it as chunks. It runs under
// the node's context and goes on when its readers have left, since the next one comes soon. Bytes leave as they arrive, but the
// last 64 KiB, and all of a small NAR, only when NarHash has matched.
//
// The last throughWindow bytes are in memory. Whoever has fallen behind them reads on from where all of it is put aside until it
// is taken into the store or, where there is no room for that, from the store when all is there.
type through struct {
	node *Node
	key  throughKey
	v    trust.Verified

	mu      sync.Mutex
	blocks  []*block
	start   int64 // of the first block, in the NAR
	end     int64 // of the last one
	readers map[*throughReader]int64
	aside   *scratch       // where all that came is; nil: it goes into the store as it comes
	proven  bool           // the NAR ended, and its hash matched: all of it may leave
	ended   bool           // nothing more is done
	kept    trust.Verified // it with its body, if it was kept; of one that ended
	err     error          // why not all of it may leave
	wanted  bool           // somebody opened it: it was not only fetched ahead
	coming  bool           // and nobody has begun to read it
	wake    chan struct{}  // closed and replaced on every change
}

type throughKey struct {
	address namespace.Address
	path    nix.PathHash
}

// throughReader is one who reads, and wants what lies before to.
type throughReader struct {
	to   int64
	lent *block // what it writes now, of what is in memory
	own  []byte // room for what it reads from where it is put aside
}

// pullThrough returns the running through of v, or starts one. coming: the caller is about to read it.
func (n *Node) pullThrough(v trust.Verified, coming bool) (*through, error) {
	key := throughKey{v.Address(), v.Path().Hash()}
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.throughs[key]; t != nil {
		return t, nil
	}
	t := &through{node: n, key: key, v: v, wanted: coming, coming: coming, readers: make(map[*throughReader]int64), wake: make(chan struct{})}
	if !n.tasks.Go(t.run) {
		return nil, ErrOffline
	}
	n.throughs[key] = t
	return t, nil
}

// passing is the through of v that runs or whose NAR is put aside, nil if there is none.
func (n *Node) passing(v trust.Verified) *through {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.throughs[throughKey{v.Address(), v.Path().Hash()}]
	if t == nil || t.v.Entry().NarHash != v.Entry().NarHash {
		return nil
	}
	return t
}

func (t *through) size() int64 { return int64(t.v.Entry().NarSize) }

// want notes that somebody opened it.
func (t *through) want() *through {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted = true
	return t
}

// tell is called with mu held.
func (t *through) tell() {
	close(t.wake)
	t.wake = make(chan struct{})
}

// run fetches the NAR, once.
func (t *through) run(ctx context.Context) {
	kept, err := t.fetch(ctx, true)
	if errors.Is(err, errHearsay) && t.restart() {
		kept, err = t.fetch(ctx, false)
	}
	t.node.arrived(t.key, err == nil)
	t.mu.Lock()
	proven, wanted := t.proven, t.wanted
	t.mu.Unlock()
	switch {
	case err == nil || ctx.Err() != nil:
	case proven:
		t.node.Log.Warn("what came from an origin is not kept", "path", t.v.Path().Base(), "err", err)
		err = nil
	case !wanted:
		t.node.Log.Debug("what Nix would ask for next does not come", "path", t.v.Path().Base(), "err", err)
	default:
		t.failed(err)
	}
	t.node.mu.Lock()
	delete(t.node.throughs, t.key)
	t.node.mu.Unlock()
	t.mu.Lock()
	t.kept, t.ended = kept, true
	if !t.proven {
		t.err = cmp.Or(err, errEnded)
	}
	t.spare()
	t.tell()
	t.mu.Unlock()
	t.letGo(ctx)
}

// letGo gives up what was put aside, when nobody reads it any more who could not read on elsewhere.
func (t *through) letGo(ctx context.Context) {
	t.mu.Lock()
	aside := t.aside
	for aside != nil && t.err == nil && t.kept.IsZero() && len(t.readers) > 0 && ctx.Err() == nil {
		wake := t.wake
		t.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
		}
		t.mu.Lock()
	}
	t.mu.Unlock()
	if aside == nil {
		return
	}
	if err := aside.close(); err != nil {
		t.node.Log.Warn("what was put aside is not given up", "err", err)
	}
}

// prove lets all of it leave.
func (t *through) prove() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.proven = true
	t.spare()
	t.tell()
}

// spare lets go what is in memory when nobody reads it, and who comes can read elsewhere. It is called with mu held.
func (t *through) spare() {
	if len(t.readers) == 0 && (t.proven && t.aside != nil || !t.kept.IsZero()) {
		t.forget()
	}
}

// forget lets go what is in memory. It is called with mu held.
func (t *through) forget() {
	for _, b := range t.blocks {
		t.node.blocks.drop(b)
	}
	t.start, t.blocks = t.end, nil
}

// failed remembers for a while that the path is not to be had, so that Nix, which asks again for the rest, goes elsewhere at once.
func (t *through) failed(err error) {
	n := t.node
	defer n.revision.Add(1) // what Nix was told of it does not count any more
	u := n.upstreams.known(t.key.address)
	if u == nil {
		return
	}
	if errors.Is(err, errRebuilt) {
		n.Log.Info("an origin has another build of a path by now", "namespace", t.key.address.Name(), "path", t.v.Path().Base())
		return
	}
	u.setAbsent(t.key.path, n.Now().Add(absentMemory))
	u.holders.setVain(t.key.path, n.Now().Add(absentMemory), true)
	if !errors.Is(err, ErrWrongNar) && !errors.Is(err, ErrNotHere) {
		u.breaker.failed(n.Now())
	}
	n.Log.Warn("neither peers nor the origin gave a whole NAR", "namespace", t.key.address.Name(), "path", t.v.Path().Base(), "err", err)
}

// errHearsay: what peers said that they have is something else. Nothing came from the origin.
var errHearsay = fmt.Errorf("%w, as peers had it", ErrWrongNar)

// restart begins anew if no reader was given anything yet.
func (t *through) restart() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.size() > wholeFirst {
		return false
	}
	t.forget()
	t.start, t.end = 0, 0
	if t.aside != nil {
		t.aside.restart()
	}
	return true
}

// fetch brings the NAR, checks it, lets it leave, and keeps it; it returns the entry with the body then. The hash is taken here,
// beside the splitter's, so that nobody waits for the chunks to be compressed and on the disk. trusting: peers are asked for it.
func (t *through) fetch(ctx context.Context, trusting bool) (kept trust.Verified, err error) {
	body, err := t.supply(ctx, trusting)
	if err != nil {
		return kept, err
	}
	defer body.Close()
	if t.putsAside(ctx) {
		return t.fetchAside(ctx, body)
	}
	return t.takeIn(ctx, func(batch store.Batch) (trust.Verified, error) { return t.take(ctx, body, batch) })
}

// putsAside reports whether the NAR is put aside at first.
func (t *through) putsAside(ctx context.Context) bool {
	t.mu.Lock()
	aside := t.aside
	t.mu.Unlock()
	if aside == nil {
		if aside = t.node.scratch(ctx, t.size()); aside == nil {
			return false
		}
		t.mu.Lock()
		t.aside = aside
		t.mu.Unlock()
	}
	return true
}

// fetchAside brings the NAR, lets it leave when its hash has matched, and takes it into the store when it is quiet.
func (t *through) fetchAside(ctx context.Context, body *supply) (kept trust.Verified, err error) {
	sum := sha256.New()
	if err := t.copy(ctx, sum, body); err != nil {
		return kept, err
	}
	if got := nix.NarHash(sum.Sum(nil)); got != t.v.Entry().NarHash {
		return kept, body.wrong(got)
	}
	t.prove()
	t.node.arrived(t.key, true)
	if t.aside == nil {
		return kept, store.ErrFull
	}
	body.Close() // who gave it is not needed any more
	end, err := t.node.scratches.wait(ctx, t.node.Now)
	if err != nil {
		return kept, err
	}
	defer end()
	if kept, placed, err := t.placeAside(ctx); err != nil || placed {
		return kept, err
	}
	return t.takeIn(ctx, func(batch store.Batch) (trust.Verified, error) { return t.takeAside(ctx, batch, false) })
}

// placeAside has what Nix has imported meanwhile served from /nix/store, if it may be: then its chunks need not be compressed and
// put into the store, from where they would go soon. They are known, and so is the body. Not placed: nothing is lost, all of it is
// aside.
func (t *through) placeAside(ctx context.Context) (kept trust.Verified, placed bool, err error) {
	n := t.node
	if n.InPlace == nil || n.worthOf(t.key.address) != worthCached || n.places.isBad(t.v.Path()) {
		return kept, false, nil
	}
	valid, err := n.places.valid(ctx, []trust.Verified{t.v})
	if err != nil {
		n.places.say(ctx, err)
		return kept, false, nil
	}
	if info, ok := valid[t.v.Path()]; !ok || info.NarHash != t.v.Entry().NarHash {
		return kept, false, nil
	}
	kept, err = t.takeIn(ctx, func(batch store.Batch) (trust.Verified, error) { return t.takeAside(ctx, batch, true) })
	if err != nil {
		return kept, false, err
	}
	if _, err := n.places.placeOne(ctx, kept); err != nil {
		return kept, false, err
	}
	return kept, n.InPlace.Placed(kept.Entry().Body), nil
}

// spoil goes on without putting aside what comes: it passes, and is not kept. False: there is nobody to pass it to.
func (t *through) spoil(why error) bool {
	t.mu.Lock()
	aside, wanted := t.aside, t.wanted
	t.aside = nil
	t.mu.Unlock()
	t.node.Log.Warn("what comes from an origin cannot be put aside", "path", t.v.Path().Base(), "err", errors.Join(why, aside.close()))
	return wanted
}

// takeAside puts the body of what was put aside into batch, and its chunks unless they lie elsewhere.
func (t *through) takeAside(ctx context.Context, batch store.Batch, elsewhere bool) (kept trust.Verified, err error) {
	s, stored := t.splitter(ctx, batch, 1, elsewhere) // the other processors are for who comes meanwhile
	defer s.Abort()
	room := t.node.blocks.get(throughBlock)
	defer t.node.blocks.put(room)
	if _, err := io.Copy(s, t.aside.reader(room)); err != nil {
		return kept, err
	}
	split, err := s.Close()
	if err != nil {
		return kept, err
	}
	if e := t.v.Entry(); split.NarHash != e.NarHash {
		return kept, fmt.Errorf("%w: %s: what was put aside came back otherwise", ErrWrongNar, e.Path.Base())
	}
	return t.keep(ctx, batch, split, stored.failed())
}

// splitter cuts the NAR into chunks, and puts them into batch unless they lie elsewhere.
func (t *through) splitter(ctx context.Context, batch store.Batch, workers int, elsewhere bool) (*content.Splitter, *mayFail) {
	in := &intake{node: t.node, codec: t.node.later.codec, batch: batch, pool: t.node.pool}
	e := t.v.Entry()
	stored := &mayFail{put: func(id content.ChunkID, data []byte) error {
		if elsewhere {
			return nil
		}
		return in.chunk(ctx, id, data)
	}}
	return content.NewSplitter(ctx, content.SplitOptions{Candidates: candidatesOf(e.Path, e.References), Pool: in.pool, Put: stored.chunk, Workers: workers}), stored
}

// takeIn has what take puts into a batch made durable, soon.
func (t *through) takeIn(ctx context.Context, take func(store.Batch) (trust.Verified, error)) (kept trust.Verified, err error) {
	batch, err := t.node.Store.Begin(ctx)
	if err != nil {
		return kept, err
	}
	kept, err = take(batch)
	if err != nil {
		return kept, errors.Join(err, batch.Close())
	}
	t.node.later.commit(t.node, batch)
	return kept, nil
}

// take puts the NAR's chunks into batch.
func (t *through) take(ctx context.Context, body *supply, batch store.Batch) (kept trust.Verified, err error) {
	e := t.v.Entry()
	s, stored := t.splitter(ctx, batch, 0, false)
	defer s.Abort()
	sum := sha256.New()
	if err := t.copy(ctx, io.MultiWriter(sum, s), body); err != nil {
		return kept, err
	}
	if got := nix.NarHash(sum.Sum(nil)); got != e.NarHash {
		return kept, body.wrong(got)
	}
	t.prove()
	split, err := s.Close()
	if err != nil {
		return kept, err
	}
	return t.keep(ctx, batch, split, stored.failed())
}

// errRebuilt: the origin has another build of the path by now, and the catalog, too.
var errRebuilt = fmt.Errorf("%w: the origin has another build of it now", ErrNotHere)

// open asks the origin for the NAR, and first where it is, if that is not known any more. When it is not there any more, the origin is asked
// where it is now.
func (t *through) open(ctx context.Context) (io.ReadCloser, error) {
	sp, ok := t.node.spaces.get(t.key.address)
	if !ok {
		return nil, ErrNotHere
	}
	u := t.node.upstreams.of(sp)
	if u == nil {
		return nil, ErrNotHere
	}
	known := u.info(t.key.path)
	if known != nil && t.isOf(known) {
		nar, err := u.nar(ctx, known, t.node.Now)
		if !errors.Is(err, ErrNotHere) {
			return nar, err
		}
	}
	info, err := u.origin.Info(ctx, t.key.path)
	if err != nil {
		return nil, err
	}
	if !t.isOf(info) {
		if err := t.node.keepNarInfo(ctx, u, info); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotHere, err)
		}
		return nil, errRebuilt
	}
	u.setInfo(info, t.node.Now())
	if known != nil && known.URL == info.URL && known.Compression == info.Compression {
		return nil, fmt.Errorf("%w: the origin has a narinfo of %s, and no NAR", ErrNotHere, t.v.Path().Base())
	}
	return u.nar(ctx, info, t.node.Now)
}

// isOf reports whether info is of the NAR that is fetched.
func (t *through) isOf(info *nix.NarInfo) bool {
	return info.NarHash == t.v.Entry().NarHash && info.NarSize == t.v.Entry().NarSize
}

// copy hands every block to the splitter and to the readers.
func (t *through) copy(ctx context.Context, s io.Writer, body io.Reader) error {
	for left := t.size(); ; {
		data := t.node.blocks.get(min(throughBlock, max(left, 1)))
		got, err := io.ReadFull(body, data)
		if got > 0 {
			if _, err := s.Write(data[:got]); err != nil {
				return err
			}
			if t.aside != nil {
				if err := t.aside.write(data[:got], t.size()-left); err != nil && !t.spoil(err) {
					return err
				}
			}
			if err := t.add(ctx, data[:got]); err != nil {
				return err
			}
			left -= int64(got)
		} else {
			t.node.blocks.put(data)
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF && left == 0:
			if left != 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// add makes data readable, of which it becomes the owner, and waits while the foremost reader is far behind, but not for ever: it may
// have stopped reading.
func (t *through) add(ctx context.Context, data []byte) error {
	patience := time.NewTimer(throughPatience)
	defer patience.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blocks, t.end = append(t.blocks, &block{data: data, users: 1}), t.end+int64(len(data))
	for t.end-t.start > throughWindow {
		t.start += int64(len(t.blocks[0].data))
		t.node.blocks.drop(t.blocks[0])
		t.blocks = t.blocks[1:]
	}
	t.tell()
	for t.aside == nil && t.ahead() > throughWindow/2 {
		wake := t.wake
		t.mu.Unlock()
		select {
		case <-wake:
			t.mu.Lock()
		case <-patience.C:
			t.mu.Lock()
			t.coming = false
			return nil
		case <-ctx.Done():
			t.mu.Lock()
			return ctx.Err()
		}
	}
	return nil
}

// ahead is how much more has come than the foremost reader has taken, or is about to take; 0 if nobody reads. Whoever has fallen behind what is in memory waits
// for the end.
func (t *through) ahead() int64 {
	foremost := int64(-1)
	for r, at := range t.readers {
		switch {
		case at >= r.to:
			return 0 // it only waits for the end
		case at >= t.start:
			foremost = max(foremost, at)
		}
	}
	switch {
	case foremost >= 0:
		return t.end - foremost
	case t.coming:
		return t.end
	}
	return 0
}

// keep puts the body, too, and makes the entry one that has it.
func (t *through) keep(ctx context.Context, batch store.Batch, split content.Split, lost error) (trust.Verified, error) {
	if lost != nil {
		return trust.Verified{}, lost
	}
	n := t.node
	raw := split.Body.Append(nil)
	id := split.Body.ID()
	if err := store.Receive(ctx, batch, n.Codec, store.BodyKey(id), raw); err != nil {
		return trust.Verified{}, err
	}
	e := *t.v.Entry()
	e.Body, e.Slots = id, split.Slots
	policy := n.upstreamPolicy(t.key.address)
	v, err := policy.Recall(&e, namespace.ID{}, t.key.address.Key())
	if err != nil {
		return trust.Verified{}, err
	}
	if err := n.Catalog.Keep(ctx, v); err != nil {
		return trust.Verified{}, err
	}
	if u := n.upstreams.known(t.key.address); u != nil {
		u.holders.forget(t.key.path)
	}
	return v, n.Catalog.MarkProven(ctx, v)
}

// writeRange writes n bytes of the NAR from off to w.
func (t *through) writeRange(ctx context.Context, w io.Writer, off, n int64) error {
	r := &throughReader{to: off + n}
	t.mu.Lock()
	t.readers[r], t.coming = off, false
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.handBack(r)
		delete(t.readers, r)
		t.spare()
		t.tell()
		if r.own != nil {
			t.node.blocks.put(r.own)
		}
	}()
	for at := off; at < r.to; {
		data, behind, err := t.next(ctx, r, at)
		switch {
		case err != nil:
			return err
		case behind:
			return t.readKept(ctx, w, at, r.to-at)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		at += int64(len(data))
		t.mu.Lock()
		t.handBack(r)
		t.readers[r] = at
		t.tell()
		t.mu.Unlock()
	}
	return nil
}

// handBack ends what a reader was lent. It is called with mu held.
func (t *through) handBack(r *throughReader) {
	if r.lent != nil {
		t.node.blocks.drop(r.lent)
		r.lent = nil
	}
}

// next waits for bytes at a place and returns them, to be read only, and before r asks for the next. behind: they have gone from memory, and all is in the
// store.
func (t *through) next(ctx context.Context, r *throughReader, at int64) (data []byte, behind bool, err error) {
	for {
		t.mu.Lock()
		wake, ended, err := t.wake, t.ended, t.err
		leaves := min(t.leaves(), r.to)
		if err == nil && at >= t.start {
			data = t.lend(r, at, leaves)
		}
		fell, aside := at < t.start, t.aside
		t.mu.Unlock()
		if err == nil && fell && aside != nil && at < leaves {
			aside.all.touch(t.node.Now())
			if r.own == nil {
				r.own = t.node.blocks.get(throughBlock)
			}
			if data, err = aside.block(r.own, at, leaves); errors.Is(err, errScratchClosed) {
				data, err = nil, nil // it is in the store by now
			}
		}
		switch {
		case err != nil:
			return nil, false, err
		case len(data) > 0:
			return data, false, nil
		case ended && fell:
			return nil, true, nil
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-wake:
		}
	}
}

// leaves is up to where readers may have it. It is called with mu held.
func (t *through) leaves() int64 {
	switch {
	case t.proven:
		return t.end
	case t.size() <= wholeFirst:
		return 0
	}
	return min(t.end, t.size()-withheld)
}

// lend lends r what one block has from at on, before to. It is called with mu held.
func (t *through) lend(r *throughReader, at, to int64) []byte {
	start := t.start
	for _, b := range t.blocks {
		if at < start+int64(len(b.data)) {
			if to <= at {
				return nil
			}
			b.users++
			r.lent = b
			return b.data[at-start : min(to-start, int64(len(b.data)))]
		}
		start += int64(len(b.data))
	}
	return nil
}

// readKept reads on from the store.
func (t *through) readKept(ctx context.Context, w io.Writer, off, n int64) error {
	t.mu.Lock()
	v := t.kept
	t.mu.Unlock()
	if v.IsZero() {
		return fmt.Errorf("%w: %s came from the origin, and could not be kept", ErrNoProvider, t.v.Path().Base())
	}
	nar, err := t.node.open(ctx, v)
	if err != nil {
		return err
	}
	return nar.WriteRange(ctx, w, off, n)
}
