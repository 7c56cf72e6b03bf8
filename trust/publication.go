package trust

import (
	"bytes"
	"errors"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Publication is one whose signature and entries were verified. Only
// [Policy.VerifyPublication] and [Verifier.VerifyPublication] make one; the zero
// value is none. What it counts for now is its Standing.
type Publication struct {
	value     *namespace.Publication
	facts     Facts
	seniority int
	raw       []byte
	entries   []Verified
}

// VerifyPublication checks everything about a publication but the time: see the
// package comment. It uses all cores for the signatures of the entries.
func (p *Policy) VerifyPublication(raw []byte) (Publication, error) {
	return p.NewVerifier().VerifyPublication(raw)
}

func (p *Policy) verify(raw []byte, by *nix.BulkVerifier) (Publication, error) {
	if len(raw) > namespace.MaxPublication {
		return Publication{}, refuse(TooLarge, "publication of %d bytes, at most %d are allowed", len(raw), namespace.MaxPublication)
	}
	raw = bytes.Clone(raw)
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return Publication{}, refuseBecause(Malformed, err)
	}
	signer, err := p.signer(note)
	if err != nil {
		return Publication{}, err
	}
	value, err := p.parsePublication(note)
	if err != nil {
		return Publication{}, err
	}
	v := Publication{
		value: value,
		facts: Facts{ID: note.ID(), Signer: signer, Time: value.Time, Expires: value.Expires},
		raw:   raw,
	}
	m, err := p.admitsDated(v.facts)
	if err != nil {
		return Publication{}, err
	}
	v.seniority = m.seniority
	if v.entries, err = p.verifyEntries(value.Entries, &origin{policy: p, publication: v.facts.ID, signer: m}, by); err != nil {
		return Publication{}, err
	}
	return v, nil
}

// signer returns the member whose valid signature the note carries, unless what
// the note is, whatever it says, is refused already.
func (p *Policy) signer(note namespace.Note) (nix.PublicKey, error) {
	m := p.members[note.Signer]
	if m == nil {
		return nix.PublicKey{}, refuse(NotAWriter, "%s has no writer named %s", p.address, note.Signer)
	}
	if _, err := p.admits(note.ID(), m.key); err != nil {
		return nix.PublicKey{}, err
	}
	if !note.SignedBy(m.key) {
		return nix.PublicKey{}, refuse(BadSignature, "publication %s is not signed by %s", note.ID().Short(), m.key)
	}
	return m.key, nil
}

func (p *Policy) parsePublication(note namespace.Note) (*namespace.Publication, error) {
	v, err := namespace.ParsePublication(note.Text)
	switch {
	case errors.Is(err, namespace.ErrVoid):
		return nil, refuseBecause(Void, err)
	case err != nil:
		return nil, refuseBecause(Malformed, err)
	case v.Namespace != p.address:
		return nil, refuse(WrongNamespace, "publication %s is of %s, not of %s", note.ID().Short(), v.Namespace, p.address)
	}
	return v, nil
}

// IsZero reports whether v is the zero value, which is no publication.
func (v Publication) IsZero() bool { return v.value == nil }

// ID returns the SHA-256 of the signed text.
func (v Publication) ID() namespace.ID { return v.facts.ID }

// Raw returns the signed form, to be read only.
func (v Publication) Raw() []byte { return v.raw }

// Value returns what the publication says, to be read only. Its entries are all
// of them, the denied ones too.
func (v Publication) Value() *namespace.Publication { return v.value }

// Signer returns the key that signed the publication and its entries.
func (v Publication) Signer() nix.PublicKey { return v.facts.Signer }

// BySeniority returns 0 for the root, 1 and up for writers in the document's
// order, closed ones last.
func (v Publication) BySeniority() int { return v.seniority }

// Facts returns what the publication is judged by.
func (v Publication) Facts() Facts { return v.facts }

// Entries returns the entries that were not denied under the policy that
// verified the publication. Under a newer one, see [Policy.Readmit].
func (v Publication) Entries() []Verified { return v.entries }

// Standing is what the publication counts for under p, which may be newer than
// the policy that verified it, by the clock now. See [Policy.Judge].
func (v Publication) Standing(p *Policy, now time.Time) Standing {
	switch {
	case v.IsZero():
		return Standing{State: Refused, Err: refuse(Malformed, "no publication")}
	case v.value.Namespace != p.address:
		return Standing{State: Refused, Err: refuse(WrongNamespace, "publication %s is of %s, not of %s",
			v.ID().Short(), v.value.Namespace, p.address)}
	}
	return p.Judge(v.facts, now)
}
