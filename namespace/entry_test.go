package namespace_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// TestCheck is about entries that nobody parsed.
func TestCheck(t *testing.T) {
	many := func(n int) (refs []nix.StorePath) {
		for _, name := range numbered("x%d", n) {
			refs = append(refs, path(t, name))
		}
		slices.SortFunc(refs, nix.StorePath.Compare)
		return refs
	}
	for what, c := range map[string]struct {
		change func(e *namespace.Entry)
		says   string // "": nothing is wrong
	}{
		"nothing":           {func(e *namespace.Entry) {}, ""},
		"no path":           {func(e *namespace.Entry) { e.Path = nix.StorePath{} }, "no store path"},
		"no size":           {func(e *namespace.Entry) { e.NarSize = 0 }, "NarSize 0"},
		"the largest":       {func(e *namespace.Entry) { e.NarSize = nix.MaxNarSize }, ""},
		"larger":            {func(e *namespace.Entry) { e.NarSize = nix.MaxNarSize + 1 }, "NarSize"},
		"references":        {func(e *namespace.Entry) { e.Slots, e.References = nil, many(nix.MaxReferences) }, ""},
		"more references":   {func(e *namespace.Entry) { e.Slots, e.References = nil, many(nix.MaxReferences+1) }, "65537 references"},
		"unsorted":          {func(e *namespace.Entry) { slices.Reverse(e.References) }, "not sorted"},
		"twice":             {func(e *namespace.Entry) { e.References[1] = e.References[0] }, "not sorted and unique"},
		"no signature":      {func(e *namespace.Entry) { e.Sigs = nil }, "0 signatures"},
		"signatures":        {func(e *namespace.Entry) { e.Sigs = signatures(nix.MaxSigs) }, ""},
		"more signatures":   {func(e *namespace.Entry) { e.Sigs = signatures(nix.MaxSigs + 1) }, "17 signatures"},
		"unsorted sigs":     {func(e *namespace.Entry) { slices.Reverse(e.Sigs) }, "signatures are not sorted"},
		"a signature twice": {func(e *namespace.Entry) { e.Sigs[1] = e.Sigs[0] }, "sorted and unique"},
		"no deriver":        {func(e *namespace.Entry) { e.Deriver = "" }, ""},
		"a deriver's path":  {func(e *namespace.Entry) { e.Deriver = "/nix/store/" + e.Deriver }, "deriver"},
		"a deriver's line":  {func(e *namespace.Entry) { e.Deriver = "a\n" + e.Deriver }, "deriver"},
		"unknown lines":     {func(e *namespace.Entry) { e.Unknown = numbered("x%d", namespace.MaxEntryUnknown) }, ""},
		"more of them":      {func(e *namespace.Entry) { e.Unknown = numbered("x%d", namespace.MaxEntryUnknown+1) }, "unknown lines"},
		"no slots":          {func(e *namespace.Entry) { e.Slots = nil }, ""},
		"a slot twice":      {func(e *namespace.Entry) { e.Slots[1] = e.Slots[0] }, "comes twice"},
		"its own twice":     {func(e *namespace.Entry) { e.Slots[1] = e.Slots[2]; e.References = nil }, "slot"},
		"a foreign slot":    {func(e *namespace.Entry) { e.Slots[0] = path(t, "other").Hash() }, "neither a reference nor the path"},
		"no body":           {func(e *namespace.Entry) { e.Body, e.Slots = [32]byte{}, nil }, ""},
		"slots for no body": {func(e *namespace.Entry) { e.Body = [32]byte{} }, "slots without a body"},
	} {
		e := publication(t).Entries[0]
		e.Sort()
		c.change(&e)
		err := e.Check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: have error %v, want one that says %q", what, err, c.says)
		}
	}
}

// signatures returns n, in the order that texts have.
func signatures(n int) []nix.Signature {
	sigs := make([]nix.Signature, n)
	for i, name := range numbered("k%02d", n) {
		sigs[i].Name = name
	}
	return sigs
}

// TestLongList: a list is counted before there is room made for it.
func TestLongList(t *testing.T) {
	e := entry(t, secret(t, "ci"), "hello")
	e.Deriver = ""
	text := string(e.Append(nil))
	for field, limit := range map[string]int{"References: ": nix.MaxReferences, "Slots: ": nix.MaxReferences + 1} {
		long := strings.Replace(text, field, field+strings.Repeat("x ", limit), 1)
		if err := parseEntry([]byte(long)); err == nil || !strings.Contains(err.Error(), "a list of") {
			t.Errorf("%s%d words more: have error %v", field, limit, err)
		}
		fits := strings.Replace(text, field, field+strings.Repeat("x ", limit-1), 1)
		if err := parseEntry([]byte(fits)); err == nil || strings.Contains(err.Error(), "a list of") {
			t.Errorf("%s%d words more: have error %v, want one about the first word", field, limit-1, err)
		}
	}
}

// TestOwnSlot: a path need not refer to itself to have its own hash in it.
func TestOwnSlot(t *testing.T) {
	e := entry(t, secret(t, "ci"), "hello")
	e.References = nil
	if err := e.Check(); err != nil {
		t.Errorf("its own slot: %v", err)
	}
	e.Slots = append(e.Slots, e.Path.Hash())
	if err := e.Check(); err == nil {
		t.Error("its own slot twice is accepted")
	}
}

func TestSort(t *testing.T) {
	e := publication(t).Entries[0]
	sorted := e
	sorted.Sort()
	e.References = append(slices.Clone(sorted.References), sorted.References...)
	e.Sigs = append(slices.Clone(sorted.Sigs), sorted.Sigs...)
	slices.Reverse(e.References)
	slices.Reverse(e.Sigs)
	e.Sort()
	if !slices.Equal(e.References, sorted.References) || !slices.Equal(e.Sigs, sorted.Sigs) {
		t.Errorf("%v and %v, want %v and %v", e.References, e.Sigs, sorted.References, sorted.Sigs)
	}
}
