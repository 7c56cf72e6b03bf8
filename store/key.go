package store

import (
	"encoding/hex"
	"fmt"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
)

// Kind says what an id is the id of, and so how bytes are checked against it.
// The values are part of the pack format.
type Kind byte

// The kinds of content.
const (
	KindChunk       Kind = 1 // a normalised chunk
	KindBody        Kind = 2 // a body: the list of a NAR's chunks and rewrites
	KindDocument    Kind = 3 // a signed namespace document
	KindPublication Kind = 4 // a signed publication
	KindKeepList    Kind = 5 // a kept list
)

// Valid tells whether k is one of the kinds.
func (k Kind) Valid() bool { return k >= KindChunk && k <= KindKeepList }

// String is the kind's name in messages: "chunk", "body", …
func (k Kind) String() string {
	switch k {
	case KindChunk:
		return "chunk"
	case KindBody:
		return "body"
	case KindDocument:
		return "document"
	case KindPublication:
		return "publication"
	case KindKeepList:
		return "kept list"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// Key names one piece of content. It is comparable; its zero value names
// nothing.
type Key struct {
	Kind Kind
	ID   [32]byte
}

// ChunkKey is the key of a chunk.
func ChunkKey(id content.ChunkID) Key { return Key{KindChunk, id} }

// BodyKey is the key of a body.
func BodyKey(id content.BodyID) Key { return Key{KindBody, id} }

// DocumentKey is the key of a signed namespace document.
func DocumentKey(id namespace.ID) Key { return Key{KindDocument, id} }

// PublicationKey is the key of a signed publication.
func PublicationKey(id namespace.ID) Key { return Key{KindPublication, id} }

// KeepListKey is the key of a kept list.
func KeepListKey(id namespace.ID) Key { return Key{KindKeepList, id} }

// String is the kind and the id as its own package spells it.
func (k Key) String() string {
	switch k.Kind {
	case KindChunk:
		return "chunk " + content.ChunkID(k.ID).String()
	case KindBody:
		return "body " + content.BodyID(k.ID).String()
	}
	return k.Kind.String() + " " + hex.EncodeToString(k.ID[:])
}
