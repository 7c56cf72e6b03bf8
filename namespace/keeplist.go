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
	k, err := parseKeepList(string(raw))
	if err != nil {
		return nil, fmt.Errorf("kept list: %w", err)
	}
	return k, nil
}

func parseKeepList(text string) (*KeepList, error) {
	k := new(KeepList)
	l := &lines{rest: text, at: 1}
	err := l.one(keepListTitle, nothing)
	if err == nil {
		err = l.one("namespace ", func(v string) (err error) {
			k.Namespace, err = parsePublisher(v)
			return err
		})
	}
	if err == nil {
		err = l.sorted("", func(v string) error {
			id, err := parseDigest(v)
			k.Publications = append(k.Publications, id)
			return err
		})
	}
	if err == nil && l.rest != "" {
		err = fmt.Errorf("line %d: no newline at the end", l.at)
	}
	if err != nil {
		return nil, err
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

// nothing accepts the empty value of a line that is its keyword alone.
func nothing(value string) error {
	if value != "" {
		return fmt.Errorf("%s is too much", quote(value))
	}
	return nil
}
