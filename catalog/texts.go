package catalog

import (
	"context"

	"github.com/flurry-nix/flurry/namespace"
)

// TextKind is the kind of a text that a catalog keeps.
type TextKind byte

const (
	TextDocument    TextKind = iota + 1 // a namespace document, signature included
	TextPublication                     // a publication, signature included
	TextKeepList                        // a kept list
)

// Texts keeps the texts themselves. They are what counts: the index in the [KV]
// is made from them. All methods are safe for concurrent use.
type Texts interface {
	// PutText keeps a text, under its id ([namespace.TextID]). It is on the disk
	// when PutText returns. Putting one again does nothing. raw is the caller's
	// again afterwards.
	PutText(ctx context.Context, kind TextKind, raw []byte) error

	// Text returns a text, checked against its id. What it returns when there is
	// none wraps ErrNotFound.
	Text(ctx context.Context, kind TextKind, id namespace.ID) ([]byte, error)
}
