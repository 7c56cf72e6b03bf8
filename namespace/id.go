package namespace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// ID is the SHA-256 of a signed text (without its signature) or of a kept list.
// It is comparable; the zero value stands for "none".
type ID [sha256.Size]byte

const digestPrefix = "sha256:"

// ParseID reads 64 lower-case hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("%s is not an id: %d characters, want %d", quote(s), len(s), hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || strings.ToLower(s) != s {
		return ID{}, fmt.Errorf("%s is not an id: want lower-case hexadecimal digits", quote(s))
	}
	return id, nil
}

// String returns 64 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText is String, so that an id in JSON is its digits.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText is ParseID.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// Short returns the first 8 digits, for people.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero reports whether id is the zero value.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders ids by their bytes, which is also the order of their texts.
func (id ID) Compare(o ID) int { return bytes.Compare(id[:], o[:]) }

// appendTo appends "sha256:" and the digits, the form in texts.
func (id ID) appendTo(b []byte) []byte {
	b = append(b, digestPrefix...)
	return hex.AppendEncode(b, id[:])
}

// text is appendTo as a string.
func (id ID) text() string { return string(id.appendTo(nil)) }

// parseDigest reads "sha256:" and the digits.
func parseDigest(s string) (ID, error) {
	digits, ok := strings.CutPrefix(s, digestPrefix)
	if !ok {
		return ID{}, fmt.Errorf("%s does not begin with %q", quote(s), digestPrefix)
	}
	return ParseID(digits)
}
