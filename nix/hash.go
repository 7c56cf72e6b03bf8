package nix

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"
)

const (
	pathHashChars = 32 // 20 bytes in Nix's base 32
	narHashChars  = 52 // 32 bytes in Nix's base 32, four bits of them padding
)

// PathHash is the 20-byte digest that the 32 characters of a store path spell.
// Every value is valid, the zero value too.
type PathHash [20]byte

// ParsePathHash reads exactly 32 characters of Nix's base-32 alphabet. The
// error names the first character that does not belong and its position,
// counted from 1.
func ParsePathHash(s string) (PathHash, error) {
	var h PathHash
	if len(s) != pathHashChars {
		return h, fmt.Errorf("%s is not a path hash: %d characters, want %d", quote(s), len(s), pathHashChars)
	}
	if err := decodeNix32(h[:], s); err != nil {
		return PathHash{}, fmt.Errorf("%s is not a path hash: %w", quote(s), err)
	}
	return h, nil
}

// String returns the 32 characters.
func (h PathHash) String() string { return nixbase32.EncodeToString(h[:]) }

// AppendTo appends the 32 characters to b.
func (h PathHash) AppendTo(b []byte) []byte { return appendNix32(b, h[:]) }

// Compare orders hashes as their texts are ordered. That is not the order of
// their bytes: the text spells the last byte first.
func (h PathHash) Compare(o PathHash) int {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i] != o[i] {
			if h[i] < o[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// NarHash is the SHA-256 of an uncompressed NAR.
type NarHash [32]byte

// ParseNarHash reads a SHA-256 in any of the spellings that a narinfo may
// carry: "sha256:" with 52 characters of Nix's base 32, 64 of hexadecimal or 44
// of base64, or the SRI form "sha256-" with 44 of base64. Base64 must be
// canonical. Other algorithms are errors: no NAR can match them.
func ParseNarHash(s string) (NarHash, error) {
	var h NarHash
	var err error
	if digest, ok := strings.CutPrefix(s, "sha256:"); ok {
		switch len(digest) {
		case narHashChars:
			err = decodeNix32(h[:], digest)
		case hex.EncodedLen(len(h)):
			_, err = hex.Decode(h[:], []byte(digest))
		default:
			err = decodeBase64(h[:], digest)
		}
	} else if digest, ok := strings.CutPrefix(s, "sha256-"); ok {
		err = decodeBase64(h[:], digest)
	} else {
		err = fmt.Errorf(`it does not begin with "sha256:" or "sha256-"`)
	}
	if err != nil {
		return NarHash{}, fmt.Errorf("%s is not a SHA-256: %w", quote(s), err)
	}
	return h, nil
}

// ParseNarHashNix32 reads the 52 characters of Nix's base 32 alone, as they
// stand in the URL of a NAR.
func ParseNarHashNix32(s string) (NarHash, error) {
	var h NarHash
	if len(s) != narHashChars {
		return h, fmt.Errorf("%s is not a SHA-256: %d characters, want %d", quote(s), len(s), narHashChars)
	}
	if err := decodeNix32(h[:], s); err != nil {
		return NarHash{}, fmt.Errorf("%s is not a SHA-256: %w", quote(s), err)
	}
	return h, nil
}

// String returns "sha256:" and the 52 characters, the form that Nix signs.
func (h NarHash) String() string { return "sha256:" + h.Nix32() }

// Nix32 returns the 52 characters alone.
func (h NarHash) Nix32() string { return nixbase32.EncodeToString(h[:]) }

func appendNix32(b, digest []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, nixbase32.EncodedLen(len(digest)))...)
	nixbase32.Encode(b[start:], digest)
	return b
}

// decodeNix32 fills dst from s, whose length the caller has checked. Unlike
// the library's, its error says where the wrong character is.
func decodeNix32(dst []byte, s string) error {
	for i := range len(s) {
		if !nixbase32.Is(s[i]) {
			return fmt.Errorf("%q at position %d cannot be in a hash (digits and lower-case letters, without e o t u)", s[i:i+1], i+1)
		}
	}
	_, err := nixbase32.Decode(dst, []byte(s))
	return err
}

// decodeBase64 fills dst from its one canonical base64 spelling.
func decodeBase64(dst []byte, s string) error {
	// The length is checked first because Decode skips newlines, which would
	// give one hash many spellings.
	if want := base64.StdEncoding.EncodedLen(len(dst)); len(s) != want {
		return fmt.Errorf("%d characters", len(s))
	}
	buf := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Strict().Decode(buf, []byte(s))
	if err != nil {
		return err
	}
	if n != len(dst) {
		return fmt.Errorf("%d bytes, want %d", n, len(dst))
	}
	copy(dst, buf[:n])
	return nil
}
