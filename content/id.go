package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
)

// ChunkID is the SHA-256 of a chunk: uncompressed, normalised bytes.
type ChunkID [sha256.Size]byte

// BodyID is the SHA-256 of a body's encoding.
type BodyID [sha256.Size]byte

// The text of a chunk id is a CID version 1 of raw bytes under SHA-256, in
// lower-case base 32 (https://github.com/multiformats/cid): "b", then the base
// 32 of these four bytes and the digest.
const (
	cidMultibase = "b"
	cidPrefix    = "\x01\x55\x12\x20" // CID version, raw, sha2-256, 32 bytes
	cidChars     = 59
)

// cidEncoding is the base 32 of RFC 4648 without padding, in lower case.
var cidEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

const bodyIDPrefix = "sha256:"

// VerifyChunk says whether data is the chunk that id names.
func VerifyChunk(id ChunkID, data []byte) bool { return sha256.Sum256(data) == id }

// String returns the id as a CID, 59 characters.
func (id ChunkID) String() string {
	return cidMultibase + cidEncoding.EncodeToString(append([]byte(cidPrefix), id[:]...))
}

// ParseChunkID reads what [ChunkID.String] prints, and nothing else: other
// bases, codecs and hashes that a CID may have are errors.
func ParseChunkID(s string) (ChunkID, error) {
	var id ChunkID
	if len(s) != cidChars {
		return id, fmt.Errorf("%s is not a chunk id: %d characters, want %d", quote(s), len(s), cidChars)
	}
	raw, err := cidEncoding.DecodeString(s[len(cidMultibase):])
	if err != nil {
		return id, fmt.Errorf("%s is not a chunk id: %w", quote(s), err)
	}
	digest, ok := bytes.CutPrefix(raw, []byte(cidPrefix))
	if !ok || copy(id[:], digest) != len(id) {
		return ChunkID{}, fmt.Errorf("%s is not a chunk id: not a CID of raw bytes under SHA-256", quote(s))
	}
	// The decoder takes any value for the two bits that pad the last character,
	// and skips line breaks; there is only one right spelling.
	if id.String() != s {
		return ChunkID{}, fmt.Errorf("%s is not a chunk id: it is a second spelling of %s", quote(s), id)
	}
	return id, nil
}

// String returns "sha256:" and 64 lower-case hexadecimal digits.
func (id BodyID) String() string { return bodyIDPrefix + hex.EncodeToString(id[:]) }

// ParseBodyID reads what [BodyID.String] prints, and nothing else.
func ParseBodyID(s string) (BodyID, error) {
	var id BodyID
	digest, ok := strings.CutPrefix(s, bodyIDPrefix)
	if !ok {
		return id, fmt.Errorf("%s is not a body id: it does not begin with %q", quote(s), bodyIDPrefix)
	}
	if len(digest) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("%s is not a body id: %d digits, want %d", quote(s), len(digest), hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], []byte(digest)); err != nil {
		return BodyID{}, fmt.Errorf("%s is not a body id: %w", quote(s), err)
	}
	if id.String() != s {
		return BodyID{}, fmt.Errorf("%s is not a body id: the digits must be in lower case", quote(s))
	}
	return id, nil
}

// quote returns s quoted for an error message, shortened so that a hostile
// value cannot fill a log.
func quote(s string) string {
	if len(s) > maxQuoted {
		return fmt.Sprintf("%q…", s[:maxQuoted])
	}
	return fmt.Sprintf("%q", s)
}
