package nix

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// PublicKey is a named Ed25519 key, written "name:base64" as in nix.conf's
// trusted-public-keys. It is comparable. A namespace's address is one.
type PublicKey struct {
	Name string
	Key  [ed25519.PublicKeySize]byte
}

// ParsePublicKey reads "name:base64". The base64 must be canonical, so that one
// key has one spelling, and the 32 bytes a point on the curve that libsodium,
// and so Nix, would verify with. Every error is a *KeyError.
func ParsePublicKey(s string) (PublicKey, error) {
	name, raw, err := splitKey(s, ed25519.PublicKeySize)
	if err != nil {
		return PublicKey{}, err
	}
	k := PublicKey{Name: strings.Clone(name), Key: [ed25519.PublicKeySize]byte(raw)}
	if !validPoint(k.Key) {
		return PublicKey{}, keyError(NotAPoint, s, len(raw))
	}
	return k, nil
}

// String returns "name:base64".
func (k PublicKey) String() string {
	return k.Name + ":" + base64.StdEncoding.EncodeToString(k.Key[:])
}

// Verify reports whether s is a signature of msg by this key and carries its
// name, which is how Nix finds the key for a signature.
func (k PublicKey) Verify(msg []byte, s Signature) bool {
	return k.Name == s.Name && ed25519.Verify(k.Key[:], msg, s.Sig[:])
}

// SecretKey is a named Ed25519 key that can sign. Printing one with fmt, in any
// way, shows its name alone; only Text gives the secret.
type SecretKey struct {
	name string
	// A function, because fmt prints the unexported fields of an enclosing
	// struct without asking for their methods, and cannot look into a function.
	private func() ed25519.PrivateKey
}

// ParseSecretKey reads "name:base64" of 64 bytes, seed then public key, as
// nix-store --generate-binary-cache-key writes it (without a final newline).
// The public half must belong to the seed. Every error is a *KeyError, and none
// repeats the secret.
func ParseSecretKey(s string) (SecretKey, error) {
	name, raw, err := splitKey(s, ed25519.PrivateKeySize)
	if err != nil {
		return SecretKey{}, err
	}
	if !isSecretKey(raw) {
		return SecretKey{}, keyError(NotAPoint, s, len(raw))
	}
	return newSecretKey(name, raw), nil
}

// NewSecretKey makes a key of that name from 32 bytes of rand.
func NewSecretKey(name string, rand io.Reader) (SecretKey, error) {
	if at := badKeyName(name); at >= 0 {
		return SecretKey{}, &KeyError{Kind: BadName, Input: quote(name), Have: at + 1}
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return SecretKey{}, fmt.Errorf("make key %s: %w", quote(name), err)
	}
	return newSecretKey(name, ed25519.NewKeyFromSeed(seed)), nil
}

func newSecretKey(name string, private ed25519.PrivateKey) SecretKey {
	return SecretKey{name: strings.Clone(name), private: func() ed25519.PrivateKey { return private }}
}

// Name returns the key's name.
func (k SecretKey) Name() string { return k.name }

// Public returns the public half.
func (k SecretKey) Public() PublicKey {
	return PublicKey{Name: k.name, Key: [ed25519.PublicKeySize]byte(k.private()[ed25519.SeedSize:])}
}

// Sign signs msg. The zero SecretKey cannot sign and panics.
func (k SecretKey) Sign(msg []byte) Signature {
	return Signature{Name: k.name, Sig: [ed25519.SignatureSize]byte(ed25519.Sign(k.private(), msg))}
}

// Text returns the secret, "name:base64" of 64 bytes, as it stands in a key file.
func (k SecretKey) Text() string {
	return k.name + ":" + base64.StdEncoding.EncodeToString(k.private())
}

// String returns "nix.SecretKey(name)", without the secret.
func (k SecretKey) String() string { return "nix.SecretKey(" + k.name + ")" }

// Format prints String for every verb and flag, so that %x and %#v are as
// harmless as %v.
func (k SecretKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// Signature is an Ed25519 signature with the name of its key. It is comparable.
type Signature struct {
	Name string
	Sig  [ed25519.SignatureSize]byte
}

// ParseSignature reads "name:base64" of 64 bytes in canonical base64, the form
// of a narinfo's Sig line.
func ParseSignature(s string) (Signature, error) {
	name, data, ok := strings.Cut(s, ":")
	if !ok {
		return Signature{}, fmt.Errorf("%s is not a signature: no colon", quote(s))
	}
	if badKeyName(name) >= 0 {
		return Signature{}, fmt.Errorf("%s is not a signature: bad key name", quote(s))
	}
	sig := Signature{Name: strings.Clone(name)}
	if err := decodeBase64(sig.Sig[:], data); err != nil {
		return Signature{}, fmt.Errorf("%s is not a signature: %w", quote(s), err)
	}
	return sig, nil
}

// String returns "name:base64".
func (s Signature) String() string {
	return s.Name + ":" + base64.StdEncoding.EncodeToString(s.Sig[:])
}
