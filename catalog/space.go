package catalog

import (
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// space is one namespace in memory. Catalog.mu guards all of it but what never
// changes, memo and walking, which guard themselves, and kept, which belongs to
// whoever holds Catalog.writing.
type space struct {
	address namespace.Address // never changes, nor does id
	id      spaceID

	record  namespaceRecord
	policy  *trust.Policy // nil while the document cannot be read: then nothing counts
	denied  map[denial]bool
	graph   *graph
	sketch  sketch        // of the paths that are listed
	changed chan struct{} // closed at the next change; nil until somebody waits

	counted statsMemo
	kept    int // entries of an upstream, once they were counted
	memo    closureMemo
	walking chan struct{} // held by who walks a closure
}

// denial is what a document denies: one content of one path.
type denial struct {
	path nix.PathHash
	hash nix.NarHash
}

func newSpace(r namespaceRecord) *space {
	s := &space{address: r.address, id: spaceOf(r.address), record: r, walking: make(chan struct{}, 1)}
	s.graph = newGraph(s.judge)
	return s
}

// judge is what the graph asks.
func (s *space) judge(p *publication, now int64) (v verdict, until int64) {
	if s.policy == nil {
		return refused, 0
	}
	standing := s.policy.Judge(p.facts(), time.Unix(now, 0))
	switch standing.State {
	case trust.Live, trust.Expired: // whose expiry counts is the graph's affair
		return valid, 0
	case trust.Held:
		return held, standing.Until.Unix()
	case trust.Frozen:
		return frozen, 0
	}
	return refused, 0
}

func (p *publication) facts() trust.Facts {
	return trust.Facts{ID: p.id, Signer: p.signer.key, Time: time.Unix(p.time, 0).UTC(), Expires: time.Unix(p.expires, 0).UTC()}
}

// standing is what p counts for now: trust's judgement, corrected by the life
// that users give.
func (s *space) standing(p *publication) trust.Standing {
	if s.policy == nil {
		return trust.Standing{State: trust.Refused, Err: errNoDocument(s.address)}
	}
	if p.alive {
		return trust.Standing{State: trust.Live, Until: time.Unix(p.life, 0).UTC()}
	}
	return s.policy.Judge(p.facts(), time.Unix(s.graph.now, 0))
}

// follow makes the space judge by policy from now on.
func (s *space) follow(policy *trust.Policy, r namespaceRecord, now time.Time) {
	s.policy, s.record = policy, r
	s.denied = make(map[denial]bool)
	if d, ok := policy.Document(); ok {
		for _, deny := range d.Value().Denied {
			s.denied[denial{deny.Path, deny.NarHash}] = true
		}
	}
	s.graph.reassess(s.time(now))
	s.graph.version++ // denials change answers, whatever lives
	s.graph.losses++
}

// time returns the namespace's time by that clock, in seconds since 1970.
func (s *space) time(clock time.Time) int64 {
	if s.policy == nil {
		return clock.Unix()
	}
	return s.policy.Now(clock).Unix()
}

// tick brings the space to that time, forward or back.
func (s *space) tick(clock time.Time) {
	if now := s.time(clock); now < s.graph.now {
		s.graph.reassess(now)
	} else {
		s.graph.advance(now)
	}
}

// announce wakes those who wait for a change.
func (s *space) announce() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

func (c *Catalog) alive(s *space, id namespace.ID) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return s.lives(id)
}

// lives reports whether the publication is alive; an upstream's entries, which
// stand in none, always are.
func (s *space) lives(id namespace.ID) bool {
	if id.IsZero() {
		return s.policy != nil && s.policy.Upstream()
	}
	p := s.graph.pubs[id]
	return p != nil && p.alive
}
