package trust

import (
	"fmt"
	"slices"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// SignEntry puts k's signature on the entry, instead of those under k's name
// that it had, and sorts its references and signatures.
func SignEntry(e *namespace.Entry, k nix.SecretKey) {
	sig := k.Sign(e.Fingerprint())
	sigs := slices.DeleteFunc(slices.Clone(e.Sigs), func(s nix.Signature) bool { return s.Name == sig.Name })
	e.References = slices.Clone(e.References)
	e.Sigs = append(sigs, sig)
	e.Sort()
}

// SignPublication returns the signed form of p, whose entries k has signed with
// [SignEntry]. What a reader would refuse for its form is an error.
func SignPublication(p *namespace.Publication, k nix.SecretKey) ([]byte, error) {
	raw := namespace.SignNote(p.Append(nil), k).Append(nil)
	if err := checkPublication(raw, k.Public()); err != nil {
		return nil, fmt.Errorf("sign publication of %s: %w", p.Namespace, err)
	}
	return raw, nil
}

// checkPublication checks what its publisher alone is to blame for.
func checkPublication(raw []byte, signer nix.PublicKey) error {
	if len(raw) > namespace.MaxPublication {
		return refuse(TooLarge, "%d bytes, at most %d are allowed", len(raw), namespace.MaxPublication)
	}
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return refuseBecause(Malformed, err)
	}
	p, err := namespace.ParsePublication(note.Text)
	if err != nil {
		return refuseBecause(Malformed, err)
	}
	o := &origin{signer: &member{key: signer}}
	var signatures nix.BulkVerifier
	return forEach(len(p.Entries), func(i int) error {
		_, err := o.verify(&p.Entries[i], &signatures)
		return err
	})
}

// SignDocument returns the signed form of d. What a reader would refuse, such as
// another key than the namespace's, is an error.
func SignDocument(d *namespace.Document, root nix.SecretKey) ([]byte, error) {
	raw := namespace.SignNote(d.Append(nil), root).Append(nil)
	if _, err := VerifyDocument(d.Namespace, raw); err != nil {
		return nil, fmt.Errorf("sign document of %s: %w", d.Namespace, err)
	}
	return raw, nil
}
