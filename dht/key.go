package dht

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// What keys are derived from begins with one of these, so that a key of one kind
// is never one of the other (docs/PROTOCOL.md, DHT keys).
const (
	namespaceDomain = "flurry:namespace:v1:"
	pathDomain      = "flurry:path:v1:"
)

// sha256Code stands for SHA2-256 in a multihash: one byte for the function, one
// for the length of the digest, and the digest (https://multiformats.io/multihash/).
const sha256Code = 0x12

// Key is what providers are recorded under: a SHA-256 digest. It is comparable.
type Key [sha256.Size]byte

// NamespaceKey is the key of those who serve a namespace: SHA-256 of
// "flurry:namespace:v1:" and the text of the address, without hints.
func NamespaceKey(a namespace.Address) Key {
	return sha256.Sum256(append([]byte(namespaceDomain), a.String()...))
}

// PathKey is the key of those who hold one path of a namespace: SHA-256 of
// "flurry:path:v1:", the 32 raw bytes of the SHA-256 of the address, and the 20
// raw bytes of the path hash.
func PathKey(a namespace.Address, h nix.PathHash) Key {
	ns := a.Hash()
	b := make([]byte, 0, len(pathDomain)+len(ns)+len(h))
	b = append(b, pathDomain...)
	b = append(b, ns[:]...)
	b = append(b, h[:]...)
	return sha256.Sum256(b)
}

// Multihash returns the key in the form that DHTs take, 34 bytes.
func (k Key) Multihash() []byte {
	return append([]byte{sha256Code, sha256.Size}, k[:]...)
}

// KeyOf is the inverse of [Key.Multihash]. Multihashes of any other function or
// length, which other software may announce, are no keys.
func KeyOf(multihash []byte) (k Key, ok bool) {
	digest, ok := bytes.CutPrefix(multihash, []byte{sha256Code, sha256.Size})
	if !ok || len(digest) != len(k) {
		return Key{}, false
	}
	return Key(digest), true
}

// String returns the digest in lower-case hexadecimal.
func (k Key) String() string { return hex.EncodeToString(k[:]) }
