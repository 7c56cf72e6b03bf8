package trust_test

import (
	"testing"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func TestPublicationOfEveryMember(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	for seniority, k := range []nix.SecretKey{h.root, h.ci, h.zoe} {
		raw := h.publication(k, day(1))
		v := must(p.VerifyPublication(raw))(t)
		if string(v.Raw()) != string(raw) || v.Signer() != k.Public() || v.BySeniority() != seniority || len(v.Entries()) != 2 {
			t.Errorf("publication by %s: signer %s, seniority %d, %d entries", k.Name(), v.Signer(), v.BySeniority(), len(v.Entries()))
		}
		if s := v.Standing(p, day(2)); s.State != trust.Live || s.Err != nil || !s.Until.Equal(v.Value().Expires) {
			t.Errorf("publication by %s: standing %+v, want live", k.Name(), s)
		}
		for _, e := range v.Entries() {
			if e.IsZero() || e.Address() != h.address() || e.Publication() != v.ID() || e.Signer() != k.Public() || e.Seniority() != seniority {
				t.Errorf("entry of %s by %s: %+v", e.Path(), k.Name(), e)
			}
		}
	}
}
