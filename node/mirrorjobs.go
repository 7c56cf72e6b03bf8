package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
)

// mirrors are the namespaces that are being mirrored.
type mirrors struct {
	mu        sync.Mutex
	byAddress map[namespace.Address]*mirror
	opened    chan struct{} // closed when one is opened
}

func newMirrors() *mirrors {
	return &mirrors{byAddress: make(map[namespace.Address]*mirror), opened: make(chan struct{})}
}

// reconsider has everything looked at again that was refused in a namespace: its quota may be another one.
func (s *mirrors) reconsider(a namespace.Address) {
	s.mu.Lock()
	m := s.byAddress[a]
	s.mu.Unlock()
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if !j.running && j.refused != nil {
			j.refused, j.due, j.pause = nil, time.Time{}, 0
		}
	}
	m.tell()
}

func (s *mirrors) open(a namespace.Address) *mirror {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &mirror{address: a, jobs: make(map[namespace.ID]*job), wake: make(chan struct{})}
	s.byAddress[a] = m
	close(s.opened)
	s.opened = make(chan struct{})
	return m
}

func (s *mirrors) close(m *mirror) {
	s.mu.Lock()
	if s.byAddress[m.address] == m {
		delete(s.byAddress, m.address)
	}
	s.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.tell()
}

// opening waits until a is mirrored, for a moment: that begins a little after it was decided. nil: it did not.
func (s *mirrors) opening(ctx context.Context, a namespace.Address) *mirror {
	ctx, cancel := context.WithTimeout(ctx, mirrorOpens)
	defer cancel()
	for {
		s.mu.Lock()
		m, opened := s.byAddress[a], s.opened
		s.mu.Unlock()
		if m != nil {
			return m
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return nil
		}
	}
}

// get is nil when a is not mirrored.
func (s *mirrors) get(a namespace.Address) *mirror {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byAddress[a]
}

// mirror is what is under way for one namespace: a job for each publication that is not all here.
type mirror struct {
	address namespace.Address

	mu      sync.Mutex
	jobs    map[namespace.ID]*job
	running int
	used    uint64 // raw bytes of chunks that are here
	kept    uint64 // raw bytes that room is kept for: what the jobs that are running lack
	counted time.Time
	closed  bool
	wake    chan struct{} // closed and replaced on change
}

// job is one publication on its way. Its fields are guarded by mirror.mu, but for id.
type job struct {
	id       namespace.ID
	running  bool
	begun    bool // of is known
	have, of uint64
	refused  *transfer.OfferUpdate // why it is not taken; nil: it is
	due      time.Time             // when it is tried next
	pause    time.Duration         // before the next attempt
}

// tell is called with mu held.
func (m *mirror) tell() {
	close(m.wake)
	m.wake = make(chan struct{})
}

func (m *mirror) changes() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wake
}

// hire returns the jobs to begin now, of the publications ids in their order, and when to look again. What is not among
// ids is forgotten.
func (m *mirror) hire(ids []namespace.ID, now time.Time) (begin []*job, next time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next = mirrorRetryMost
	listed := make(map[namespace.ID]bool, len(ids))
	for _, id := range ids {
		listed[id] = true
		j := m.jobs[id]
		if j == nil {
			if len(m.jobs) >= offersQueued {
				continue
			}
			j = &job{id: id}
			m.jobs[id] = j
		}
		switch {
		case j.running, j.refused != nil && !j.refused.Why.Temporary():
		case now.Before(j.due):
			next = min(next, j.due.Sub(now))
		default:
			begin = append(begin, j)
		}
	}
	// Those that failed least come first: what nobody has must not hold up what is new.
	slices.SortStableFunc(begin, func(a, b *job) int { return cmp.Compare(a.pause, b.pause) })
	begin = begin[:min(len(begin), max(0, mirrorsAtOnce-m.running))]
	for _, j := range begin {
		m.running++
		j.running = true
	}
	for id, j := range m.jobs {
		if !listed[id] && !j.running {
			delete(m.jobs, id)
		}
	}
	return begin, next
}

// hurry lets what waits for somebody who has it be tried a moment from now: somebody came.
func (m *mirror) hurry(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if soon := now.Add(time.Second); j.refused == nil && j.due.After(soon) {
			j.due = soon
		}
	}
}

// end notes what became of an attempt: refused, to be tried again, or done.
func (m *mirror) end(j *job, refused *transfer.OfferUpdate, now time.Time, again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running--
	j.running, j.refused = false, refused
	if again {
		j.pause = min(max(2*j.pause, mirrorRetry), mirrorRetryMost)
		if refused != nil {
			j.pause = mirrorRetryMost
		}
		j.due = now.Add(j.pause)
	}
	m.tell()
}

// reserve keeps room for what j lacks, or refuses it. whole is how much all of its content is.
func (m *mirror) reserve(j *job, need, whole, quota uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case whole > quota:
		return &refusedError{transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedTooLarge}}
	case need > 0 && m.used+m.kept+need > quota:
		return &refusedError{transfer.OfferUpdate{State: transfer.OfferRefused, Why: transfer.RefusedQuota, Used: m.used, Quota: quota}}
	}
	m.kept += need
	if !j.begun {
		j.begun, j.of = true, need
	}
	j.have = max(j.have, j.of-min(need, j.of))
	m.tell()
	return nil
}

// unreserve ends the keeping of room for an attempt. If it failed, some of it may be here: it counts as if all were, until room is
// wanted for more and what is here is counted anew.
func (m *mirror) unreserve(need uint64, came bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept -= min(need, m.kept)
	m.used += need
	if !came {
		m.counted = time.Time{}
	}
}

// recount reports whether what is here is to be counted anew, which is a lot of work, and how many bytes room is kept for.
func (m *mirror) recount(now time.Time) (kept uint64, due bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.counted).Abs() < roomEvery {
		return 0, false
	}
	m.counted = now
	return m.kept, true
}

// advance notes that so many more bytes of what j lacked are here.
func (m *mirror) advance(j *job, bytes uint64) {
	if bytes == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	j.have = min(j.have+bytes, j.of)
	m.tell()
}

func (m *mirror) setUsed(bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = bytes
}

// update is what is told of a publication that is not all here; false: the namespace is not mirrored any more.
func (m *mirror) update(id namespace.ID) (transfer.OfferUpdate, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[id]
	switch {
	case m.closed:
		return transfer.OfferUpdate{}, false
	case j != nil && j.refused != nil:
		return *j.refused, true
	case j != nil && j.begun:
		return transfer.OfferUpdate{State: transfer.OfferHave, Have: j.have, Of: j.of}, true
	}
	return transfer.OfferUpdate{State: transfer.OfferQueued}, true
}

// progress sums up what is under way, and says why what is refused is.
func (m *mirror) progress() (pending int, have, of uint64, refused map[namespace.ID]transfer.OfferUpdate) {
	m.mu.Lock()
	defer m.mu.Unlock()
	refused = make(map[namespace.ID]transfer.OfferUpdate)
	for id, j := range m.jobs {
		if j.refused != nil {
			refused[id] = *j.refused
			continue
		}
		pending++
		have, of = have+j.have, of+j.of
	}
	return pending, have, of, refused
}
