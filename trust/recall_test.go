package trust_test

import (
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func TestRecall(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	e := h.entry("hello", h.ci)
	pub := namespace.ID{1}
	v := must(p.Recall(&e, pub, h.ci.Public()))(t)
	if v.IsZero() || v.Entry() != &e || v.Publication() != pub || v.Signer() != h.ci.Public() || v.Seniority() != 1 ||
		v.Address() != h.address() || v.Path() != e.Path {
		t.Errorf("%+v", v)
	}

	_, err := p.Recall(&e, namespace.ID{}, h.ci.Public())
	refused(t, err, trust.NoPublication)
	_, err = p.Recall(&e, pub, h.zoe.Public())
	refused(t, err, trust.NoSignature)
	_, err = p.Recall(&e, pub, secret(t, "stranger").Public())
	refused(t, err, trust.NotAWriter)
	_, err = p.Recall(&e, pub, h.old1.Public())
	refused(t, err, trust.WriterClosed)

	changed := e
	changed.NarSize++
	_, err = p.Recall(&changed, pub, h.ci.Public())
	refused(t, err, trust.BadSignature)
	changed = e
	changed.Slots = []nix.PathHash{path(t, "other").Hash()}
	_, err = p.Recall(&changed, pub, h.ci.Public())
	refused(t, err, trust.Malformed)
}

// upstream is a namespace whose name no text here could be signed with.
func upstream(t *testing.T) (nix.SecretKey, *trust.Policy) {
	t.Helper()
	k := secret(t, "cache+upstream@1")
	return k, trust.NewUpstreamPolicy(namespace.AddressOf(k.Public()))
}

func narInfo(t *testing.T, k nix.SecretKey) *nix.NarInfo {
	t.Helper()
	n := &nix.NarInfo{
		StorePath:   path(t, "hello"),
		URL:         "nar/x.nar.xz",
		Compression: "xz",
		NarHash:     nix.NarHash{5},
		NarSize:     1000,
		References:  []nix.StorePath{path(t, "hello")},
		Deriver:     path(t, "hello.drv").Base(),
	}
	n.Sigs = []nix.Signature{secret(t, "zz").Sign(n.Fingerprint()), k.Sign(n.Fingerprint()), secret(t, "aa").Sign(n.Fingerprint())}
	return n
}

func TestUpstream(t *testing.T) {
	k, p := upstream(t)
	n := narInfo(t, k)
	sigs := slices.Clone(n.Sigs)
	v := must(p.VerifyNarInfo(n))(t)
	e := v.Entry()
	if v.Publication() != (namespace.ID{}) || v.Signer() != k.Public() || v.Seniority() != 0 || v.Address() != p.Address() ||
		e.Path != n.StorePath || e.NarHash != n.NarHash || e.NarSize != n.NarSize || e.Deriver != n.Deriver || e.HasBody() ||
		!slices.Equal(e.References, n.References) || len(e.Sigs) != 3 {
		t.Errorf("%+v", v)
	}
	if !slices.Equal(n.Sigs, sigs) {
		t.Error("the narinfo's signatures were moved")
	}
	if _, ok := p.Document(); ok || !p.Upstream() {
		t.Error("an upstream has a document")
	}

	// Its body becomes known, from a peer's hearsay.
	with := *e
	with.Body, with.Slots = content.BodyID{1}, []nix.PathHash{e.Path.Hash()}
	if again := must(p.Recall(&with, namespace.ID{}, k.Public()))(t); !again.Entry().HasBody() {
		t.Error("the body is gone")
	}
	must(p.Readmit(v))(t)
}

func TestUpstreamRefuses(t *testing.T) {
	k, p := upstream(t)
	for what, c := range map[string]struct {
		change func(n *nix.NarInfo)
		why    trust.Reason
	}{
		"another hash":      {func(n *nix.NarInfo) { n.NarHash[0] ^= 1 }, trust.BadSignature},
		"another path":      {func(n *nix.NarInfo) { n.StorePath = path(t, "other") }, trust.BadSignature},
		"others' sigs only": {func(n *nix.NarInfo) { n.Sigs = slices.Delete(n.Sigs, 1, 2) }, trust.NoSignature},
		"no signature":      {func(n *nix.NarInfo) { n.Sigs = nil }, trust.Malformed},
		"no path":           {func(n *nix.NarInfo) { n.StorePath = nix.StorePath{} }, trust.Malformed},
	} {
		n := narInfo(t, k)
		c.change(n)
		t.Run(what, func(t *testing.T) {
			v, err := p.VerifyNarInfo(n)
			refused(t, err, c.why)
			if !v.IsZero() {
				t.Error("verified")
			}
		})
	}

	e := *must(p.VerifyNarInfo(narInfo(t, k)))(t).Entry()
	_, err := p.Recall(&e, namespace.ID{}, secret(t, "aa").Public())
	refused(t, err, trust.NotAWriter)
	_, err = p.Recall(&e, namespace.ID{1}, k.Public())
	refused(t, err, trust.NoDocument)

	// A namespace with a document takes no narinfo, the root's neither.
	h := newHouse(t)
	_, err = h.policy().VerifyNarInfo(narInfo(t, h.root))
	refused(t, err, trust.NoPublication)
	// And an upstream takes no publication, its own key's neither.
	own := trust.NewUpstreamPolicy(h.address())
	_, err = own.VerifyPublication(h.publication(h.root, day(1)))
	refused(t, err, trust.NoDocument)
	refused(t, own.Judge(trust.Facts{ID: namespace.ID{1}, Signer: h.root.Public()}, day(1)).Err, trust.NoDocument)
}

// TestReadmitAcrossKinds: what counted upstream does not count once the
// namespace has a document.
func TestReadmitAcrossKinds(t *testing.T) {
	h := newHouse(t)
	v := must(trust.NewUpstreamPolicy(h.address()).VerifyNarInfo(narInfo(t, h.root)))(t)
	_, err := h.policy().Readmit(v)
	refused(t, err, trust.NoPublication)
}
