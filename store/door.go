package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/flurry-nix/flurry/namespace"
)

// Check tells whether raw is the content that k names. Errors wrap
// [ErrCorrupt].
//
// The id of a document or publication covers its text, not its signature line:
// that part is for package trust to check, before the text is put and after it
// is read.
func Check(k Key, raw []byte) error {
	if !k.Kind.Valid() {
		return fmt.Errorf("%w: unknown %v", ErrCorrupt, k.Kind)
	}
	if len(raw) < 1 || len(raw) > k.Kind.MaxRaw() {
		return fmt.Errorf("%w: a %v of %d bytes, allowed are 1 to %d", ErrCorrupt, k.Kind, len(raw), k.Kind.MaxRaw())
	}
	var id [32]byte
	switch k.Kind {
	case KindChunk, KindBody:
		id = sha256.Sum256(raw)
	case KindDocument, KindPublication, KindKeepList:
		text, err := namespace.TextID(raw)
		if err != nil {
			return fmt.Errorf("%w: %v: %v", ErrCorrupt, k, err)
		}
		id = text
	}
	if id != k.ID {
		return fmt.Errorf("%w: %d bytes given as %v are %v", ErrCorrupt, len(raw), k, Key{k.Kind, id})
	}
	return nil
}

// Get returns the raw content under k, decoded and checked against its id.
// When that fails the store is told, if it is a [Condemner], and the error
// wraps [ErrCorrupt].
func Get(ctx context.Context, r Reader, c *Codec, k Key) ([]byte, error) {
	return AppendGet(ctx, nil, r, c, k)
}

// AppendGet is [Get] appending to dst, for callers that keep a buffer.
func AppendGet(ctx context.Context, dst []byte, r Reader, c *Codec, k Key) ([]byte, error) {
	room := c.scratch.Get().(*[]byte)
	defer c.scratch.Put(room)
	f, err := r.Frame(ctx, k, *room)
	if err != nil {
		return nil, err
	}
	raw, err := open(dst, c, k, f)
	if err == nil {
		return raw, nil
	}
	if cond, ok := r.(Condemner); ok {
		err = errors.Join(err, cond.Condemn(ctx, k))
	}
	return nil, fmt.Errorf("get %v: %w", k, err)
}

// open decodes f, appending to dst, and checks it against k.
func open(dst []byte, c *Codec, k Key, f Frame) ([]byte, error) {
	if err := f.Validate(k.Kind); err != nil {
		return nil, err
	}
	raw, err := c.Decode(dst, f)
	if err != nil {
		return nil, err
	}
	if err := Check(k, raw[len(dst):]); err != nil {
		return nil, err
	}
	return raw, nil
}

// Receive is the door of every store: it checks that raw is what k names, and
// puts it. What is already there is not encoded again. raw is not kept.
func Receive(ctx context.Context, b Batch, c *Codec, k Key, raw []byte) error {
	if err := Check(k, raw); err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return put(ctx, b, c, k, raw)
}

// ReceiveFrame is [Receive] for what comes encoded: it decodes f within bounds,
// checks the bytes against k, puts them, and returns them. They are put in the
// form in which they came, so that what a peer has compressed is not compressed
// again, unless that form is not one well-made frame that saves room. Errors
// that wrap [ErrCorrupt] are the sender's fault.
func ReceiveFrame(ctx context.Context, b Batch, c *Codec, k Key, f Frame) ([]byte, error) {
	if f.RawLength < 1 || f.RawLength > k.Kind.MaxRaw() {
		return nil, fmt.Errorf("receive: %w: a %v of %d bytes, allowed are 1 to %d", ErrCorrupt, k.Kind, f.RawLength, k.Kind.MaxRaw())
	}
	raw, err := c.Decode(nil, f)
	if err != nil {
		return nil, fmt.Errorf("receive %v: %w", k, err)
	}
	if err := Check(k, raw); err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	if f.Encoding == Zstd && len(f.Data) < f.RawLength && isSingleFrame(f.Data, f.RawLength) {
		return raw, b.Put(ctx, k, f)
	}
	return raw, put(ctx, b, c, k, raw)
}

// put encodes raw and puts it, unless it is there.
func put(ctx context.Context, b Batch, c *Codec, k Key, raw []byte) error {
	if have, err := b.Has(ctx, k); err != nil || have {
		return err
	}
	buf := c.scratch.Get().(*[]byte)
	defer c.scratch.Put(buf)
	return b.Put(ctx, k, c.Encode((*buf)[:0], raw))
}
