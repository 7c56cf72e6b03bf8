package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// Nar is a NAR that can be read here, from the store or, where the store lacks chunks, from peers while it is read.
type Nar struct {
	node     *Node
	verified trust.Verified
	body     *parsedBody
	rewriter *content.Rewriter
	proven   bool
	through  *through // it comes from the origin instead
}

// Nar opens the NAR that has hash want and belongs to the path with hash h in the view.
func (n *Node) Nar(ctx context.Context, view string, want nix.NarHash, h nix.PathHash) (*Nar, error) {
	candidates, err := n.candidates(ctx, n.spaces.inUse(view), h)
	if err != nil {
		return nil, err
	}
	err = ErrNotHere
	for _, v := range candidates {
		if v.Entry().NarHash != want {
			continue
		}
		if n.peers.deserted(v.Address()) && !n.available(ctx, v) {
			err = nobodyHas(v) // as was found out a moment ago, perhaps by who asks now for the rest
			continue
		}
		nar, openErr := n.openFrom(ctx, v)
		if openErr == nil {
			if n.isUpstream(v.Address()) {
				n.narAsked(v)
			}
			if nar.through == nil {
				n.touch(ctx, v.Address(), v.Entry().Body)
			}
			return nar, nil
		}
		err = openErr
	}
	return nil, err
}

// openFrom is open, or, of an upstream namespace, what brings the NAR from elsewhere when it is not all here.
func (n *Node) openFrom(ctx context.Context, v trust.Verified) (*Nar, error) {
	if !n.isUpstream(v.Address()) || v.Entry().HasBody() && n.whole(ctx, v) {
		return n.open(ctx, v)
	}
	if t := n.passing(v); t != nil {
		return &Nar{node: n, verified: v, through: t.want()}, nil
	}
	if !n.available(ctx, v) {
		if n.waitForHolders(ctx, v); len(n.heard(v)) == 0 {
			return nil, nobodyHas(v)
		}
	}
	t, err := n.pullThrough(v, true)
	if err != nil {
		return nil, err
	}
	return &Nar{node: n, verified: v, through: t.want()}, nil
}

// open makes the NAR of v readable. The body is here when it returns; chunks may not be.
func (n *Node) open(ctx context.Context, v trust.Verified) (*Nar, error) {
	nar, err := n.assembly(ctx, v)
	if err != nil {
		if errors.Is(err, ErrWrongNar) {
			n.distrust(ctx, v, err)
		}
		return nil, err
	}
	if nar.proven, err = n.Catalog.Proven(ctx, v); err != nil {
		return nil, err
	}
	return nar, nil
}

// assembly is the NAR of v as its body says.
func (n *Node) assembly(ctx context.Context, v trust.Verified) (*Nar, error) {
	body, err := n.body(ctx, v)
	if err != nil {
		return nil, err
	}
	rewriter, err := content.NewRewriter(body.body, v.Entry().Slots)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrWrongNar, v.Path().Base(), err)
	}
	return &Nar{node: n, verified: v, body: body, rewriter: rewriter}, nil
}

// Size is the length of the NAR in bytes.
func (f *Nar) Size() int64 { return int64(f.verified.Entry().NarSize) }

// Close gives back what the NAR holds.
func (f *Nar) Close() error { return nil }

// WriteRange writes n bytes from offset off to w. The first time that a NAR is assembled here its NarHash is unproven,
// whoever signed it: then a small NAR is checked whole before its first byte is written, of a large one everything but
// the last 64 KiB may be written before the check, and a part of one only after it. ErrWrongNar: it did not match, and
// what was written must not look like a whole answer.
func (f *Nar) WriteRange(ctx context.Context, w io.Writer, off, n int64) error {
	if off < 0 || n < 0 || off+n > f.Size() {
		return fmt.Errorf("range %d+%d is outside of the NAR's %d bytes", off, n, f.Size())
	}
	err := f.writeRange(ctx, w, off, n)
	if err == nil && off+n == f.Size() { // the end: Nix has all of it
		f.node.places.expect(f.verified)
	}
	return err
}

func (f *Nar) writeRange(ctx context.Context, w io.Writer, off, n int64) error {
	switch whole := off == 0 && n == f.Size(); {
	case n == 0:
		return nil
	case f.through != nil:
		return f.through.writeRange(ctx, w, off, n)
	case f.proven:
		return f.copy(ctx, w, off, n)
	case whole && n <= wholeFirst:
		var all bytes.Buffer
		if err := f.prove(ctx, &all); err != nil {
			return err
		}
		_, err := w.Write(all.Bytes())
		return err
	case whole:
		held := &withholder{w: w}
		if err := f.prove(ctx, held); err != nil {
			return err
		}
		return held.release()
	}
	if err := f.prove(ctx, io.Discard); err != nil {
		return err
	}
	return f.copy(ctx, w, off, n)
}

// prove assembles the whole NAR into w and compares its hash with the entry's.
func (f *Nar) prove(ctx context.Context, w io.Writer) error {
	sum := sha256.New()
	if err := f.copy(ctx, &tee{sum, w}, 0, f.Size()); err != nil {
		return err
	}
	if want := f.verified.Entry().NarHash; nix.NarHash(sum.Sum(nil)) != want {
		err := fmt.Errorf("%w: %s: signed %s, assembled %s", ErrWrongNar, f.verified.Path().Base(), want, nix.NarHash(sum.Sum(nil)))
		f.node.distrust(ctx, f.verified, err)
		return err
	}
	f.proven = true
	f.node.assembled(ctx, f.verified)
	return nil
}

// tee hashes what it writes.
type tee struct {
	sum hash.Hash
	w   io.Writer
}

func (t *tee) Write(p []byte) (int, error) {
	t.sum.Write(p)
	return t.w.Write(p)
}

// withholder passes on everything but the last withheld bytes, which wait for release.
type withholder struct {
	w    io.Writer
	last []byte
}

func (h *withholder) Write(p []byte) (int, error) {
	if len(p) >= withheld {
		if err := h.release(); err != nil {
			return 0, err
		}
		if _, err := h.w.Write(p[:len(p)-withheld]); err != nil {
			return 0, err
		}
		h.last = append(h.last[:0], p[len(p)-withheld:]...)
		return len(p), nil
	}
	h.last = append(h.last, p...)
	if over := len(h.last) - withheld; over > 0 {
		if _, err := h.w.Write(h.last[:over]); err != nil {
			return 0, err
		}
		h.last = h.last[:copy(h.last, h.last[over:])]
	}
	return len(p), nil
}

func (h *withholder) release() error {
	_, err := h.w.Write(h.last)
	h.last = h.last[:0]
	return err
}

// distrust notes that what v's signer named is not what it said it was.
func (n *Node) distrust(ctx context.Context, v trust.Verified, why error) {
	n.Log.Error("published content is wrong; it is not served", "namespace", v.Address().Name(), "path", v.Path().Base(), "signer", v.Signer().Name, "err", why)
	ctx = context.WithoutCancel(ctx) // the reader may leave, what was found stays
	if err := n.Catalog.Distrust(ctx, v, why.Error()); err != nil {
		n.Log.Error("distrusting failed", "path", v.Path().Base(), "err", err)
	}
	n.revision.Add(1)
}

// assembled notes that v gave its NarHash here, and announces it where the namespace is given to all.
func (n *Node) assembled(ctx context.Context, v trust.Verified) {
	if err := n.Catalog.MarkProven(context.WithoutCancel(ctx), v); err != nil {
		n.Log.Error("keeping a proof failed", "path", v.Path().Base(), "err", err)
		return
	}
	n.tasks.Go(func(ctx context.Context) {
		switch durable, err := n.settle(ctx, v); {
		case err != nil && ctx.Err() == nil:
			n.Log.Warn("not announced: keeping it failed", "path", v.Path().Base(), "err", err)
			return
		case !durable:
			return
		}
		if err := n.announce(ctx, v.Address(), v); err != nil && ctx.Err() == nil {
			n.Log.Warn("announcing failed", "path", v.Path().Base(), "err", err)
		}
	})
}

// settle waits for the download of v to end, makes all of v durable, and reports whether it is.
func (n *Node) settle(ctx context.Context, v trust.Verified) (durable bool, err error) {
	if d := n.downloading(v); d != nil {
		select {
		case <-d.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return n.secure(ctx, v)
}
