package namespace

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
)

// Entry is one store path as a publication lists it: what a narinfo says, and
// where its content is.
type Entry struct {
	Path       nix.StorePath
	NarHash    nix.NarHash
	NarSize    uint64          // bytes, 1 to nix.MaxNarSize
	References []nix.StorePath // sorted and unique
	Deriver    string          // base name ending in ".drv", or ""; no signature of Nix covers it
	Sigs       []nix.Signature // 1 to nix.MaxSigs, sorted by their texts and unique
	Body       content.BodyID  // zero: not known, only outside publications
	Slots      []nix.PathHash  // in order of first use; each of a reference or of Path
	Unknown    []string        // lines of later versions, in their order
}

// HasBody reports whether the entry names its body.
func (e *Entry) HasBody() bool { return e.Body != content.BodyID{} }

// Fingerprint returns the text that the entry's signatures sign.
func (e *Entry) Fingerprint() []byte {
	return nix.Fingerprint(e.Path, e.NarHash, e.NarSize, e.References)
}

// Append appends the entry's lines, the inverse of [ParseEntry]. References and
// signatures are printed sorted, in whatever order e has them.
func (e *Entry) Append(dst []byte) []byte {
	dst = append(dst, "StorePath: "+nix.StoreDir+"/"...)
	dst = appendBase(dst, e.Path)
	dst = appendLine(dst, "\nNarHash: ", e.NarHash.String())
	dst = append(dst, "NarSize: "...)
	dst = strconv.AppendUint(dst, e.NarSize, 10)
	dst = append(dst, "\nReferences: "...)
	for i, ref := range inOrder(e.References, nix.StorePath.Compare) {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendBase(dst, ref)
	}
	dst = append(dst, '\n')
	if e.Deriver != "" {
		dst = appendLine(dst, "Deriver: ", e.Deriver)
	}
	for _, sig := range inOrder(e.Sigs, compareSigs) {
		dst = append(append(append(dst, "Sig: "...), sig.Name...), ':')
		dst = append(base64.StdEncoding.AppendEncode(dst, sig.Sig[:]), '\n')
	}
	if e.HasBody() {
		dst = append(ID(e.Body).appendTo(append(dst, "Body: "...)), '\n')
		dst = appendSlots(dst, e.Slots)
	}
	return appendLines(dst, e.Unknown)
}

func appendSlots(dst []byte, slots []nix.PathHash) []byte {
	dst = append(dst, "Slots: "...)
	for i, slot := range slots {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = slot.AppendTo(dst)
	}
	return append(dst, '\n')
}

// Sort puts references and signatures, in place, in the order that texts have,
// each once.
func (e *Entry) Sort() {
	slices.SortFunc(e.References, nix.StorePath.Compare)
	e.References = slices.Compact(e.References)
	slices.SortFunc(e.Sigs, compareSigs)
	e.Sigs = slices.Compact(e.Sigs)
}

// compareSigs orders signatures as their texts are ordered.
func compareSigs(a, b nix.Signature) int { return strings.Compare(a.String(), b.String()) }

func appendBase(dst []byte, p nix.StorePath) []byte {
	dst = append(p.Hash().AppendTo(dst), '-')
	return append(dst, p.Name()...)
}

// inOrder returns s if it is sorted, else a sorted copy.
func inOrder[T any](s []T, compare func(a, b T) int) []T {
	if slices.IsSortedFunc(s, compare) {
		return s
	}
	s = slices.Clone(s)
	slices.SortStableFunc(s, compare)
	return s
}

// rising reports whether each element is greater than the one before.
func rising[T any](s []T, compare func(a, b T) int) bool {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			return false
		}
	}
	return true
}

// Check returns an error unless the values are ones that an entry can have. A
// parsed entry has been checked.
func (e *Entry) Check() error {
	switch {
	case e.Path.IsZero():
		return fmt.Errorf("no store path")
	case e.NarSize == 0 || e.NarSize > nix.MaxNarSize:
		return fmt.Errorf("NarSize %d is not between 1 and %d", e.NarSize, uint64(nix.MaxNarSize))
	case len(e.References) > nix.MaxReferences:
		return fmt.Errorf("%d references, at most %d are allowed", len(e.References), nix.MaxReferences)
	case !rising(e.References, nix.StorePath.Compare):
		return fmt.Errorf("references are not sorted and unique")
	case len(e.Sigs) == 0 || len(e.Sigs) > nix.MaxSigs:
		return fmt.Errorf("%d signatures, want 1 to %d", len(e.Sigs), nix.MaxSigs)
	case !rising(e.Sigs, compareSigs):
		return fmt.Errorf("signatures are not sorted and unique")
	}
	if e.Deriver != "" {
		if err := checkDeriver(e.Deriver); err != nil {
			return err
		}
	}
	if err := e.checkSlots(); err != nil {
		return err
	}
	if len(e.Unknown) > MaxEntryUnknown {
		return fmt.Errorf("%d unknown lines, at most %d are allowed", len(e.Unknown), MaxEntryUnknown)
	}
	return nil
}

func checkDeriver(s string) error {
	if _, err := nix.ParseBaseName(s); err != nil {
		return fmt.Errorf("deriver: %w", err)
	}
	if !strings.HasSuffix(s, ".drv") {
		return fmt.Errorf("deriver %s does not end in .drv", quote(s))
	}
	return nil
}

// checkSlots checks that every slot is the hash part of a reference or of the
// path, and that none comes twice.
func (e *Entry) checkSlots() error {
	if len(e.Slots) > 0 && !e.HasBody() {
		return fmt.Errorf("slots without a body")
	}
	if len(e.Slots) > len(e.References)+1 {
		return fmt.Errorf("%d slots for %d references", len(e.Slots), len(e.References))
	}
	used := make([]bool, len(e.References)+1) // the last stands for the path itself
	for _, slot := range e.Slots {
		i, found := slices.BinarySearchFunc(e.References, slot, func(ref nix.StorePath, h nix.PathHash) int {
			return ref.Hash().Compare(h)
		})
		if !found && slot == e.Path.Hash() {
			i, found = len(e.References), true
		}
		if !found {
			return fmt.Errorf("slot %s is neither a reference nor the path itself", slot)
		}
		if used[i] {
			return fmt.Errorf("slot %s comes twice", slot)
		}
		used[i] = true
	}
	return nil
}
