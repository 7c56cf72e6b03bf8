package kad

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// guard is the host that the Kademlia library is given: this node's host, except
// that every stream it opens or accepts is a [guarded] one.
type guard struct {
	host.Host
	meter *meter
}

// NewStream implements [host.Host].
func (g *guard) NewStream(ctx context.Context, p peer.ID, pids ...protocol.ID) (network.Stream, error) {
	s, err := g.Host.NewStream(ctx, p, pids...)
	if err != nil {
		return nil, err
	}
	return &guarded{Stream: s, scope: connScope(s.Conn().RemoteMultiaddr())}, nil
}

// SetStreamHandler implements [host.Host].
func (g *guard) SetStreamHandler(pid protocol.ID, h network.StreamHandler) {
	g.Host.SetStreamHandler(pid, func(s network.Stream) {
		h(&guarded{Stream: s, scope: connScope(s.Conn().RemoteMultiaddr()), meter: g.meter})
	})
}

// guarded is a stream of Kademlia messages, each a uvarint length and as many
// bytes, that lets only clamped messages through, in both directions. Like the
// streams that it stands for it has one reader and one writer at a time.
type guarded struct {
	network.Stream
	scope scope  // of the other end
	meter *meter // of requests; nil where answers are read

	in  bytes.Reader // what is left of the frame that was read last
	out []byte       // the beginning of a frame that is not whole yet
}

var errRate = errors.New("more requests than a peer may have waiting")

// Read returns the bytes of clamped frames, and never those of two at once.
func (g *guarded) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if g.in.Len() == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	n, err := g.in.Read(p)
	if g.in.Len() == 0 {
		g.in.Reset(nil) // an idle stream keeps no frame
	}
	return n, err
}

// next reads, meters and clamps one frame.
func (g *guarded) next() error {
	size, err := binary.ReadUvarint(byteReader{g.Stream})
	if err != nil {
		return err
	}
	if size > maxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d", errFrame, size, maxFrame)
	}
	if g.meter != nil && !g.meter.wait(g.Conn().RemotePeer(), time.Now()) {
		return errRate
	}
	msg := make([]byte, size)
	if _, err := io.ReadFull(g.Stream, msg); err != nil {
		return err
	}
	if msg, err = clamp(msg, g.scope); err != nil {
		return err
	}
	g.in.Reset(frame(msg))
	return nil
}

// Write takes the bytes of frames and sends each that is whole, clamped.
func (g *guarded) Write(p []byte) (int, error) {
	g.out = append(g.out, p...)
	for {
		size, n := binary.Uvarint(g.out)
		if n == 0 && len(g.out) < binary.MaxVarintLen64 {
			return len(p), nil
		}
		if n <= 0 || size > network.MessageSizeMax {
			return 0, fmt.Errorf("%w: this node was about to send one of %d bytes", errFrame, size)
		}
		if uint64(len(g.out)-n) < size {
			return len(p), nil
		}
		msg, err := clamp(g.out[n:n+int(size)], g.scope)
		if err != nil {
			return 0, err
		}
		if _, err := g.Stream.Write(frame(msg)); err != nil {
			return 0, err
		}
		if g.out = g.out[n+int(size):]; len(g.out) == 0 {
			g.out = nil
			return len(p), nil
		}
	}
}

func frame(msg []byte) []byte {
	b := make([]byte, 0, len(msg)+binary.MaxVarintLen32)
	return append(binary.AppendUvarint(b, uint64(len(msg))), msg...)
}

// byteReader reads single bytes, so that nothing after a frame's length is taken
// from the stream with it.
type byteReader struct{ io.Reader }

func (r byteReader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}
