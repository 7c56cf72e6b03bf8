package nix

import (
	"fmt"
	"strings"
)

// StoreDir is the one store directory that this network knows. Signatures
// cover it, so paths of another store could not be shared anyway.
const StoreDir = "/nix/store"

// StorePath is the path of one object in the Nix store. It is comparable; its
// zero value is invalid (see IsZero), and only the parsers make others.
type StorePath struct {
	hash PathHash
	name string
}

// ParseStorePath reads "/nix/store/<hash>-<name>": an absolute path directly in
// the store directory, without a trailing slash.
func ParseStorePath(abs string) (StorePath, error) {
	base, ok := strings.CutPrefix(abs, StoreDir+"/")
	if !ok {
		return StorePath{}, fmt.Errorf("%s is not a store path: it does not begin with %s/", quote(abs), StoreDir)
	}
	p, err := parseBaseName(base)
	if err != nil {
		return StorePath{}, fmt.Errorf("%s is not a store path: %w", quote(abs), err)
	}
	return p, nil
}

// ParseBaseName reads "<hash>-<name>" as strictly as the newest Nix does
// (libstore/path.cc): 32 characters of hash, a dash, 1 to 211 characters of
// [0-9A-Za-z+._?=-], and a name that is neither "." nor ".." nor begins with
// ".-" or "..-".
func ParseBaseName(base string) (StorePath, error) {
	p, err := parseBaseName(base)
	if err != nil {
		return StorePath{}, fmt.Errorf("%s is not a store path: %w", quote(base), err)
	}
	return p, nil
}

// parseBaseName is ParseBaseName, with an error that does not name what was read.
func parseBaseName(base string) (StorePath, error) {
	if len(base) <= pathHashChars || base[pathHashChars] != '-' {
		return StorePath{}, fmt.Errorf("no dash after %d characters of hash", pathHashChars)
	}
	var hash PathHash
	if err := decodeNix32(hash[:], base[:pathHashChars]); err != nil {
		return StorePath{}, err
	}
	name := base[pathHashChars+1:]
	if err := checkName(name); err != nil {
		return StorePath{}, err
	}
	// A clone, so that a small path does not keep a large text alive.
	return StorePath{hash: hash, name: strings.Clone(name)}, nil
}

func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("no name after the dash")
	case len(name) > MaxNameLength:
		return fmt.Errorf("a name of %d characters, at most %d are allowed", len(name), MaxNameLength)
	case name == "." || name == ".." || strings.HasPrefix(name, ".-") || strings.HasPrefix(name, "..-"):
		return fmt.Errorf("the name %s is not allowed", quote(name))
	}
	for i := range len(name) {
		if !isNameChar(name[i]) {
			return fmt.Errorf("%q at position %d cannot be in a name", name[i:i+1], pathHashChars+2+i)
		}
	}
	return nil
}

func isNameChar(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' ||
		strings.IndexByte("+-._?=", c) >= 0
}

// Hash returns the digest that the path's 32 characters spell.
func (p StorePath) Hash() PathHash { return p.hash }

// Name returns what follows the dash.
func (p StorePath) Name() string { return p.name }

// Base returns "<hash>-<name>".
func (p StorePath) Base() string {
	return string(p.appendBase(make([]byte, 0, pathHashChars+1+len(p.name))))
}

// String returns the absolute path.
func (p StorePath) String() string {
	return string(p.appendAbsolute(make([]byte, 0, len(StoreDir)+2+pathHashChars+len(p.name))))
}

// IsZero reports whether p is the zero value, which is no path.
func (p StorePath) IsZero() bool { return p.name == "" }

// Compare orders paths as their base names are ordered, bytewise.
func (p StorePath) Compare(o StorePath) int {
	if c := p.hash.Compare(o.hash); c != 0 {
		return c
	}
	return strings.Compare(p.name, o.name)
}

func (p StorePath) appendBase(b []byte) []byte {
	b = p.hash.AppendTo(b)
	b = append(b, '-')
	return append(b, p.name...)
}

func (p StorePath) appendAbsolute(b []byte) []byte {
	b = append(b, StoreDir...)
	b = append(b, '/')
	return p.appendBase(b)
}
