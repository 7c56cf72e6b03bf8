package nix

import (
	"slices"
	"strconv"
)

// NarInfo is what a binary cache says of one store path. Its signatures cover
// StorePath, NarHash, NarSize and References, and nothing else: URL,
// Compression, FileHash, FileSize, Deriver and CA are hearsay.
type NarInfo struct {
	StorePath   StorePath
	URL         string // where the NAR is, relative to the cache; never absolute, never climbing out of it
	Compression string // one of Nix's names; "none" for none
	FileHash    string // of the compressed file, as given; "" when absent
	FileSize    uint64 // of the compressed file, in bytes; 0 when absent
	NarHash     NarHash
	NarSize     uint64      // in bytes, 1 to MaxNarSize
	References  []StorePath // sorted by Base, unique; with StorePath itself if the path refers to itself
	Deriver     string      // base name ending in .drv, or ""
	Sigs        []Signature // unique, in the order given, at most MaxSigs
	CA          string      // content address, well-formed but unproven, or ""
}

// AppendText appends the narinfo to b in the order of fields that Nix writes,
// which every Nix since 2.3 reads.
func (n *NarInfo) AppendText(b []byte) []byte {
	b = n.StorePath.appendAbsolute(append(b, "StorePath: "...))
	b = appendField(b, "\nURL: ", n.URL)
	b = appendField(b, "\nCompression: ", n.Compression)
	if n.FileHash != "" {
		b = appendField(b, "\nFileHash: ", n.FileHash)
	}
	if n.FileSize != 0 {
		b = strconv.AppendUint(append(b, "\nFileSize: "...), n.FileSize, 10)
	}
	b = append(b, "\nNarHash: sha256:"...)
	b = appendNix32(b, n.NarHash[:])
	b = strconv.AppendUint(append(b, "\nNarSize: "...), n.NarSize, 10)
	// With no references the space stays: Nix skips the byte after the colon,
	// whatever it is, and would skip the newline.
	b = append(b, "\nReferences: "...)
	for i, ref := range n.References {
		if i > 0 {
			b = append(b, ' ')
		}
		b = ref.appendBase(b)
	}
	if n.Deriver != "" {
		b = appendField(b, "\nDeriver: ", n.Deriver)
	}
	for _, sig := range n.Sigs {
		b = appendField(b, "\nSig: ", sig.String())
	}
	if n.CA != "" {
		b = appendField(b, "\nCA: ", n.CA)
	}
	return append(b, '\n')
}

func appendField(b []byte, key, value string) []byte {
	return append(append(b, key...), value...)
}

// Fingerprint returns the text that the narinfo's signatures sign.
func (n *NarInfo) Fingerprint() []byte {
	return Fingerprint(n.StorePath, n.NarHash, n.NarSize, n.References)
}

// Fingerprint returns the text that a signature of a path signs
// (libstore/path-info.cc):
//
//	1;/nix/store/<hash>-<name>;sha256:<nix32>;<size>;<reference>,<reference>
//
// with references as absolute paths. They may be given in any order and
// repeated; in the text they are sorted and unique.
func Fingerprint(p StorePath, h NarHash, size uint64, refs []StorePath) []byte {
	refs = sortedUnique(refs)
	const perReference = len(StoreDir) + pathHashChars + 32 // a guess at the name
	b := make([]byte, 0, 256+perReference*len(refs))
	b = p.appendAbsolute(append(b, "1;"...))
	b = append(b, ";sha256:"...)
	b = appendNix32(b, h[:])
	b = append(b, ';')
	b = strconv.AppendUint(b, size, 10)
	b = append(b, ';')
	for i, ref := range refs {
		if i > 0 {
			b = append(b, ',')
		}
		b = ref.appendAbsolute(b)
	}
	return b
}

// sortedUnique returns refs sorted by base name and without repetitions. It
// returns refs itself where that holds already, and never alters it.
func sortedUnique(refs []StorePath) []StorePath {
	ascending := true
	for i := 1; i < len(refs) && ascending; i++ {
		ascending = refs[i-1].Compare(refs[i]) < 0
	}
	if ascending {
		return refs
	}
	refs = slices.Clone(refs)
	slices.SortFunc(refs, StorePath.Compare)
	return slices.Compact(refs)
}
