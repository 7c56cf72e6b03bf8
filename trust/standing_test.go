package trust_test

import (
	"testing"
	"time"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func TestStanding(t *testing.T) {
	h := newHouse(t)
	id := namespace.ID{7}
	h.kept.Publications = []namespace.ID{id}
	p := h.policy()
	issued, documentExpires := day(0), day(200)
	const second = time.Second
	for what, c := range map[string]struct {
		signer        nix.SecretKey
		time, expires time.Time
		now           time.Time
		state         trust.State
		until         time.Time
		why           trust.Reason
	}{
		"live":                          {h.ci, day(1), day(9), day(2), trust.Live, day(9), ""},
		"a little ahead":                {h.ci, day(2).Add(trust.MaxAhead), day(9), day(2), trust.Live, day(9), ""},
		"too far ahead":                 {h.ci, day(2).Add(trust.MaxAhead + second), day(9), day(2), trust.Held, day(2).Add(second), trust.FutureDated},
		"the root too far ahead":        {h.root, day(3), day(9), day(2), trust.Held, day(3).Add(-trust.MaxAhead), trust.FutureDated},
		"last moment":                   {h.ci, day(1), day(9), day(9).Add(-second), trust.Live, day(9), ""},
		"expired":                       {h.ci, day(1), day(9), day(9), trust.Expired, time.Time{}, trust.PastExpiry},
		"the root's expired":            {h.root, day(1), day(9), day(9), trust.Expired, time.Time{}, trust.PastExpiry},
		"dated at the document's end":   {h.ci, documentExpires, day(300), day(250), trust.Live, day(300), ""},
		"dated after it":                {h.ci, documentExpires.Add(second), day(300), day(250), trust.Frozen, time.Time{}, trust.DocumentExpired},
		"the root's, dated after it":    {h.root, documentExpires.Add(second), day(300), day(250), trust.Live, day(300), ""},
		"frozen before expired":         {h.ci, day(201), day(202), day(250), trust.Frozen, time.Time{}, trust.DocumentExpired},
		"frozen before held":            {h.ci, day(260), day(300), day(250), trust.Frozen, time.Time{}, trust.DocumentExpired},
		"accepted before it":            {h.ci, day(199), day(300), day(250), trust.Live, day(300), ""},
		"kept of a closed writer":       {h.old2, day(1), day(9), day(2), trust.Live, day(9), ""},
		"kept, dated after it":          {h.old2, day(201), day(300), day(250), trust.Live, day(300), ""},
		"kept, expired":                 {h.old2, day(1), day(9), day(10), trust.Expired, time.Time{}, trust.PastExpiry},
		"a closed writer's":             {h.old1, day(1), day(9), day(2), trust.Refused, time.Time{}, trust.WriterClosed},
		"a closed writer's, expired":    {h.old1, day(1), day(9), day(10), trust.Refused, time.Time{}, trust.WriterClosed},
		"a stranger's":                  {secret(t, "stranger"), day(1), day(9), day(2), trust.Refused, time.Time{}, trust.NotAWriter},
		"a clock gone back, live":       {h.ci, issued, day(9), day(-500), trust.Live, day(9), ""},
		"a clock gone back, expired":    {h.ci, day(-9), issued, day(-500), trust.Expired, time.Time{}, trust.PastExpiry},
		"a clock gone back, not ahead":  {h.ci, issued.Add(trust.MaxAhead), day(9), day(-500), trust.Live, day(9), ""},
		"a clock gone back, far ahead":  {h.ci, issued.Add(trust.MaxAhead + second), day(9), day(-500), trust.Held, issued.Add(second), trust.FutureDated},
		"a writer who left, in time":    {h.zoe, day(100), day(120), day(110), trust.Live, day(120), ""},
		"a writer who left, afterwards": {h.zoe, day(101), day(120), day(110), trust.Refused, time.Time{}, trust.WriterExpired},
	} {
		f := trust.Facts{ID: id, Signer: c.signer.Public(), Time: c.time, Expires: c.expires}
		s := p.Judge(f, c.now)
		if s.State != c.state || !s.Until.Equal(c.until) || (s.Err == nil) != (c.why == "") {
			t.Errorf("%s: %+v, want state %v until %s", what, s, c.state, c.until)
		}
		if c.why != "" {
			t.Run(what, func(t *testing.T) { refused(t, s.Err, c.why) })
		}
	}
}

// TestHeldEndsWhenItSays asks again at the time a standing gives.
func TestHeldEndsWhenItSays(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	v := must(p.VerifyPublication(h.publication(h.ci, day(5))))(t)
	s := v.Standing(p, day(1))
	if s.State != trust.Held {
		t.Fatalf("%+v", s)
	}
	if before := v.Standing(p, s.Until.Add(-time.Second)); before.State != trust.Held {
		t.Errorf("a second before: %+v", before)
	}
	if after := v.Standing(p, s.Until); after.State != trust.Live {
		t.Errorf("then: %+v", after)
	}
}

func TestStandingInAnotherNamespace(t *testing.T) {
	h := newHouse(t)
	v := must(h.policy().VerifyPublication(h.publication(h.ci, day(1))))(t)
	other := newHouse(t)
	other.root = secret(t, "other-1")
	other.kept.Namespace, other.document.Namespace = other.address(), other.address()
	p := other.policy()
	refused(t, v.Standing(p, day(2)).Err, trust.WrongNamespace)
	_, err := p.Readmit(v.Entries()[0])
	refused(t, err, trust.WrongNamespace)
}

func TestNow(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	for clock, want := range map[time.Time]time.Time{day(-1): day(0), day(0): day(0), day(1): day(1)} {
		if now := p.Now(clock); !now.Equal(want) {
			t.Errorf("at %s it is %s, want %s", clock, now, want)
		}
	}
	upstream := trust.NewUpstreamPolicy(h.address())
	if now := upstream.Now(day(-1)); !now.Equal(day(-1)) {
		t.Errorf("upstream, it is %s", now)
	}
}
