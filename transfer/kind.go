package transfer

import (
	"fmt"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
)

// Kind is what [Conn.Text] asks for.
type Kind byte

// The kinds of texts, as they are numbered on the wire.
const (
	Publication Kind = 1 // by the id of its signed text
	Document    Kind = 2 // by the id of its signed text
	KeepList    Kind = 3 // by its SHA-256
	Body        Kind = 4 // by its SHA-256
)

func (k Kind) String() string {
	switch k {
	case Publication:
		return "publication"
	case Document:
		return "document"
	case KeepList:
		return "kept list"
	case Body:
		return "body"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// MaxSize is the most bytes that a text of this kind has; 0 for an unknown kind.
func (k Kind) MaxSize() int {
	switch k {
	case Publication:
		return namespace.MaxPublication
	case Document:
		return namespace.MaxDocument
	case KeepList:
		return namespace.MaxKeepList
	case Body:
		return content.MaxBody
	}
	return 0
}
