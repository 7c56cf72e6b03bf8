package trust

import (
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Verified is an entry that may be served in its namespace. Only this package
// makes one; the zero value is none, and everybody refuses it. It is small, and
// keeps alive its entry, the policy, and, when it comes from
// [Publication.Entries], the publication's other entries.
type Verified struct {
	entry *namespace.Entry
	from  *origin
	sig   int // which of entry.Sigs is the one that was checked
}

// origin is what the entries of one publication have in common.
type origin struct {
	policy      *Policy
	publication namespace.ID // zero: upstream
	signer      *member
}

// verify checks the Nix signature that the origin's key owes the entry.
func (o *origin) verify(e *namespace.Entry, by *nix.BulkVerifier) (Verified, error) {
	key := o.signer.key
	text := e.Fingerprint()
	named := false
	for i, sig := range e.Sigs {
		if by.Verify(key, text, sig) {
			return Verified{entry: e, from: o, sig: i}, nil
		}
		named = named || sig.Name == key.Name
	}
	if named {
		return Verified{}, refuse(BadSignature, "the signature of %s on %s does not fit", key, e.Path)
	}
	return Verified{}, refuse(NoSignature, "%s is not signed by %s", e.Path, key)
}

// verifyEntries verifies all, and returns those that are not denied.
func (p *Policy) verifyEntries(entries []namespace.Entry, o *origin, by *nix.BulkVerifier) ([]Verified, error) {
	all := make([]Verified, len(entries))
	err := forEach(len(entries), func(i int) (err error) {
		all[i], err = o.verify(&entries[i], by)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(v Verified) bool {
		return p.denies(v.entry.Path.Hash(), v.entry.NarHash) != nil
	}), nil
}

// VerifyNarInfo checks a narinfo of an upstream namespace: a signature by the
// upstream's key. The entry has no body yet; [Policy.Recall] takes one that has.
func (p *Policy) VerifyNarInfo(n *nix.NarInfo) (Verified, error) {
	e := &namespace.Entry{
		Path:       n.StorePath,
		NarHash:    n.NarHash,
		NarSize:    n.NarSize,
		References: slices.Clone(n.References),
		Deriver:    n.Deriver,
		Sigs:       slices.Clone(n.Sigs),
	}
	e.Sort()
	return p.Recall(e, namespace.ID{}, p.address.Key())
}

// Recall makes a Verified of an entry that was verified before, with the
// publication it stands in and the key that signed both; in an upstream
// namespace these are the zero ID and the address's key. It checks the Nix
// signature again, and the publication's id and signer under p; it takes the
// caller's word that the entry stands in the publication, and for everything
// that no Nix signature covers (Body, Slots, Deriver). e must not be altered
// afterwards.
func (p *Policy) Recall(e *namespace.Entry, pub namespace.ID, signer nix.PublicKey) (Verified, error) {
	m, err := p.admitsEntry(pub, signer)
	if err != nil {
		return Verified{}, err
	}
	if err := e.Check(); err != nil {
		return Verified{}, refuseBecause(Malformed, err)
	}
	if err := p.denies(e.Path.Hash(), e.NarHash); err != nil {
		return Verified{}, err
	}
	return (&origin{policy: p, publication: pub, signer: m}).verify(e, nil)
}

// Readmit applies p's rules to an entry that an earlier policy of the namespace
// let in, without checking its signature again.
func (p *Policy) Readmit(v Verified) (Verified, error) {
	if v.IsZero() {
		return Verified{}, refuse(NoSignature, "nothing was verified")
	}
	if v.Address() != p.address {
		return Verified{}, refuse(WrongNamespace, "%s is of %s, not of %s", v.Path(), v.Address(), p.address)
	}
	m, err := p.admitsEntry(v.from.publication, v.from.signer.key)
	if err != nil {
		return Verified{}, err
	}
	if err := p.denies(v.Path().Hash(), v.entry.NarHash); err != nil {
		return Verified{}, err
	}
	v.from = &origin{policy: p, publication: v.from.publication, signer: m}
	return v, nil
}

// admitsEntry is admits for one entry: in an upstream namespace it stands in no
// publication, elsewhere it has to.
func (p *Policy) admitsEntry(pub namespace.ID, signer nix.PublicKey) (*member, error) {
	switch {
	case p.Upstream() && pub.IsZero():
		return p.member(signer)
	case pub.IsZero():
		return nil, refuse(NoPublication, "in %s an entry has to stand in a publication", p.address)
	}
	return p.admits(pub, signer)
}

// IsZero reports whether v is the zero value: nothing was verified.
func (v Verified) IsZero() bool { return v.entry == nil }

// Address returns the namespace in which the entry may be served.
func (v Verified) Address() namespace.Address { return v.from.policy.address }

// Path returns the store path.
func (v Verified) Path() nix.StorePath { return v.entry.Path }

// Entry returns the entry, to be read only.
func (v Verified) Entry() *namespace.Entry { return v.entry }

// Publication returns the id of the publication in which the entry stands; of
// an upstream's it is zero.
func (v Verified) Publication() namespace.ID { return v.from.publication }

// Signer returns the key whose signature was checked.
func (v Verified) Signer() nix.PublicKey { return v.from.signer.key }

// Seniority returns 0 for the root and an upstream's key, 1 and up for writers
// in the document's order, closed ones last.
func (v Verified) Seniority() int { return v.from.signer.seniority }
