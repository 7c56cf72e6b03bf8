package node

import (
	"context"
	"io"

	"github.com/flurry-nix/flurry/nix"
)

// Origin is an existing HTTP cache behind an upstream namespace. An error that wraps ErrNotHere says that it does not have what it
// was asked for; any other, that it does not work now.
type Origin interface {
	// Check returns why nothing can be had from the cache now.
	Check(ctx context.Context) error
	// Info returns what the cache says of a path. Nobody has verified it.
	Info(ctx context.Context, h nix.PathHash) (*nix.NarInfo, error)
	// Nar opens the NAR that info names, decompressed: exactly info.NarSize bytes, or an error other than io.EOF in the end. Its hash
	// is not checked.
	Nar(ctx context.Context, info *nix.NarInfo) (io.ReadCloser, error)
	// Received returns how many bytes of answers came from it so far, as they came.
	Received() uint64
	// Close gives up connections that nobody uses.
	Close()
}
