// Package sample is things to talk about in tests of package transfer: addresses,
// paths, entries, ids and noise, the same ones each time.
package sample

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Space is a namespace address to talk about.
func Space(t testing.TB) namespace.Address {
	t.Helper()
	k, err := nix.NewSecretKey("acme-1", rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	return namespace.AddressOf(k.Public())
}

// Path is the store path number n. Its hash part depends on n alone.
func Path(t testing.TB, n int) nix.StorePath {
	t.Helper()
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("path"), uint64(n)))
	p, err := nix.ParseBaseName(fmt.Sprintf("%s-package-%d", nix.PathHash(sum[:20]), n))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Entry is a well-formed entry of path n that refers to the paths refs. Its
// signature is of the right form, and of nothing.
func Entry(t testing.TB, n int, refs ...int) namespace.Entry {
	t.Helper()
	e := namespace.Entry{
		Path:    Path(t, n),
		NarHash: nix.NarHash(ID("nar", n)),
		NarSize: 1 + uint64(n),
		Sigs:    []nix.Signature{{Name: "acme-1", Sig: [64]byte{byte(n)}}},
		Body:    content.BodyID(ID("body", n)),
	}
	for _, r := range refs {
		e.References = append(e.References, Path(t, r))
	}
	slices.SortFunc(e.References, nix.StorePath.Compare)
	if err := e.Check(); err != nil {
		t.Fatal(err)
	}
	return e
}

// ID is a digest that depends on what and n alone.
func ID(what string, n int) namespace.ID {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, n))
}

// Noise is n bytes that depend on seed alone and do not compress.
func Noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}
