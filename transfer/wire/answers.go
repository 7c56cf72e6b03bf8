package wire

import (
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
)

// answers gathers the answer to a lookup and checks it against the question.
type answers struct {
	asked []nix.PathHash
	list  []transfer.Answer
	extra extras
	bytes int  // of all frames
	ended bool // the last frame has come
}

func newAnswers(asked []nix.PathHash) *answers {
	return &answers{asked: asked, list: make([]transfer.Answer, 0, len(asked))}
}

// read takes one more frame.
func (a *answers) read(q *question) error {
	before := q.received
	m, err := message(q, MaxFrame, parseLookupAnswer, func(m *lookupAnswer) *status { return &m.status })
	if err != nil {
		return err
	}
	if a.bytes += q.received - before; a.bytes > transfer.MaxLookupAnswer {
		return transfer.Misbehaviour("an answer of over %d bytes", transfer.MaxLookupAnswer)
	}
	if err := a.add(&m); err != nil {
		return transfer.Misbehaviour("%v", err)
	}
	return nil
}

func (a *answers) add(m *lookupAnswer) error {
	if m.last {
		if len(a.list) < len(a.asked) {
			return fmt.Errorf("answers for %d of %d hashes", len(a.list), len(a.asked))
		}
		a.ended = true
		return nil
	}
	answer, err := a.answer(m)
	if err != nil || m.entry == nil {
		return err
	}
	e, err := namespace.ParseEntry(m.entry)
	if err != nil {
		return err
	}
	if e.Path.Hash() != m.hash {
		return fmt.Errorf("%s in the answer for %s", e.Path.Base(), m.hash)
	}
	answer.Entries = append(answer.Entries, transfer.LookupEntry{Entry: e, Publication: m.publication})
	return nil
}

// answer is the one that a frame belongs to, begun now if need be.
func (a *answers) answer(m *lookupAnswer) (*transfer.Answer, error) {
	if n := len(a.list); n > 0 && a.list[n-1].Hash == m.hash {
		last := &a.list[n-1]
		if m.entry == nil || len(last.Entries) == 0 {
			return nil, fmt.Errorf("%s is absent, and not only that", m.hash)
		}
		if len(last.Entries) == transfer.MaxLookupEntries {
			return nil, fmt.Errorf("more than %d entries for %s", transfer.MaxLookupEntries, m.hash)
		}
		return last, nil
	}
	if n := len(a.list); n < len(a.asked) {
		if a.asked[n] != m.hash {
			return nil, fmt.Errorf("an answer for %s where %s is next", m.hash, a.asked[n])
		}
	} else if err := a.extra.accept(a.asked, a.list, m); err != nil {
		return nil, err
	}
	a.list = append(a.list, transfer.Answer{Hash: m.hash})
	return &a.list[len(a.list)-1], nil
}

// extras knows which answers that nobody asked for are welcome: those for
// references of what was answered, once.
type extras struct {
	scanned int                   // answers whose references are in welcome
	welcome map[nix.PathHash]bool // false: asked for, or answered
	count   int
}

func (x *extras) accept(asked []nix.PathHash, list []transfer.Answer, m *lookupAnswer) error {
	x.scan(asked, list)
	if !x.welcome[m.hash] {
		return fmt.Errorf("an answer for %s, which was not asked for, is no reference, or was answered", m.hash)
	}
	if m.entry == nil {
		return fmt.Errorf("%s, a reference, is said to be absent", m.hash)
	}
	if x.count++; x.count > transfer.MaxLookupExtra {
		return fmt.Errorf("more than %d answers for references", transfer.MaxLookupExtra)
	}
	x.welcome[m.hash] = false
	return nil
}

// scan welcomes the references of the answers that came since it was called
// last.
func (x *extras) scan(asked []nix.PathHash, list []transfer.Answer) {
	if x.welcome == nil {
		x.welcome = make(map[nix.PathHash]bool, 4*len(asked))
		for _, h := range asked {
			x.welcome[h] = false
		}
	}
	for _, answer := range list[x.scanned:] {
		for _, e := range answer.Entries {
			for _, ref := range e.Entry.References {
				if _, known := x.welcome[ref.Hash()]; !known {
					x.welcome[ref.Hash()] = true
				}
			}
		}
	}
	x.scanned = len(list)
}
