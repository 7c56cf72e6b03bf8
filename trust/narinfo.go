package trust

import (
	"slices"

	"github.com/flurry-nix/flurry/nix"
)

// NarInfo renders the entry for Nix: url as given, without compression, with
// every signature that is valid under a key of the namespace which is not
// closed, and with extra after them. Signatures besides the one that made v
// are checked here, some 50 µs each.
func (v Verified) NarInfo(url string, extra ...nix.Signature) []byte {
	e := v.entry
	n := nix.NarInfo{
		StorePath:   e.Path,
		URL:         url,
		Compression: "none",
		FileSize:    e.NarSize,
		NarHash:     e.NarHash,
		NarSize:     e.NarSize,
		References:  e.References,
		Deriver:     e.Deriver,
		Sigs:        v.validSigs(),
	}
	for _, sig := range extra {
		if !slices.Contains(n.Sigs, sig) {
			n.Sigs = append(n.Sigs, sig)
		}
	}
	return n.AppendText(nil)
}

func (v Verified) validSigs() []nix.Signature {
	var text []byte
	valid := make([]nix.Signature, 0, len(v.entry.Sigs)+1)
	for i, sig := range v.entry.Sigs {
		if i == v.sig {
			valid = append(valid, sig)
			continue
		}
		m := v.from.policy.members[sig.Name]
		if m == nil || m.closed {
			continue
		}
		if text == nil {
			text = v.entry.Fingerprint()
		}
		if m.key.Verify(text, sig) {
			valid = append(valid, sig)
		}
	}
	return valid
}

// Countersign returns k's signature of the entry, as Nix checks it.
func (v Verified) Countersign(k nix.SecretKey) nix.Signature {
	return k.Sign(v.entry.Fingerprint())
}
