package httpgateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// ErrNotHere is the Cache's answer "no": nothing that is in use has this path,
// or nobody has its archive. Every other error means that the Cache does not
// know. Nix is told 404 both times; only the second is logged.
var ErrNotHere = errors.New("not here")

// Cache is what a Gateway gives out. Its methods are called concurrently. They
// should heed their contexts; one that does not, or that panics, costs its own
// answer and no other.
type Cache interface {
	// Info says what is at a path: found, or ErrNotHere, or why that is not
	// known. The view is the NAME of /ns/NAME/, or "" for all namespaces in use,
	// merged. What it says is remembered until Generation changes; what it
	// denies is asked again each time. Its context ends a little before the
	// Gateway's budget does.
	Info(ctx context.Context, view string, h nix.PathHash) (trust.Verified, error)

	// Nar opens the archive with hash n of the path h, or says ErrNotHere.
	Nar(ctx context.Context, view string, n nix.NarHash, h nix.PathHash) (Nar, error)

	// Generation is the same number as long as what Info found still holds. It
	// is called for every request and must not block: an atomic read.
	Generation() uint64
}

// Quick is a Cache that can often say at once, from memory alone, that a path is
// not here: true is what Info would answer with ErrNotHere, false says nothing.
// It must not block. Most of what Nix asks for is not here, and a goroutine and a
// timer for each such question would cost more than the answer.
type Quick interface {
	Absent(view string, h nix.PathHash) bool
}

// Nar is an open archive. It is used by one goroutine.
type Nar interface {
	// Size is the length of the whole archive in bytes, more than 0.
	Size() int64

	// WriteRange writes the n bytes from off on to w, in order and no others,
	// and returns nil only when it wrote all of them. An error before the first
	// byte becomes a 404, a later one a closed connection. When w fails it
	// stops.
	WriteRange(ctx context.Context, w io.Writer, off, n int64) error

	// Close is called once, after WriteRange has returned.
	Close() error
}

// panicked is a panic of the Cache's, as an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// guarded calls foreign code. A panic in a goroutine of ours would end the whole
// process, and in net/http's it would drop the connection, which Nix retries
// for seconds and then fails upon.
func guarded(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{value: p, stack: debug.Stack()}
		}
	}()
	return call()
}
