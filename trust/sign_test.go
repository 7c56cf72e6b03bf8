package trust_test

import (
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

func TestSignEntry(t *testing.T) {
	h := newHouse(t)
	e := h.entry("hello", h.ci)
	byRoot := h.root.Sign(e.Fingerprint())
	stale := nix.Signature{Name: "ci", Sig: [64]byte{1}}
	refs := []nix.StorePath{path(t, "zlib"), path(t, "glibc"), path(t, "zlib")}
	given := slices.Clone(refs)
	e.References, e.Sigs = refs, []nix.Signature{stale, byRoot}
	trust.SignEntry(&e, h.ci)
	if len(e.Sigs) != 2 || slices.Contains(e.Sigs, stale) || !slices.Contains(e.Sigs, byRoot) {
		t.Errorf("signatures %v", e.Sigs)
	}
	if i := slices.IndexFunc(e.Sigs, func(s nix.Signature) bool { return h.ci.Public().Verify(e.Fingerprint(), s) }); i < 0 {
		t.Error("no signature by ci")
	}
	if err := e.Check(); err != nil {
		t.Errorf("not fit for a text: %v", err)
	}
	if !slices.Equal(refs, given) {
		t.Error("the caller's references were moved")
	}
}

func TestSignPublication(t *testing.T) {
	h := newHouse(t)
	good := h.entry("hello", h.ci)
	unsigned := good
	unsigned.Sigs = []nix.Signature{h.zoe.Sign(good.Fingerprint())}
	stale := good
	stale.NarSize++
	for what, c := range map[string]struct {
		p   *namespace.Publication
		why trust.Reason
	}{
		"an entry of another's": {h.draft(day(1), unsigned), trust.NoSignature},
		"a stale signature":     {h.draft(day(1), stale), trust.BadSignature},
		"an entry twice":        {h.draft(day(1), good, good), trust.Malformed},
		"no namespace":          {&namespace.Publication{Time: day(1), Expires: day(2)}, trust.Malformed},
		"no life":               {&namespace.Publication{Namespace: h.address(), Time: day(1), Expires: day(1)}, trust.Malformed},
		"a line in a name":      {&namespace.Publication{Namespace: h.address(), Time: day(1), Expires: day(2), Pins: []namespace.Pin{{Name: "a\nhole b"}}}, trust.Malformed},
	} {
		t.Run(what, func(t *testing.T) {
			raw, err := trust.SignPublication(c.p, h.ci)
			refused(t, err, c.why)
			if raw != nil {
				t.Error("there is a text beside the error")
			}
		})
	}
	_, err := trust.SignPublication(h.draft(day(1)), secret(t, "name+of@upstream"))
	refused(t, err, trust.Malformed)

	// Unsorted entries are sorted, and the caller's left alone.
	a, b := h.entry("a", h.ci), h.entry("b", h.ci)
	if a.Path.Compare(b.Path) < 0 {
		a, b = b, a
	}
	p := h.draft(day(1), a, b)
	v := must(h.policy().VerifyPublication(must(trust.SignPublication(p, h.ci))(t)))(t)
	if v.Value().Entries[0].Path != b.Path || p.Entries[0].Path != a.Path {
		t.Error("entries are not sorted in the text alone")
	}
}

// TestRenewal is a publication of roots and uses alone.
func TestRenewal(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	first := must(p.VerifyPublication(h.publication(h.ci, day(1))))(t)
	d := h.draft(day(80))
	d.Roots, d.Uses = first.Value().Roots, []namespace.ID{first.ID()}
	v := must(p.VerifyPublication(must(trust.SignPublication(d, h.ci))(t)))(t)
	if len(v.Entries()) != 0 || v.Value().Uses[0] != first.ID() {
		t.Errorf("%+v", v.Value())
	}
}

func TestNarInfo(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	e := h.entry("hello", h.ci)
	text := e.Fingerprint()
	e.Deriver = path(t, "hello.drv").Base()
	byCI := e.Sigs[0]
	byRoot := h.root.Sign(text)
	notByZoe := nix.Signature{Name: "zoe", Sig: byRoot.Sig}
	e.Sigs = []nix.Signature{byCI, byRoot, notByZoe, h.old1.Sign(text), secret(t, "stranger").Sign(text)}
	e.Sort()
	v := must(p.VerifyPublication(h.signed(h.ci, day(1), e)))(t).Entries()[0]

	local := secret(t, "flurry-local-1")
	raw := v.NarInfo("nar/some.nar", v.Countersign(local), byRoot)
	n := must(nix.ParseNarInfo(raw))(t)
	want := []nix.Signature{byRoot, byCI, local.Sign(text)}
	if !slices.Equal(n.Sigs, want) {
		t.Errorf("signatures %v, want %v", n.Sigs, want)
	}
	if n.StorePath != e.Path || n.URL != "nar/some.nar" || n.Compression != "none" || n.FileSize != e.NarSize || n.FileHash != "" ||
		n.NarHash != e.NarHash || n.NarSize != e.NarSize || !slices.Equal(n.References, e.References) || n.Deriver != e.Deriver || n.CA != "" {
		t.Errorf("%s", raw)
	}
	if string(n.Fingerprint()) != string(text) {
		t.Error("the narinfo's fingerprint is not the entry's")
	}
}

// TestCountersigned: the root publishes a writer's entry again, and stock Nix,
// which knows the root key alone, is content.
func TestCountersigned(t *testing.T) {
	h := newHouse(t)
	p := h.policy()
	v := must(p.VerifyPublication(h.publication(h.ci, day(1))))(t).Entries()[0]
	again := *v.Entry()
	trust.SignEntry(&again, h.root)
	second := must(p.VerifyPublication(h.signed(h.root, day(2), again)))(t).Entries()[0]
	n := must(nix.ParseNarInfo(second.NarInfo("nar/x.nar")))(t)
	if second.Seniority() != 0 || len(n.Sigs) != 2 || !slices.Contains(n.Sigs, v.Countersign(h.root)) {
		t.Errorf("seniority %d, signatures %v", second.Seniority(), n.Sigs)
	}
	if len(v.Entry().Sigs) != 1 {
		t.Error("the writer's entry was altered")
	}
}
