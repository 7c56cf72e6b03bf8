package namespace

import (
	"fmt"
	"net/url"
	"strings"
)

// Hints says where a namespace may be found. They are no part of its identity:
// addresses are hashed, compared and signed without them.
type Hints struct {
	Seeds []string // multiaddrs, in order of preference
}

// ParseHinted reads an address that may carry hints,
// "name:base64?seed=MULTIADDR&seed=MULTIADDR". Values are percent-encoded where
// they have to be. Hints of other names are ignored, so that later ones can be
// pasted into older nodes.
func ParseHinted(s string) (Address, Hints, error) {
	base, query, _ := strings.Cut(s, "?")
	a, err := ParseAddress(base)
	if err != nil {
		return Address{}, Hints{}, err
	}
	h, err := parseHints(query)
	if err != nil {
		return Address{}, Hints{}, fmt.Errorf("hints of %s: %w", quote(a.Name()), err)
	}
	return a, h, nil
}

func parseHints(query string) (Hints, error) {
	var h Hints
	for hint := range strings.SplitSeq(query, "&") {
		escaped, ok := strings.CutPrefix(hint, "seed=")
		if !ok {
			continue
		}
		seed, err := url.PathUnescape(escaped)
		if err != nil {
			return Hints{}, fmt.Errorf("%s is not percent-encoded", quote(escaped))
		}
		if err := checkSeed(seed); err != nil {
			return Hints{}, err
		}
		if len(h.Seeds) == MaxSeeds {
			return Hints{}, fmt.Errorf("more than %d seeds", MaxSeeds)
		}
		h.Seeds = append(h.Seeds, seed)
	}
	return h, nil
}

// Hinted returns the address with hints, to be pasted elsewhere. ParseHinted
// reads it.
func Hinted(a Address, h Hints) string {
	escape := strings.NewReplacer("%", "%25", "&", "%26", "#", "%23")
	var b strings.Builder
	b.WriteString(a.String())
	for i, seed := range h.Seeds {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString("seed=" + escape.Replace(seed))
	}
	return b.String()
}

// checkSeed checks the outer form of a multiaddr. What it means is for whoever
// dials it.
func checkSeed(s string) error {
	if err := checkPrintable(s, MaxSeedLength); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if s[0] != '/' || len(s) == 1 {
		return fmt.Errorf("seed: %s is not a multiaddr", quote(s))
	}
	return nil
}
