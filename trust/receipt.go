package trust

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Receipt is a receipt that the seed which it names has signed. Only
// [VerifyReceipt] makes one; the zero value is none. It proves what the seed
// said, not that it is true.
type Receipt struct {
	value *namespace.Receipt
	seed  string
	raw   []byte
}

// VerifyReceipt checks that raw is a receipt, signed by the key that its
// signer's name spells, and by nobody else. Whose receipt is wanted, for which
// publication, and whether its promise still holds is for the caller to compare.
func VerifyReceipt(raw []byte) (Receipt, error) {
	if len(raw) > namespace.MaxReceipt {
		return Receipt{}, refuse(TooLarge, "receipt of %d bytes, at most %d are allowed", len(raw), namespace.MaxReceipt)
	}
	raw = bytes.Clone(raw)
	note, err := namespace.ParseNote(raw)
	if err != nil {
		return Receipt{}, refuseBecause(Malformed, err)
	}
	key, err := namespace.SeedKey(note.Signer)
	if err != nil {
		return Receipt{}, refuseBecause(Malformed, err)
	}
	// The key is read as those of namespaces are: no point of small order, for
	// which anything is a signature.
	public, err := nix.ParsePublicKey(nix.PublicKey{Name: note.Signer, Key: [ed25519.PublicKeySize]byte(key)}.String())
	if err != nil {
		return Receipt{}, refuseBecause(Malformed, err)
	}
	if !note.SignedBy(public) {
		return Receipt{}, refuse(BadSignature, "receipt %s is not signed by %s", note.ID().Short(), note.Signer)
	}
	value, err := namespace.ParseReceipt(note.Text)
	if err != nil {
		return Receipt{}, refuseBecause(Malformed, err)
	}
	return Receipt{value: value, seed: note.Signer, raw: raw}, nil
}

// IsZero reports whether r is the zero value, which is no receipt.
func (r Receipt) IsZero() bool { return r.value == nil }

// Value returns what the receipt says, to be read only.
func (r Receipt) Value() *namespace.Receipt { return r.value }

// Seed returns the peer id of who signed it.
func (r Receipt) Seed() string { return r.seed }

// Raw returns the signed form, to be read only.
func (r Receipt) Raw() []byte { return r.raw }

// SignReceipt returns the signed form of r, by the key of the seed's peer id.
func SignReceipt(r *namespace.Receipt, seed ed25519.PrivateKey) ([]byte, error) {
	name := namespace.SeedName(seed.Public().(ed25519.PublicKey))
	key, err := nix.NewSecretKey(name, bytes.NewReader(seed.Seed()))
	if err != nil {
		return nil, fmt.Errorf("sign receipt: %w", err)
	}
	raw := namespace.SignNote(r.Append(nil), key).Append(nil)
	if _, err := VerifyReceipt(raw); err != nil {
		return nil, fmt.Errorf("sign receipt of %s: %w", r.Namespace, err)
	}
	return raw, nil
}
