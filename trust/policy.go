package trust

import (
	"slices"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Policy is what one namespace's document and kept lists say about who may
// publish and what no longer counts; of an upstream namespace, it is its key. It
// does not change, and may be used by several goroutines at a time.
type Policy struct {
	address   namespace.Address
	document  Document // zero: upstream
	suspended string   // the line that suspends the namespace, or ""
	members   map[string]*member
	withdrawn map[namespace.ID]string // reasons
	denied    map[narOf]string        // reasons
}

// member is a key that the document knows. Its names are unique there.
type member struct {
	key       nix.PublicKey
	seniority int
	until     time.Time // zero: never ends
	closed    bool
	kept      []namespace.ID // of a closed one, sorted
}

// narOf is one content of one path.
type narOf struct {
	path nix.PathHash
	hash nix.NarHash
}

// NewPolicy returns the policy of a namespace under a document. Each kept list
// that the document names has to be among lists; others are ignored.
func NewPolicy(d Document, lists []*namespace.KeepList) (*Policy, error) {
	if d.IsZero() {
		return nil, refuse(NoDocument, "a policy needs a document")
	}
	p := &Policy{
		address:   d.value.Namespace,
		document:  d,
		members:   make(map[string]*member),
		withdrawn: make(map[namespace.ID]string, len(d.value.Withdrawn)),
		denied:    make(map[narOf]string, len(d.value.Denied)),
	}
	p.suspended, _ = d.value.Suspended()
	for _, w := range d.value.Withdrawn {
		p.withdrawn[w.Publication] = w.Reason
	}
	for _, n := range d.value.Denied {
		p.denied[narOf{n.Path, n.NarHash}] = n.Reason
	}
	p.addMember(&member{key: p.address.Key()})
	for _, w := range d.value.Writers {
		p.addMember(&member{key: w.Key, until: w.Until})
	}
	if err := p.addClosed(d.value.Closed, lists); err != nil {
		return nil, err
	}
	return p, nil
}

// NewUpstreamPolicy returns the policy of an upstream namespace: what its key
// signed counts.
func NewUpstreamPolicy(a namespace.Address) *Policy {
	p := &Policy{address: a, members: make(map[string]*member)}
	p.addMember(&member{key: a.Key()})
	return p
}

// addMember adds a key after those already there, which are its seniors.
func (p *Policy) addMember(m *member) {
	m.seniority = len(p.members)
	p.members[m.key.Name] = m
}

func (p *Policy) addClosed(closed []namespace.Closed, lists []*namespace.KeepList) error {
	byID := make(map[namespace.ID]*namespace.KeepList, len(lists))
	for _, list := range lists {
		byID[list.ID()] = list
	}
	sorted := make(map[namespace.ID][]namespace.ID)
	for _, c := range closed {
		m := &member{key: c.Key, closed: true}
		p.addMember(m)
		if c.None {
			continue
		}
		list := byID[c.Keep]
		if list == nil {
			return refuse(MissingList, "kept list %s of %s", c.Keep.Short(), c.Key.Name)
		}
		if list.Namespace != p.address {
			return refuse(WrongNamespace, "kept list %s is of %s, not of %s", c.Keep.Short(), list.Namespace, p.address)
		}
		if sorted[c.Keep] == nil { // many may name one list, which can have 4 MiB
			sorted[c.Keep] = slices.Clone(list.Publications)
			slices.SortFunc(sorted[c.Keep], namespace.ID.Compare)
		}
		m.kept = sorted[c.Keep]
	}
	return nil
}

// Address returns the namespace.
func (p *Policy) Address() namespace.Address { return p.address }

// Document returns the document that the policy follows; an upstream namespace
// has none.
func (p *Policy) Document() (Document, bool) { return p.document, !p.document.IsZero() }

// Upstream reports whether the namespace is an upstream one.
func (p *Policy) Upstream() bool { return p.document.IsZero() }

// Suspended returns the line of the document that suspends the namespace, if
// there is one: then nothing counts.
func (p *Policy) Suspended() (line string, suspended bool) {
	return p.suspended, p.suspended != ""
}

// Now returns the namespace's time: the later of the clock and the document's
// time of issue.
func (p *Policy) Now(clock time.Time) time.Time {
	if !p.Upstream() && p.document.value.Issued.After(clock) {
		return p.document.value.Issued
	}
	return clock
}

// member returns what the policy knows of a key, or a refusal.
func (p *Policy) member(k nix.PublicKey) (*member, error) {
	m := p.members[k.Name]
	if m == nil || m.key != k {
		return nil, refuse(NotAWriter, "%s has no writer %s", p.address, k)
	}
	return m, nil
}

// admits returns the member by whom a publication of this id counts, or a
// refusal. It says nothing about the publication's dates.
func (p *Policy) admits(id namespace.ID, signer nix.PublicKey) (*member, error) {
	switch {
	case p.Upstream():
		return nil, refuse(NoDocument, "%s is an upstream namespace", p.address)
	case p.suspended != "":
		return nil, refuse(Suspended, "the document of %s says %q", p.address, p.suspended)
	}
	m, err := p.member(signer)
	if err != nil {
		return nil, err
	}
	if reason, withdrawn := p.withdrawn[id]; withdrawn {
		return nil, refuse(Withdrawn, "publication %s: %s", id.Short(), reason)
	}
	if m.closed {
		if _, kept := slices.BinarySearchFunc(m.kept, id, namespace.ID.Compare); !kept {
			return nil, refuse(WriterClosed, "publication %s by %s is not among those that stay", id.Short(), m.key.Name)
		}
	}
	return m, nil
}

// denies returns a refusal when the document denies the content.
func (p *Policy) denies(path nix.PathHash, hash nix.NarHash) error {
	if reason, denied := p.denied[narOf{path, hash}]; denied {
		return refuse(Denied, "%s with %s: %s", path, hash, reason)
	}
	return nil
}
