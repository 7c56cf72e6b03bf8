package namespace

import (
	"bytes"
	"crypto/ed25519"
	"fmt"

	"github.com/mr-tron/base58"
)

// seedPrefix is what stands before an Ed25519 key in a libp2p peer id: an
// identity multihash (00, length 36) of a protobuf of key type 1 and 32 bytes
// (github.com/libp2p/specs, peer-ids).
const seedPrefix = "\x00\x24\x08\x01\x12\x20"

// SeedName is the name by which a seed signs receipts: the peer id of its key,
// "12D3Koo…".
func SeedName(key ed25519.PublicKey) string {
	return base58.Encode(append([]byte(seedPrefix), key...))
}

// SeedKey is the inverse of [SeedName]: the name is the key.
func SeedKey(name string) (ed25519.PublicKey, error) {
	if len(name) > MaxNameLength {
		return nil, fmt.Errorf("%s has %d characters, at most %d are in a seed's name", quote(name), len(name), MaxNameLength)
	}
	raw, err := base58.Decode(name)
	key, ok := bytes.CutPrefix(raw, []byte(seedPrefix))
	if err != nil || !ok || len(key) != ed25519.PublicKeySize || SeedName(key) != name {
		return nil, fmt.Errorf("%s is not the peer id of an Ed25519 key", quote(name))
	}
	return key, nil
}
