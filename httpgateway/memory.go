package httpgateway

import (
	"sync"
	"time"
	"unique"

	"github.com/flurry-nix/flurry/nix"
)

// Outcome is how a request of Nix's ended.
type Outcome byte

const (
	Given   Outcome = iota // 200 or 206, whole
	NotHere                // 404: the Cache says that it is not here
	Late                   // 404: no answer within the time
	Failed                 // 404: the Cache failed
	Aborted                // an archive that broke off; its connection was closed
	Left                   // the client went away before the end

	outcomes = iota
)

// String returns one lower-case word.
func (o Outcome) String() string {
	if int(o) >= outcomes {
		return "unknown"
	}
	return [outcomes]string{"given", "not-here", "late", "failed", "aborted", "left"}[o]
}

// Answer is one answer that was given to Nix.
type Answer struct {
	View    string // the NAME of /ns/NAME/, or "" for the merged view
	Hash    nix.PathHash
	Nar     bool // about the archive, not the narinfo
	Outcome Outcome
	At      time.Time     // when Nix asked
	Took    time.Duration // until the answer was written
}

// Memory is what Nix was told of late: the last 100,000 answers, in at most
// 5 MB and the names of their views. It is for one question, "what was Nix told about this path, and when?",
// because Nix keeps an answer long after a better one is to be had. Nothing is
// written to disk. Safe for concurrent use.
type Memory struct {
	mu     sync.Mutex
	next   int // counts all answers ever; the ring's place is next % maxRemembered
	blocks [(maxRemembered + blockLen - 1) / blockLen]*block
}

// blockLen records are allocated at a time, so that a gateway that is hardly
// asked holds little, and a busy one never copies.
const blockLen = 1024

type block [blockLen]remembered

// remembered is an Answer in 48 bytes. Views are few; unique keeps one string
// of each.
type remembered struct {
	at      int64 // nanoseconds of Unix time
	took    time.Duration
	view    unique.Handle[string]
	hash    nix.PathHash
	nar     bool
	outcome Outcome
}

func (m *Memory) add(a Answer) {
	r := remembered{
		at: a.At.UnixNano(), took: a.Took, view: unique.Make(a.View),
		hash: a.Hash, nar: a.Nar, outcome: a.Outcome,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	slot := m.next % maxRemembered
	b := m.blocks[slot/blockLen]
	if b == nil {
		b = new(block)
		m.blocks[slot/blockLen] = b
	}
	b[slot%blockLen] = r
	m.next++
}

// Lookup returns the answers about a path that are still remembered, the newest
// first, at most 32. It reads the whole ring, about a millisecond, and lets those
// add who answer Nix meanwhile: what they add is not found.
func (m *Memory) Lookup(h nix.PathHash) []Answer {
	m.mu.Lock()
	last := m.next - 1
	m.mu.Unlock()
	var found []Answer
	for last >= 0 && len(found) < maxRecalled {
		found, last = m.lookup(h, last, found)
	}
	return found
}

// lookup goes back from answer number last to the beginning of its block, and
// returns the number before that; less than 0: that was all.
func (m *Memory) lookup(h nix.PathHash, last int, found []Answer) ([]Answer, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := max(last-last%maxRemembered%blockLen, m.next-maxRemembered, 0)
	for i := last; i >= first && len(found) < maxRecalled; i-- {
		slot := i % maxRemembered
		r := &m.blocks[slot/blockLen][slot%blockLen]
		if r.hash != h {
			continue
		}
		found = append(found, Answer{
			View: r.view.Value(), Hash: r.hash, Nar: r.nar, Outcome: r.outcome,
			At: time.Unix(0, r.at), Took: r.took,
		})
	}
	if first == m.next-maxRemembered {
		return found, -1 // what was before is overwritten
	}
	return found, first - 1
}
