package trust_test

import (
	"fmt"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/trust"
)

func fullPublication(t testing.TB, h *house) []byte {
	entries := make([]namespace.Entry, namespace.MaxEntries)
	for i := range entries {
		entries[i] = h.entry(fmt.Sprintf("package-number-%d", i), h.ci)
	}
	d := h.draft(day(1), entries...)
	d.Roots = d.Roots[:1]
	return must(trust.SignPublication(d, h.ci))(t)
}

func TestFullPublication(t *testing.T) {
	h := newHouse(t)
	v := must(h.policy().VerifyPublication(fullPublication(t, h)))(t)
	if len(v.Entries()) != namespace.MaxEntries {
		t.Errorf("%d entries", len(v.Entries()))
	}
}

func BenchmarkVerifyPublication(b *testing.B) {
	h := newHouse(b)
	p := h.policy()
	raw := fullPublication(b, h)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		must(p.VerifyPublication(raw))(b)
	}
}

func BenchmarkRecall(b *testing.B) {
	h := newHouse(b)
	p := h.policy()
	e := h.entry("hello", h.ci)
	b.ReportAllocs()
	for b.Loop() {
		must(p.Recall(&e, namespace.ID{1}, h.ci.Public()))(b)
	}
}

func BenchmarkReadmit(b *testing.B) {
	h := newHouse(b)
	p := h.policy()
	e := h.entry("hello", h.ci)
	v := must(p.Recall(&e, namespace.ID{1}, h.ci.Public()))(b)
	b.ReportAllocs()
	for b.Loop() {
		must(p.Readmit(v))(b)
	}
}

func BenchmarkNarInfo(b *testing.B) {
	h := newHouse(b)
	e := h.entry("hello", h.ci)
	v := must(h.policy().Recall(&e, namespace.ID{1}, h.ci.Public()))(b)
	b.ReportAllocs()
	for b.Loop() {
		if len(v.NarInfo("nar/x.nar")) == 0 {
			b.Fatal("nothing")
		}
	}
}
