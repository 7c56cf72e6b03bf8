package nix

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

// KeyErrorKind says in which way a text is not a key.
type KeyErrorKind int

const (
	NoColon      KeyErrorKind = iota + 1 // no colon between name and base64
	BadBase64                            // a character that base64 does not have; Have is its position
	WrongLength                          // Have bytes after the colon
	SecretGiven                          // a secret key where a public one belongs; Public is its public half
	NotAPoint                            // right length, but no valid Ed25519 key
	BadName                              // Have is the position of the character that a name cannot hold, or 1 past its end
	SeveralKeys                          // Have keys in one text
	NotCanonical                         // base64 that decodes, but is not the one spelling of its bytes
)

// shownKeyData is how many characters after the colon an error repeats: enough
// to recognise a key by, and of a mistyped secret key 15 of the 32 bytes of its
// seed, too few to guess the rest from.
const shownKeyData = 20

// KeyError is the error of ParsePublicKey, ParseSecretKey and NewSecretKey.
type KeyError struct {
	Kind   KeyErrorKind
	Input  string // what was given, quoted, shortened so that it holds no usable secret
	Have   int    // bytes, keys, or a position in what was given counted from 1; see Kind
	Want   int    // WrongLength: how many bytes the key should have
	Public string // SecretGiven: the public half, name:base64
}

func (e *KeyError) Error() string {
	switch e.Kind {
	case NoColon:
		return e.Input + " has no colon; a key looks like name:base64="
	case BadBase64:
		return fmt.Sprintf("%s is not a key: it is not base64 at position %d", e.Input, e.Have)
	case WrongLength:
		return fmt.Sprintf("%s is not a key: after the colon there are %d bytes, a key has %d", e.Input, e.Have, e.Want)
	case SecretGiven:
		return "this is a secret key; its public half is " + e.Public
	case NotAPoint:
		return fmt.Sprintf("%s: %d bytes, but no valid Ed25519 key: one character is probably wrong", e.Input, e.Have)
	case BadName:
		return fmt.Sprintf("%s: a key's name is 1 to %d printable characters without space, colon, slash or comma; position %d is not",
			e.Input, MaxKeyNameLength, e.Have)
	case SeveralKeys:
		return fmt.Sprintf("%s is %d keys, not one", e.Input, e.Have)
	case NotCanonical:
		return e.Input + " is not a key: its base64 is not canonical (one key has one spelling); copy it again whole"
	}
	return e.Input + " is not a key"
}

func keyError(kind KeyErrorKind, s string, have int) *KeyError {
	return &KeyError{Kind: kind, Input: redactKey(s), Have: have}
}

// redactKey quotes what of a supposed key may be shown, whichever half it was.
func redactKey(s string) string {
	name, data, ok := strings.Cut(s, ":")
	if !ok {
		// It may be the base64 of a secret key without its name.
		if len(s) > shownKeyData {
			return fmt.Sprintf("%q…", s[:shownKeyData])
		}
		return fmt.Sprintf("%q", s)
	}
	if len(name) > MaxKeyNameLength {
		return quote(name)
	}
	if len(data) > shownKeyData {
		return fmt.Sprintf("%q…", name+":"+data[:shownKeyData])
	}
	return fmt.Sprintf("%q", s)
}

// splitKey takes "name:base64" apart and returns the name and the want bytes.
func splitKey(s string, want int) (name string, raw []byte, err error) {
	if n := countKeys(s); n > 1 {
		return "", nil, keyError(SeveralKeys, s, n)
	}
	name, data, ok := strings.Cut(s, ":")
	if !ok {
		return "", nil, keyError(NoColon, s, 0)
	}
	if at := badKeyName(name); at >= 0 {
		return "", nil, keyError(BadName, s, at+1)
	}
	raw, at := decodeLenient(data)
	switch {
	case at >= 0:
		return "", nil, keyError(BadBase64, s, len(name)+1+at+1)
	case want == ed25519.PublicKeySize && isSecretKey(raw):
		e := keyError(SecretGiven, s, len(raw))
		e.Public = name + ":" + base64.StdEncoding.EncodeToString(raw[ed25519.SeedSize:])
		return "", nil, e
	case len(raw) != want:
		e := keyError(WrongLength, s, len(raw))
		e.Want = want
		return "", nil, e
	case base64.StdEncoding.EncodeToString(raw) != data:
		return "", nil, keyError(NotCanonical, s, len(raw))
	}
	return name, raw, nil
}

// countKeys counts the words that look like keys, as a user pastes them out of
// a nix.conf line.
func countKeys(s string) int {
	n := 0
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == ',' }) {
		if strings.Contains(word, ":") {
			n++
		}
	}
	return n
}

// badKeyName returns the index of the first character that a key's name cannot
// hold, its length when it is empty or too long, and -1 when it is good.
func badKeyName(name string) int {
	for i := range min(len(name), MaxKeyNameLength) {
		if c := name[i]; c <= ' ' || c > '~' || c == ':' || c == '/' || c == ',' {
			return i
		}
	}
	if name == "" {
		return 0
	}
	if len(name) > MaxKeyNameLength {
		return MaxKeyNameLength
	}
	return -1
}

// decodeLenient decodes base64 with or without its padding, so that the error
// can speak of bytes; whether the spelling is the canonical one is the caller's
// to check. at is the index of the first wrong character, or -1.
func decodeLenient(data string) (raw []byte, at int) {
	body := strings.TrimRight(data, "=")
	for i := range len(body) {
		if c := body[i]; !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/') {
			return nil, i
		}
	}
	// A lone last character holds no whole byte.
	whole := len(body)
	if whole%4 == 1 {
		whole--
	}
	raw, err := base64.RawStdEncoding.DecodeString(body[:whole])
	if err != nil {
		return nil, 0
	}
	return raw, -1
}

// isSecretKey reports whether raw is a seed followed by its own public key: a
// secret key for certain, where 64 bytes alone might be a signature.
func isSecretKey(raw []byte) bool {
	return len(raw) == ed25519.PrivateKeySize &&
		string(ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])) == string(raw)
}
