package trust

import "github.com/flurry-nix/flurry/nix"

// Verifier verifies many publications of one namespace: what it works out about
// a key serves the next publication too, so that each costs a third of what
// [Policy.VerifyPublication] takes for a small one, with the same outcome. Drop
// it when the many are done: see [nix.BulkVerifier] for what it holds. Several
// goroutines may use one.
type Verifier struct {
	policy     *Policy
	signatures nix.BulkVerifier
}

// NewVerifier returns a verifier of publications under p.
func (p *Policy) NewVerifier() *Verifier { return &Verifier{policy: p} }

// VerifyPublication is [Policy.VerifyPublication].
func (v *Verifier) VerifyPublication(raw []byte) (Publication, error) {
	return v.policy.verify(raw, &v.signatures)
}
