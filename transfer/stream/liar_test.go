package stream

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/peer"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/transfer/wire"
)

// quick is a pace at which tests of slow peers do not take long.
func quick() wire.Pace { return wire.Pace{Bytes: 1 << 10, Within: 150 * time.Millisecond} }

// lie is what a peer does once it was asked.
type lie func(s network.Stream)

// liar is a peer that reads a question and then does what it is told to.
type liar struct {
	tell chan lie // for the next question
	conn transfer.Conn
}

// newLiar connects to a liar.
func newLiar(t testing.TB, p wire.Protocol) *liar {
	t.Helper()
	l := &liar{tell: make(chan lie, 1)}
	h := newHost(t)
	for other := range wire.Protocols {
		h.SetStreamHandler(protocolID(other), func(s network.Stream) {
			defer s.Reset()
			// What connects asks for a protocol, and no question.
			if readFrame(s) == nil && other == p {
				(<-l.tell)(s)
			}
		})
	}
	n := newNetwork(t, transfertest.Handler{}, Options{Pace: quick()})
	info := peer.Info{ID: peerID(h.ID())}
	for _, a := range h.Addrs() {
		info.Addrs = append(info.Addrs, a.String())
	}
	c, err := n.Connect(t.Context(), info)
	if err != nil {
		t.Fatal(err)
	}
	l.conn = c
	return l
}

// readFrame reads one frame and forgets it.
func readFrame(r io.Reader) error {
	n, err := binary.ReadUvarint(oneByOne{r})
	if err == nil {
		_, err = io.CopyN(io.Discard, r, int64(n))
	}
	return err
}

type oneByOne struct{ io.Reader }

func (r oneByOne) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}

// frame is a message as it travels.
func frame(m proto.Message) []byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // a test's own message
	}
	return append(binary.AppendUvarint(nil, uint64(len(raw))), raw...)
}

// saying writes bytes and then waits for the asker to end the stream.
func saying(parts ...[]byte) lie {
	return func(s network.Stream) {
		for _, b := range parts {
			if _, err := s.Write(b); err != nil {
				return
			}
		}
		wait(s)
	}
}

func messages(all ...proto.Message) lie {
	var parts [][]byte
	for _, m := range all {
		parts = append(parts, frame(m))
	}
	return saying(parts...)
}

// leaving writes bytes and closes.
func leaving(b []byte) lie {
	return func(s network.Stream) {
		_, _ = s.Write(b)
		_ = s.Close()
	}
}

// breaking writes bytes and resets once the asker has had the time to read them.
func breaking(b []byte) lie {
	return func(s network.Stream) {
		_, _ = s.Write(b)
		_ = s.Reset()
	}
}

// endless repeats bytes until the asker ends the stream.
func endless(b []byte) lie {
	return func(s network.Stream) {
		for {
			if _, err := s.Write(b); err != nil {
				return
			}
		}
	}
}

// trickling writes bytes one at a time, every now and then.
func trickling(b []byte) lie {
	return func(s network.Stream) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			<-tick.C
			if _, err := s.Write(b[i%len(b) : i%len(b)+1]); err != nil {
				return
			}
		}
	}
}

// wait returns when the asker has ended the stream.
func wait(s network.Stream) { _, _ = io.Copy(io.Discard, s) }
