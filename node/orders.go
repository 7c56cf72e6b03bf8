package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// order is one question under way: chunks of a download that are asked of one peer.
type order struct {
	by     *provider
	chunks []int                   // in ascending order, but for one step back
	size   int                     // raw bytes of chunks
	left   int                     // how many of chunks nobody has brought; guarded by download.mu
	stop   context.CancelCauseFunc // ends the question
}

// errOvertaken says that others have brought what was asked of a peer.
var errOvertaken = errors.New("overtaken")

// field is what is known of the peers of one download, as one of them is about to be asked for more.
type field struct {
	room   int                 // raw bytes that may be asked of it now
	share  float64             // its part of what all of them bring, 0 to 1
	others float64             // raw bytes a second that the others bring; 0: not known, or there are none
	pace   map[*provider]*pace // of all of them
}

// pace is how much is under way from a peer, for all downloads, and how fast it is.
type pace struct {
	asked int
	most  int       // raw bytes that may be under way
	rate  float64   // raw bytes a second; 0: never measured
	since time.Time // when something came last, or was asked for when nothing was under way
}

// late is how long the peer will take for what is under way, or how much longer than for a whole run it has said nothing.
func (p *pace) late() time.Duration {
	if p == nil {
		return 0 // it is leaving
	}
	silent := time.Since(p.since)
	if p.rate > 0 {
		silent -= time.Duration(float64(min(p.asked, runRaw)) / p.rate * float64(time.Second))
	}
	return max(p.takes(0), silent)
}

// takes is how long the peer takes for what is asked of it and size more bytes; 0 when that is not known.
func (p *pace) takes(size int) time.Duration {
	if p == nil || p.rate == 0 {
		return 0
	}
	return time.Duration(float64(p.asked+size) / p.rate * float64(time.Second))
}

// claim takes chunks for p to bring, those that readers wait for first; while memory is full, only those. hope is false when
// p has nothing of what is missing. There may be hope and nothing to claim.
//
// Claims are a part of what is free, by p's part of the speed of all, and become smaller with it, so that all end at the
// same time. A slow peer is asked for what readers need last. Near the end a peer that would bring its chunks after the
// others have brought the rest is not asked; what was asked of a peer that is late all the same is asked of another one as
// well.
func (d *download) claim(p *provider, f field) (c *order, hope bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.missing == 0: // it came meanwhile
		return nil, true
	case d.free == 0:
		return d.overtake(p, f)
	case d.tooSlow(p, f):
		return nil, true
	}
	size := min(max(int(float64(d.free)*f.share/claimsEach), claimLeast), claimBytes, max(f.room, 1))
	c = &order{by: p}
	first, full := d.first(p), d.heldSize >= heldBytes
	if d.heldSize == 0 && p.vain == 0 && f.slow(p, claimLeast) {
		first = d.last(size)
	}
	ranges, previous := 0, -2
	for k := range d.state {
		i := (first + k) % len(d.state)
		if d.state[i] != chunkFree && d.state[i] != chunkClaimed || p.lacks[i] {
			continue
		}
		hope = true
		if d.state[i] != chunkFree || full && d.wanted[i] == 0 || f.room <= 0 {
			continue
		}
		if i != previous+1 {
			ranges++
		}
		if c.size >= size || ranges > claimRanges {
			break
		}
		previous = i
		d.set(i, chunkClaimed)
		c.size += d.length(i)
		c.chunks = append(c.chunks, i)
	}
	return d.enlist(c), hope
}

// slow reports whether another peer brings size raw bytes in less than half the time that p takes.
func (f field) slow(p *provider, size int) bool {
	own := f.pace[p].takes(size)
	for o, now := range f.pace {
		if o != p && now.rate > 0 && own > 2*now.takes(size) {
			return true
		}
	}
	return false
}

// tooSlow reports whether the others bring all that is free before p, which is slow, surely brings anything: what it is
// asked may compress half as well as what was measured. It is called with mu held.
func (d *download) tooSlow(p *provider, f field) bool {
	if f.others == 0 || d.node.Now().Sub(d.progress) > overtakeAfter {
		return false
	}
	least := min(claimLeast, d.free)
	return 2*f.pace[p].takes(least).Seconds() > float64(d.free)/f.others && f.slow(p, least)
}

// overtake takes for p a part of what was asked of one other peer that is late: that needs twice as long as p, or is
// silent. It is the part that comes last, so that the two meet, and little comes from both. It is called with mu
// held, when nothing is free.
func (d *download) overtake(p *provider, f field) (*order, bool) {
	hope := false
	var mine *order
	var most time.Duration
	for late := range d.orders {
		c := &order{by: p}
		for _, i := range slices.Backward(late.chunks) {
			if d.state[i] != chunkClaimed || p.lacks[i] {
				continue
			}
			hope = true
			if late.by != p && len(d.asked[i]) == 1 && c.size < claimLeast {
				c.chunks = append(c.chunks, i)
				c.size += d.length(i)
			}
		}
		delay := f.pace[late.by].late()
		if len(c.chunks) > 0 && f.room > 0 && delay > most && delay > overtakeAfter+2*f.pace[p].takes(c.size) {
			mine, most = c, delay
		}
	}
	if mine == nil {
		return nil, hope
	}
	slices.Reverse(mine.chunks)
	return d.enlist(mine), true
}

// enlist makes an order known; nil if it is of nothing. It is called with mu held.
func (d *download) enlist(c *order) *order {
	if len(c.chunks) == 0 {
		return nil
	}
	c.left, c.stop = len(c.chunks), func(error) {}
	d.orders[c] = true
	for _, i := range c.chunks {
		d.asked[i] = append(d.asked[i], c)
	}
	return c
}

// begin makes stop what ends the question of c when others have brought all of it.
func (d *download) begin(c *order, stop context.CancelCauseFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.stop = stop
	if c.left == 0 {
		stop(errOvertaken)
	}
}

// brought takes chunk i out of all orders; who was asked for nothing else is asked no more, but for who brought it. It is
// called with mu held.
func (d *download) brought(i int, by *order) {
	for _, c := range d.asked[i] {
		if c.left--; c.left == 0 && c != by {
			c.stop(errOvertaken)
		}
	}
	delete(d.asked, i)
}

// first is where a claim of p begins: at the lowest free chunk that a reader waits for, but anywhere when p had nothing of
// what was asked last. It is called with mu held.
func (d *download) first(p *provider) int {
	if p.vain > 0 {
		return rand.IntN(len(d.state))
	}
	first := -1
	for i := range d.wanted {
		if d.state[i] == chunkFree && !p.lacks[i] && (first < 0 || i < first) {
			first = i
		}
	}
	if first < 0 {
		return d.from
	}
	return first
}

// last is where the last size raw bytes that are free begin: what a slow peer brings should not be waited for by readers. It
// is called with mu held.
func (d *download) last(size int) int {
	i := len(d.state)
	for i > 0 && size > 0 {
		if i--; d.state[i] == chunkFree {
			size -= d.length(i)
		}
	}
	return i
}

// missed notes that the peer said it lacks those chunks of c that did not come, and reports whether it is worth asking for
// others.
func (d *download) missed(c *order) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	missed := 0
	for _, i := range c.chunks {
		if d.state[i] == chunkClaimed {
			c.by.lacks[i] = true
			missed++
		}
	}
	if missed < len(c.chunks) {
		c.by.vain = 0
	} else {
		c.by.vain++
	}
	return c.by.vain < vainClaims
}

// release ends an order. What did not come, and is asked of nobody else, is free.
func (d *download) release(c *order) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.orders, c)
	for _, i := range c.chunks {
		at := slices.Index(d.asked[i], c)
		if at < 0 {
			continue
		}
		d.asked[i] = slices.Delete(d.asked[i], at, at+1)
		if len(d.asked[i]) == 0 {
			delete(d.asked, i)
			if d.state[i] == chunkClaimed {
				d.set(i, chunkFree)
			}
		}
	}
	d.tell()
}

// set changes the state of chunk i. It is called with mu held.
func (d *download) set(i int, s chunkState) {
	if d.state[i] == chunkFree {
		d.free -= d.length(i)
	}
	if s == chunkFree {
		d.free += d.length(i)
	}
	d.state[i] = s
}

func (d *download) length(i int) int { return int(d.body.body.Chunks[i].Length) }
