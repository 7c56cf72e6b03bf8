package nix

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// Two spellings of one hash, from libutil-tests/hash.cc of Nix and RFC 6234.
const (
	abcHex   = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	abcNix32 = "1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s"
)

func TestParseNarHashTakesEverySpelling(t *testing.T) {
	want := NarHash(sha256.Sum256([]byte("abc")))
	b64 := base64.StdEncoding.EncodeToString(want[:])
	for _, s := range []string{
		"sha256:" + abcHex,
		"sha256:" + strings.ToUpper(abcHex),
		"sha256:" + abcNix32,
		"sha256:" + b64,
		"sha256-" + b64,
	} {
		got, err := ParseNarHash(s)
		if err != nil || got != want {
			t.Errorf("ParseNarHash(%q) = %v, %v", s, got, err)
		}
	}
	if want.String() != "sha256:"+abcNix32 || want.Nix32() != abcNix32 {
		t.Errorf("String() = %q", want.String())
	}
	if got, err := ParseNarHashNix32(abcNix32); err != nil || got != want {
		t.Errorf("ParseNarHashNix32 = %v, %v", got, err)
	}
}

func TestParseNarHashRejects(t *testing.T) {
	sum := sha256.Sum256([]byte("abc"))
	b64 := base64.StdEncoding.EncodeToString(sum[:])
	for name, s := range map[string]string{
		"empty":                  "",
		"no algorithm":           abcHex,
		"other algorithm":        "sha1:" + abcHex[:40],
		"upper-case algorithm":   "SHA256:" + abcHex,
		"algorithm alone":        "sha256:",
		"one character short":    "sha256:" + abcNix32[1:],
		"one character long":     "sha256:" + abcNix32 + "0",
		"letter not in nix32":    "sha256:" + abcNix32[:51] + "e",
		"upper-case nix32":       "sha256:" + strings.ToUpper(abcNix32),
		"nonzero padding":        "sha256:2" + abcNix32[1:],
		"bad hex":                "sha256:" + abcHex[:63] + "g",
		"SRI of hex":             "sha256-" + abcHex,
		"SRI of nix32":           "sha256-" + abcNix32,
		"base64 without padding": "sha256-" + strings.TrimRight(b64, "="),
		"base64 trailing bits":   "sha256-" + b64[:42] + "1=",
		"base64 of 31 bytes":     "sha256:" + base64.StdEncoding.EncodeToString(sum[:31]),
		"base64 of 33 bytes":     "sha256:" + strings.Repeat("A", 44),
		"newline in base64":      "sha256:" + b64[:20] + "\n" + b64[20:43],
		"trailing newline":       "sha256:" + abcNix32 + "\n",
		"leading space":          " sha256:" + abcNix32,
		"very long":              "sha256:" + strings.Repeat("a", 1<<20),
	} {
		got, err := ParseNarHash(s)
		if err == nil || got != (NarHash{}) {
			t.Errorf("%s: ParseNarHash accepted %q as %v", name, s, got)
		} else if len(err.Error()) > 300 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
	for _, s := range []string{"", abcNix32[1:], abcNix32 + "0", "z" + abcNix32[1:], "sha256:" + abcNix32} {
		if got, err := ParseNarHashNix32(s); err == nil {
			t.Errorf("ParseNarHashNix32 accepted %q as %v", s, got)
		}
	}
}

func TestParsePathHash(t *testing.T) {
	const s = "0123456789abcdfghijklmnpqrsvwxyz"
	h, err := ParsePathHash(s)
	if err != nil || h.String() != s || string(h.AppendTo([]byte("x"))) != "x"+s {
		t.Fatalf("ParsePathHash = %v, %v", h, err)
	}
	// The text is the digest as one little-endian number, last digit first.
	if h[0] != 0xdf || h[19] != 0x00 {
		t.Errorf("digest %x", h)
	}
	for _, bad := range []string{"", s[1:], s + "0", strings.Replace(s, "a", "e", 1), strings.Replace(s, "a", "o", 1),
		strings.Replace(s, "a", "t", 1), strings.Replace(s, "a", "u", 1), strings.Replace(s, "a", "A", 1),
		strings.Replace(s, "a", "\x00", 1), strings.Replace(s, "a", "é", 1)} {
		if got, err := ParsePathHash(bad); err == nil {
			t.Errorf("ParsePathHash accepted %q as %v", bad, got)
		}
	}
	_, err = ParsePathHash(strings.Replace(s, "9", "L", 1))
	if err == nil || !strings.Contains(err.Error(), `"L" at position 10`) {
		t.Errorf("error does not name character and position: %v", err)
	}
}

func TestPathHashOrderIsThatOfTheTexts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var a, b PathHash
		for i := range a {
			a[i], b[i] = byte(rng.Uint32()), byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 {
			copy(b[rng.IntN(len(b)):], a[:])
		}
		if rng.IntN(2) == 0 { // differ in the first byte alone
			b = a
			b[0]++
		}
		if got, want := a.Compare(b), cmp.Compare(a.String(), b.String()); got != want {
			t.Fatalf("%v.Compare(%v) = %d, want %d", a, b, got, want)
		}
		if a.Compare(a) != 0 {
			t.Fatalf("%v differs from itself", a)
		}
	}
}

func FuzzParsePathHash(f *testing.F) {
	f.Add("0123456789abcdfghijklmnpqrsvwxyz")
	f.Add("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParsePathHash(s)
		if err == nil && h.String() != s {
			t.Errorf("%q became %q", s, h)
		}
	})
}

func FuzzParseNarHash(f *testing.F) {
	f.Add("sha256:" + abcHex)
	f.Add("sha256:" + abcNix32)
	f.Add("sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseNarHash(s)
		if err != nil {
			return
		}
		// What was accepted is one of the four spellings of its value.
		b64 := base64.StdEncoding.EncodeToString(h[:])
		digest := strings.TrimPrefix(s, "sha256:")
		if raw, err := hex.DecodeString(digest); err == nil && bytes.Equal(raw, h[:]) {
			return
		}
		if s != h.String() && s != "sha256:"+b64 && s != "sha256-"+b64 {
			t.Errorf("%q became %q", s, h)
		}
	})
}
