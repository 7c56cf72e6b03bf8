package namespace

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/flurry-nix/flurry/nix"
)

// Address is a namespace's identity: a Nix public key, exactly as it stands in
// trusted-public-keys. It is comparable; the zero value is no address.
type Address struct {
	key nix.PublicKey
}

// ParseAddress reads "name:base64", of which there is one spelling. Hints after
// a "?" are an error here: see [ParseHinted]. What is wrong with the key itself
// is reported as a *nix.KeyError.
func ParseAddress(s string) (Address, error) {
	if base, _, hinted := strings.Cut(s, "?"); hinted {
		if _, err := nix.ParsePublicKey(base); err == nil {
			return Address{}, fmt.Errorf("%s is an address with hints; without what follows the ? it is one", quote(s))
		}
	}
	k, err := nix.ParsePublicKey(s)
	if err != nil {
		return Address{}, err
	}
	return Address{key: k}, nil
}

// AddressOf returns the address of the namespace whose root key is k.
func AddressOf(k nix.PublicKey) Address { return Address{key: k} }

// String returns "name:base64".
func (a Address) String() string { return a.key.String() }

// Name returns what stands before the colon.
func (a Address) Name() string { return a.key.Name }

// Key returns the root key.
func (a Address) Key() nix.PublicKey { return a.key }

// IsZero reports whether a is the zero value, which is no address.
func (a Address) IsZero() bool { return a.key.Name == "" }

// Hash returns the SHA-256 of the text, by which the DHT knows a namespace.
func (a Address) Hash() [sha256.Size]byte { return sha256.Sum256([]byte(a.String())) }

// CanPublish reports whether the name can sign texts (see [ValidName]). A
// namespace whose name cannot is an upstream one.
func (a Address) CanPublish() bool { return ValidName(a.key.Name) }

// parsePublisher reads the address of a namespace that publishes.
func parsePublisher(s string) (Address, error) {
	a, err := ParseAddress(s)
	if err != nil {
		return Address{}, err
	}
	if !a.CanPublish() {
		return Address{}, fmt.Errorf("%s cannot sign texts", quote(a.Name()))
	}
	return a, nil
}
