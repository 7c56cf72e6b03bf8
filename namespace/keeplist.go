package namespace

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

const keepListTitle = "flurry keep 1"

// KeepList names the publications of a closed writer that stay. Its text is not
// signed: a document that closes a writer names the list's id.
type KeepList struct {
	Namespace    Address
	Publications []ID // sorted and unique when parsed
}

// ParseKeepList reads the text of a kept list, at most [MaxKeepList] bytes.
func ParseKeepList(raw []byte) (*KeepList, error) {
	if len(raw) > MaxKeepList {
		return nil, fmt.Errorf("kept list: %d bytes, at most %d are allowed", len(raw), MaxKeepList)
	}
	l := newLines(string(raw), 1)
	l.title(keepListTitle)
	k := &KeepList{
		Namespace:    one(l, "namespace ", parsePublisher),
		Publications: sorted(l, "", noLimit, parseDigest),
	}
	if l.err != nil {
		return nil, fmt.Errorf("kept list: %w", l.err)
	}
	return k, nil
}

// Append appends the text: the inverse of [ParseKeepList]. Publications are
// printed sorted, each once, in whatever order k has them.
func (k *KeepList) Append(dst []byte) []byte {
	dst = appendLine(dst, keepListTitle, "")
	dst = appendLine(dst, "namespace ", k.Namespace.String())
	ids := slices.Clone(k.Publications)
	slices.SortFunc(ids, ID.Compare)
	for _, id := range slices.Compact(ids) {
		dst = append(id.appendTo(dst), '\n')
	}
	return dst
}

// ID returns the SHA-256 of the text, by which a document names it.
func (k *KeepList) ID() ID { return sha256.Sum256(k.Append(nil)) }

// Has reports whether the list, which must be sorted as a parsed one is, names
// the publication.
func (k *KeepList) Has(id ID) bool {
	_, found := slices.BinarySearchFunc(k.Publications, id, ID.Compare)
	return found
}
