package node

import "time"

// load is what is under way from one peer, for all downloads together, and how fast it brings it. It is guarded by peers.mu.
type load struct {
	asked int // raw bytes that were asked for and have not come
	eased chan struct{}
	last  time.Time // when something came, or was asked for when nothing was under way
	was   float64   // the speed when something came last: silence makes it less

	// What came while something was under way, and how long that was, lately: both are halved after speedOver. A burst that
	// a buffer on the way let through counts for little so.
	came  float64
	busy  time.Duration
	since time.Time // until when busy is counted, while something is under way
}

// pass counts the time until now.
func (l *load) pass(now time.Time) {
	if l.asked > 0 {
		l.busy += now.Sub(l.since)
	}
	l.since = now
	if l.busy > speedOver {
		l.busy /= 2
		l.came /= 2
	}
}

// speed is how many raw bytes came a second when last asked; 0: it was not asked long enough to say.
func (l *load) speed() float64 {
	if l.busy <= 0 || l.came < speedLeast && l.busy < speedSoonest {
		return 0
	}
	return max(l.came/l.busy.Seconds(), 1)
}

// rate is speed if that was measured lately, else 0: who was slow is tried again.
func (l *load) rate(now time.Time) float64 {
	if l.asked == 0 && now.Sub(l.last) > speedMemory {
		return 0
	}
	return l.speed()
}

// most is how many raw bytes may be under way: askAhead, but no more than askedAtFirst and twice what came lately: what came
// first says little of what is to come.
func (l *load) most(now time.Time) int {
	return askedAtFirst + int(min(max(l.rate(now)*askAhead.Seconds()-askedAtFirst, 0), 2*l.came))
}

// ask notes that size raw bytes are asked of r.
func (p *peers) ask(r *remote, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	r.load.pass(now)
	if r.load.asked == 0 {
		r.load.last = now
	}
	r.load.asked += size
}

// came notes that size of what was asked of r came.
func (p *peers) came(r *remote, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.load.came += float64(size)
	r.load.last = time.Now()
	r.load.less(size)
	r.load.was = r.load.speed()
	r.content.worked()
}

// hushed reports whether r brings nothing any more of what it was asked, for any download.
func (p *peers) hushed(r *remote) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.load.asked > 0 && time.Since(r.load.last) > r.load.patience()
}

// heard is when something came from r last, or it was asked for something when nothing was under way.
func (p *peers) heard(r *remote) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return r.load.last
}

// patience is how long nothing may come of what is under way.
func (l *load) patience() time.Duration {
	if l.was == 0 {
		return stallTime
	}
	due := time.Duration(float64(min(l.asked, runRaw)) / l.was * float64(time.Second))
	return min(max(hushTime, 4*due), stallTime)
}

// answered notes that an answer ended, and size of what was asked did not come.
func (p *peers) answered(r *remote, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.load.less(size)
}

func (l *load) less(size int) {
	l.pass(time.Now())
	l.asked -= size
	if l.eased != nil {
		close(l.eased)
		l.eased = nil
	}
}

// pace is how much is under way from r, and how fast it is.
func (p *peers) pace(r *remote) pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	r.load.pass(now)
	return pace{r.load.asked, r.load.most(now), r.load.rate(now), r.load.last}
}

// eases returns a channel that is closed when less is under way from r.
func (p *peers) eases(r *remote) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.load.eased == nil {
		r.load.eased = make(chan struct{})
	}
	return r.load.eased
}
