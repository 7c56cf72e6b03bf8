package transfer

import (
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/nix"
)

// Answer is what a peer has for one path hash.
type Answer struct {
	Hash nix.PathHash
	// Entries are at most MaxLookupEntries; none: absent.
	Entries []LookupEntry
}

// LookupEntry is one entry, and where it stands.
type LookupEntry struct {
	Entry namespace.Entry
	// Publication holds the entry; zero in an upstream namespace, whose entries
	// stand for themselves.
	Publication namespace.ID
}
