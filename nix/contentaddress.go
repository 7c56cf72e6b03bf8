package nix

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/nix-community/go-nix/pkg/nixbase32"
)

// checkContentAddress accepts the forms of a CA field (libstore/content-address.cc):
// "text:sha256:DIGEST" and "fixed:ALGO:DIGEST", the latter with "r:" or "git:"
// before ALGO; and the empty one. It does not compute anything: whether the
// path is indeed of that content is not for this package to say.
func checkContentAddress(s string) error {
	if s == "" {
		return nil
	}
	if hash, ok := strings.CutPrefix(s, "text:"); ok {
		if !strings.HasPrefix(hash, "sha256:") {
			return fmt.Errorf("%s: a text is addressed by its SHA-256", quote(s))
		}
		return checkHash(hash)
	}
	hash, ok := strings.CutPrefix(s, "fixed:")
	if !ok {
		return fmt.Errorf(`%s begins with neither "text:" nor "fixed:"`, quote(s))
	}
	if rest, ok := strings.CutPrefix(hash, "r:"); ok {
		hash = rest
	} else if rest, ok := strings.CutPrefix(hash, "git:"); ok {
		hash = rest
	}
	if !strings.Contains(hash, ":") {
		return fmt.Errorf("%s: no colon after the algorithm", quote(s))
	}
	return checkHash(hash)
}

// checkHash accepts a hash of any algorithm in any spelling that Nix knows:
// "ALGO:" with hexadecimal, base 32 or base64, or the SRI form "ALGO-" with
// base64.
func checkHash(s string) error {
	i := strings.IndexAny(s, ":-")
	if i < 0 {
		return fmt.Errorf("%s is not a hash: no algorithm", quote(s))
	}
	size := digestSize(s[:i])
	if size == 0 {
		return fmt.Errorf("%s is not a hash: algorithm %s is not known", quote(s), quote(s[:i]))
	}
	if !isDigest(s[i+1:], size, s[i] == '-') {
		return fmt.Errorf("%s is not a hash: not a digest of %d bytes", quote(s), size)
	}
	return nil
}

// digestSize is the length of an algorithm's digests in bytes, 0 if Nix does
// not know the algorithm.
func digestSize(algorithm string) int {
	switch algorithm {
	case "md5":
		return 16
	case "sha1":
		return 20
	case "sha256", "blake3":
		return 32
	case "sha512":
		return 64
	}
	return 0
}

func isDigest(s string, size int, sri bool) bool {
	switch {
	case len(s) == hex.EncodedLen(size) && !sri:
		_, err := hex.DecodeString(s)
		return err == nil
	case len(s) == nixbase32.EncodedLen(size) && !sri:
		return nixbase32.ValidateString(s) == nil
	case len(s) == base64.StdEncoding.EncodedLen(size):
		return decodeBase64(make([]byte, size), s) == nil
	}
	return false
}
