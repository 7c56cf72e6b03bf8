package wire

import (
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/transfer"
)

// plan is the frames of an answer to a lookup, as they are chosen.
type plan struct {
	frames []lookupAnswer
	room   int // bytes left
}

// planLookup makes the frames of what a handler answered: for all that was
// asked, in that order, at least one entry of each or that there is none; then
// what came along and is welcome; as much as there is room for.
func planLookup(asked []nix.PathHash, list []transfer.Answer) ([]lookupAnswer, error) {
	given := make(map[nix.PathHash][]transfer.LookupEntry, len(list))
	for _, a := range list {
		given[a.Hash] = a.Entries
	}
	p := plan{room: transfer.MaxLookupAnswer - maxHead}
	answered := make([]transfer.Answer, 0, len(list))
	first := make([]lookupAnswer, len(asked))
	for i, h := range asked {
		m, err := firstFrame(h, given[h])
		if err != nil {
			return nil, err
		}
		first[i] = m
		p.room -= m.size()
		answered = append(answered, transfer.Answer{Hash: h, Entries: given[h]})
	}
	if p.room < 0 {
		return nil, transfer.BadRequest("the answer has over %d bytes, ask for fewer hashes at a time", transfer.MaxLookupAnswer)
	}
	for i, h := range asked {
		if err := p.add(first[i], given[h]); err != nil {
			return nil, err
		}
		delete(given, h)
	}
	var x extras
	for _, a := range list {
		if _, extra := given[a.Hash]; !extra || len(a.Entries) == 0 || x.count == transfer.MaxLookupExtra {
			continue
		}
		m, err := firstFrame(a.Hash, a.Entries)
		if err != nil {
			return nil, err
		}
		if m.size() > p.room || x.accept(asked, answered, &m) != nil {
			continue
		}
		p.room -= m.size()
		if err := p.add(m, a.Entries); err != nil {
			return nil, err
		}
		answered = append(answered, a)
	}
	return append(p.frames, lookupAnswer{last: true}), nil
}

// add adds one answer: first, for which room was kept, and what else fits.
func (p *plan) add(first lookupAnswer, all []transfer.LookupEntry) error {
	p.frames = append(p.frames, first)
	for i := 1; i < min(len(all), transfer.MaxLookupEntries); i++ {
		m, err := entryFrame(first.hash, &all[i])
		if err != nil {
			return err
		}
		if m.size() <= p.room {
			p.room -= m.size()
			p.frames = append(p.frames, m)
		}
	}
	return nil
}

// size is at least the frame's length.
func (m *lookupAnswer) size() int { return len(m.entry) + maxHead }

func firstFrame(h nix.PathHash, entries []transfer.LookupEntry) (lookupAnswer, error) {
	if len(entries) == 0 {
		return lookupAnswer{hash: h}, nil
	}
	return entryFrame(h, &entries[0])
}

func entryFrame(h nix.PathHash, e *transfer.LookupEntry) (lookupAnswer, error) {
	if e.Entry.Path.Hash() != h {
		return lookupAnswer{}, faulty(fmt.Errorf("%s in the answer for %s", e.Entry.Path.Base(), h))
	}
	m := lookupAnswer{hash: h, entry: e.Entry.Append(nil), publication: e.Publication}
	if len(m.entry) > namespace.MaxPublication {
		return m, faulty(fmt.Errorf("the entry of %s has %d bytes", e.Entry.Path.Base(), len(m.entry)))
	}
	return m, nil
}
