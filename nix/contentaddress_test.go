package nix

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/nix-community/go-nix/pkg/nixbase32"
)

func TestCheckHash(t *testing.T) {
	for algorithm, size := range map[string]int{"md5": 16, "sha1": 20, "sha256": 32, "sha512": 64, "blake3": 32} {
		digest := []byte(strings.Repeat("\xa7", size))
		b64 := base64.StdEncoding.EncodeToString(digest)
		for _, good := range []string{
			algorithm + ":" + hex.EncodeToString(digest),
			algorithm + ":" + nixbase32.EncodeToString(digest),
			algorithm + ":" + b64,
			algorithm + "-" + b64,
		} {
			if err := checkHash(good); err != nil {
				t.Errorf("%q: %v", good, err)
			}
		}
		for _, bad := range []string{
			algorithm,
			algorithm + ":",
			algorithm + "-",
			algorithm + ":" + hex.EncodeToString(digest)[1:],
			algorithm + ":" + hex.EncodeToString(digest) + "00",
			algorithm + ":" + strings.Replace(hex.EncodeToString(digest), "a", "x", 1),
			algorithm + ":" + nixbase32.EncodeToString(digest)[1:],
			algorithm + ":e" + nixbase32.EncodeToString(digest)[1:],
			algorithm + ":" + strings.Replace(b64, "p", "!", 1),
			algorithm + "-" + hex.EncodeToString(digest),
			algorithm + "-" + nixbase32.EncodeToString(digest),
			algorithm + ":" + algorithm + ":" + b64,
			strings.ToUpper(algorithm) + ":" + hex.EncodeToString(digest),
		} {
			if err := checkHash(bad); err == nil {
				t.Errorf("accepted %q", bad)
			}
		}
	}
}

func TestCheckContentAddress(t *testing.T) {
	sha256, sha1 := "sha256:"+abcNix32, "sha1:"+abcHex[:40]
	for _, good := range []string{"", "text:" + sha256, "fixed:" + sha256, "fixed:r:" + sha256, "fixed:git:" + sha1, "fixed:" + sha1, "fixed:r:sha256:" + abcHex} {
		if err := checkContentAddress(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		sha256, "text", "text:", "text:" + sha1, "text:r:" + sha256, "text:sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
		"fixed", "fixed:", "fixed:r:", "fixed:x:" + sha256, "fixed:r:r:" + sha256, "fixed:r:git:" + sha256, "Fixed:" + sha256,
		"fixed:r:sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", "fixed:" + sha256 + ":", "fixed:out:r:" + sha256,
	} {
		if err := checkContentAddress(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
