package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/trust"
)

// supply is one NAR of an upstream namespace as it comes: from peers that say they have it, and from the origin when there are none
// or they fail, from where they left off. Its hash is for the reader to check.
type supply struct {
	through *through
	source  io.ReadCloser
	said    hearsay   // what is believed of it; zero: it comes from the origin
	peers   bool      // some of it came from peers
	sum     hash.Hash // of what was given
	given   int64
	waited  time.Duration // for peers
	again   func() error  // goes on at the origin
}

// errSilent: peers that say they have a NAR bring nothing of it. errSlow: they bring it so slowly that the origin is better asked.
var (
	errSilent = errors.New("no peer brings anything")
	errSlow   = errors.New("peers are slow")
)

// supply opens the NAR of t. trusting: at peers, if there are some who have it.
func (t *through) supply(ctx context.Context, trusting bool) (*supply, error) {
	s := &supply{through: t, sum: sha256.New()}
	s.again = func() error { return s.openAtOrigin(ctx) }
	if trusting && s.openAtPeers(ctx) {
		return s, nil
	}
	if err := s.openAtOrigin(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openAtPeers opens the NAR as the first peers say it is whose body can be had.
func (s *supply) openAtPeers(ctx context.Context) bool {
	t := s.through
	n := t.node
	if len(n.heard(t.v)) == 0 {
		n.waitForHolders(ctx, t.v)
	}
	for tried, one := range n.heard(t.v) {
		if tried == hearsayTries {
			break
		}
		source, err := n.fromPeers(ctx, t.v, one)
		if err == nil {
			s.source, s.said, s.peers = source, one, true
			return true
		}
		n.Log.Debug("peers do not give what they say they have", "path", t.v.Path().Base(), "err", err)
		if errors.Is(err, ErrWrongNar) {
			n.disbelieve(t.v, one, err)
		}
	}
	return false
}

// openAtOrigin opens the NAR at the origin, and skips what was given.
func (s *supply) openAtOrigin(ctx context.Context) (err error) {
	s.said = hearsay{}
	if s.source, err = s.through.open(ctx); err != nil || s.given == 0 {
		return err
	}
	skipped := sha256.New()
	if _, err := io.CopyN(skipped, s.source, s.given); err != nil {
		return err
	}
	if [sha256.Size]byte(skipped.Sum(nil)) != [sha256.Size]byte(s.sum.Sum(nil)) {
		return fmt.Errorf("%w: %s: the origin gives other bytes than peers gave", ErrWrongNar, s.through.v.Path().Base())
	}
	return nil
}

// Read goes on at the origin where peers fail.
func (s *supply) Read(p []byte) (int, error) {
	for {
		n, err := s.read(p)
		switch {
		case n > 0:
			return n, nil // the error comes again
		case err == nil || err == io.EOF || s.said.from == nil:
			return n, err
		}
		t := s.through
		t.node.Log.Info("peers gave a part of a NAR", "path", t.v.Path().Base(), "bytes", s.given, "err", err)
		s.source.Close()
		if err := s.again(); err != nil {
			return 0, err
		}
	}
}

// read reads where it comes from now.
func (s *supply) read(p []byte) (int, error) {
	if s.said.from != nil && s.tooSlow() {
		return 0, errSlow
	}
	now := s.through.node.Now
	begun := now()
	n, err := s.source.Read(p)
	if s.said.from != nil {
		s.waited += now().Sub(begun)
	}
	if s.peers {
		s.sum.Write(p[:n])
	}
	s.given += int64(n)
	return n, err
}

// tooSlow reports whether peers are not worth waiting for: the rest would take long, and the origin can be asked.
func (s *supply) tooSlow() bool {
	if s.waited < silentTime || float64(s.given) > slowSupply*s.waited.Seconds() {
		return false
	}
	rest := float64(s.through.size()-s.given) / (float64(s.given+1) / s.waited.Seconds())
	return rest > slowRest.Seconds() && s.through.node.originHas(s.through.v)
}

// Close gives up where it comes from.
func (s *supply) Close() error {
	if s.source == nil {
		return nil
	}
	return s.source.Close()
}

// wrong draws the conclusion from a NAR that is not as signed: if all of it came from what peers said, they made it up.
func (s *supply) wrong(got nix.NarHash) error {
	e := s.through.v.Entry()
	if s.said.from == nil {
		return fmt.Errorf("%w: %s: signed %s, the origin gave %s", ErrWrongNar, e.Path.Base(), e.NarHash, got)
	}
	err := fmt.Errorf("%w: %s: signed %s, assembled %s", errHearsay, e.Path.Base(), e.NarHash, got)
	s.through.node.disbelieve(s.through.v, s.said, err)
	return err
}

// waitForHolders asks peers for v, within their budget.
func (n *Node) waitForHolders(ctx context.Context, v trust.Verified) {
	sp, ok := n.spaces.get(v.Address())
	if !ok || sp.Origin == "" {
		return
	}
	select {
	case <-n.askHolders(sp, v.Path().Hash()):
	case <-ctx.Done():
	}
}

// fromPeers assembles the NAR of v from peers, believing one of them. What is read may be wrong as a whole, though each chunk is one of
// the body's. A read that brings nothing for silentTime fails.
func (n *Node) fromPeers(ctx context.Context, v trust.Verified, said hearsay) (io.ReadCloser, error) {
	v, err := n.believing(v, said)
	if err != nil {
		return nil, err
	}
	patience, cancel := context.WithTimeout(ctx, silentTime)
	defer cancel()
	nar, err := n.assembly(patience, v)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	r, w := io.Pipe()
	if !n.tasks.Go(func(context.Context) { w.CloseWithError(nar.copy(ctx, w, 0, nar.Size())) }) {
		stop()
		return nil, ErrOffline
	}
	return &pipeFromPeers{r, stop}, nil
}

// pipeFromPeers is a NAR that is assembled while it is read.
type pipeFromPeers struct {
	pipe *io.PipeReader
	stop context.CancelFunc
}

func (f *pipeFromPeers) Read(p []byte) (int, error) {
	patience := time.AfterFunc(silentTime, func() { f.pipe.CloseWithError(errSilent) })
	defer patience.Stop()
	n, err := f.pipe.Read(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = errSilent
	}
	return n, err
}

func (f *pipeFromPeers) Close() error {
	f.stop()
	return f.pipe.Close()
}
