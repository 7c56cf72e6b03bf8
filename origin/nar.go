package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

var (
	errStalled = errors.New("the cache sends nothing any more")
	errSlow    = fmt.Errorf("the cache sends less than %d bytes in %v", slowBytes, slowTime)
	errLong    = errors.New("the NAR is longer than its narinfo says")
)

// nar reads one NAR.
type nar struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.Closer
	input  io.Reader
	output io.Reader
	layers []io.Closer // of output, the outermost first
	left   uint64
	ended  error
}

// open undoes what the server did to the file, and then what the file is.
func (n *nar) open(ds *decoders, compression, encoding string) (io.Reader, error) {
	r := n.input
	for _, format := range []string{encoding, compression} {
		d, err := ds.of(r, format)
		if err != nil {
			return nil, err
		}
		n.layers = append([]io.Closer{d}, n.layers...)
		r = d
	}
	return r, nil
}

// Read gives the NAR's next bytes.
func (n *nar) Read(p []byte) (int, error) {
	if n.ended != nil {
		return 0, n.ended
	}
	if n.left == 0 {
		n.ended = n.last()
		return 0, n.ended
	}
	if uint64(len(p)) > n.left {
		p = p[:n.left]
	}
	got, err := n.output.Read(p)
	n.left -= uint64(got)
	if err != nil && (n.left > 0 || err != io.EOF) {
		n.ended = n.why(err)
	}
	return got, n.ended
}

// last makes sure that nothing follows.
func (n *nar) last() error {
	var one [1]byte
	for {
		got, err := n.output.Read(one[:])
		switch {
		case got > 0:
			return errLong
		case err == io.EOF:
			return io.EOF
		case err != nil:
			return n.why(err)
		}
	}
}

// why is what an error in the middle comes from.
func (n *nar) why(err error) error {
	if cause := context.Cause(n.ctx); cause != nil {
		return cause
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close ends the request.
func (n *nar) Close() error {
	n.cancel(context.Canceled)
	var all error
	for _, l := range n.layers {
		all = errors.Join(all, l.Close())
	}
	n.layers = nil
	n.body.Close() // after the cancellation it says only that
	return all
}

// watched reads from a peer that may fall silent or trickle; then stop is called,
// which must make a Read that waits return.
type watched struct {
	r             io.Reader
	stop          context.CancelCauseFunc
	stall, window time.Duration
	least         int

	waited time.Duration // in this window: for the peer, not for whoever reads from here
	got    int           // in this window
	slow   bool          // it was given up
}

func (w *watched) Read(p []byte) (int, error) {
	if w.slow {
		return 0, errSlow
	}
	timer := time.AfterFunc(w.stall, func() { w.stop(errStalled) })
	defer timer.Stop()
	began := time.Now()
	n, err := w.r.Read(p)
	w.waited += time.Since(began)
	if w.got += n; w.waited < w.window {
		return n, err
	}
	if w.got < w.least && err == nil {
		w.slow = true
		w.stop(errSlow)
		return n, errSlow
	}
	w.waited, w.got = 0, 0
	return n, err
}
