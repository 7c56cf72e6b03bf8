package trust

import (
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Facts is what time and a policy judge a verified publication by. Whoever
// keeps publications keeps these with them, and need not read the text again
// when the document changes.
type Facts struct {
	ID      namespace.ID
	Signer  nix.PublicKey
	Time    time.Time
	Expires time.Time
}

// State is what a publication counts for at some time.
type State int

const (
	Live    State = iota + 1
	Held          // dated too far ahead: counts from Standing.Until on
	Expired       // its own expiry has passed: counts while one that uses it does
	Frozen        // a writer dated it after the document's expiry: waits for a newer document
	Refused       // does not count under this policy
)

// Standing is a publication's state, and why.
type Standing struct {
	State State
	Until time.Time // of Held: when that ends; of Live: its own expiry
	Err   error     // a *Refusal unless Live
}

// Judge says what a publication that was verified once counts for under p, by
// the clock now. Where several things stand against it, the gravest is given:
// Refused, then Frozen, Held, Expired. The namespace's time is [Policy.Now].
func (p *Policy) Judge(f Facts, now time.Time) Standing {
	m, err := p.admitsDated(f)
	if err != nil {
		return Standing{State: Refused, Err: err}
	}
	now = p.Now(now)
	frozenAt := p.document.value.Expires
	heldUntil := f.Time.Add(-MaxAhead)
	switch {
	case m.seniority > 0 && !m.closed && f.Time.After(frozenAt):
		return Standing{State: Frozen, Err: refuse(DocumentExpired,
			"publication %s is dated %s, the document expired %s", f.ID.Short(), stamp(f.Time), stamp(frozenAt))}
	case now.Before(heldUntil):
		return Standing{State: Held, Until: heldUntil, Err: refuse(FutureDated,
			"publication %s is dated %s", f.ID.Short(), stamp(f.Time))}
	case !now.Before(f.Expires):
		return Standing{State: Expired, Err: refuse(PastExpiry,
			"publication %s expired %s", f.ID.Short(), stamp(f.Expires))}
	}
	return Standing{State: Live, Until: f.Expires}
}

// admitsDated is admits and a writer's until. A closed writer has no until: its
// kept list decides alone.
func (p *Policy) admitsDated(f Facts) (*member, error) {
	m, err := p.admits(f.ID, f.Signer)
	if err != nil {
		return nil, err
	}
	if !m.until.IsZero() && f.Time.After(m.until) {
		return nil, refuse(WriterExpired, "publication %s is dated %s, %s was a writer until %s",
			f.ID.Short(), stamp(f.Time), m.key.Name, stamp(m.until))
	}
	return m, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
