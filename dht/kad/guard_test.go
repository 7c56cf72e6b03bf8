package kad

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"
)

// wire is the far end of a stream: what it will read, and what was written.
type wire struct {
	network.Stream
	io.Reader
	written bytes.Buffer
	writes  int
}

func (w *wire) Read(p []byte) (int, error) { return w.Reader.Read(p) }

func (w *wire) Write(p []byte) (int, error) {
	w.writes++
	return w.written.Write(p)
}

func (w *wire) Conn() network.Conn { return someConn{} }

type someConn struct{ network.Conn }

func (someConn) RemotePeer() libpeer.ID { return someone(1) }

func (someConn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast("/ip4/192.168.1.1/tcp/1") }

// someHost keeps the handler that it is given, and opens streams to nowhere.
type someHost struct {
	host.Host
	handler network.StreamHandler
}

func (h *someHost) SetStreamHandler(_ protocol.ID, fn network.StreamHandler) { h.handler = fn }

func (h *someHost) NewStream(context.Context, libpeer.ID, ...protocol.ID) (network.Stream, error) {
	return &wire{}, nil
}

// TestGuard: every stream is guarded, and requests, not answers, are metered.
func TestGuard(t *testing.T) {
	h, m := &someHost{}, newMeter(nil)
	g := &guard{Host: h, meter: m}
	var got network.Stream
	g.SetStreamHandler(protocolID, func(s network.Stream) { got = s })
	h.handler(&wire{})
	if s, ok := got.(*guarded); !ok || s.scope != private || s.meter != m {
		t.Errorf("accepted %+v, want a metered stream of a private peer", got)
	}
	got, err := g.NewStream(t.Context(), someone(1), protocolID)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := got.(*guarded); !ok || s.scope != private || s.meter != nil {
		t.Errorf("opened %+v, want a stream of a private peer that is not metered", got)
	}
}

func announcement(t testing.TB, i int) []byte {
	t.Helper()
	m := addProvider([]byte("k"))
	m.ProviderPeers = []*pb.Message_Peer{subject(t, i, "/ip4/192.168.1.1/tcp/1", "/ip4/203.0.113.9/tcp/1")}
	return marshal(t, m)
}

// frames reads all frames of b.
func frames(t *testing.T, b []byte) (out []*pb.Message) {
	t.Helper()
	r := bytes.NewReader(b)
	for r.Len() > 0 {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > uint64(r.Len()) {
			t.Fatalf("a frame of %d bytes in %d: %v", n, r.Len(), err)
		}
		msg := make([]byte, n)
		r.Read(msg)
		out = append(out, unmarshal(t, msg))
	}
	return out
}

func TestGuardedRead(t *testing.T) {
	raw := append(frame(announcement(t, 1)), frame(announcement(t, 2))...)
	for name, r := range map[string]io.Reader{
		"at once":       bytes.NewReader(raw),
		"byte for byte": iotest.OneByteReader(bytes.NewReader(raw)),
		"end with data": iotest.DataErrReader(bytes.NewReader(raw)),
	} {
		g := &guarded{Stream: &wire{Reader: r}, scope: public}
		got, err := io.ReadAll(g)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ms := frames(t, got)
		if len(ms) != 2 {
			t.Fatalf("%s: %d frames, want 2", name, len(ms))
		}
		for _, m := range ms {
			if s := texts(t, m.ProviderPeers[0]); len(s) != 1 || s[0] != "/ip4/203.0.113.9/tcp/1" {
				t.Errorf("%s: addresses %v, want the public one", name, s)
			}
		}
	}
}

func TestGuardedReadRefuses(t *testing.T) {
	valid := frame(announcement(t, 1))
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":           {nil, io.EOF},
		"a cut length":      {[]byte{0x80}, io.ErrUnexpectedEOF},
		"a cut frame":       {valid[:len(valid)-1], io.ErrUnexpectedEOF},
		"one byte too long": {binary.AppendUvarint(nil, maxFrame+1), errFrame},
		"gigabytes":         {binary.AppendUvarint(nil, 1<<60), errFrame},
		"garbage":           {[]byte{3, 0xff, 0xff, 0xff}, errFrame},
	} {
		g := &guarded{Stream: &wire{Reader: bytes.NewReader(c.raw)}, scope: public}
		if n, err := g.Read(make([]byte, 100)); n != 0 || !errors.Is(err, c.want) {
			t.Errorf("%s: %d, %v; want %v", name, n, err, c.want)
		}
	}
}

func TestGuardedReadOfTheLargestFrame(t *testing.T) {
	msg := make([]byte, maxFrame)
	for i := 0; i < len(msg); i += 2 {
		msg[i] = 0x20 // an unknown field
	}
	g := &guarded{Stream: &wire{Reader: bytes.NewReader(frame(msg))}, scope: public}
	if got, err := io.ReadAll(g); err != nil || !bytes.Equal(got, []byte{0}) {
		t.Errorf("%x, %v; want an empty frame", got, err)
	}
}

func TestGuardedWrite(t *testing.T) {
	raw := append(frame(announcement(t, 1)), frame(announcement(t, 2))...)
	for _, size := range []int{1, 2, 3, 7, 50, len(raw)} {
		w := &wire{}
		g := &guarded{Stream: w, scope: public}
		for rest := raw; len(rest) > 0; {
			n := min(size, len(rest))
			if got, err := g.Write(rest[:n]); err != nil || got != n {
				t.Fatalf("wrote %d of %d: %v", got, n, err)
			}
			rest = rest[n:]
		}
		if w.writes != 2 {
			t.Errorf("%d writes for 2 frames", w.writes)
		}
		for _, m := range frames(t, w.written.Bytes()) {
			if s := texts(t, m.ProviderPeers[0]); len(s) != 1 || s[0] != "/ip4/203.0.113.9/tcp/1" {
				t.Errorf("addresses %v, want the public one", s)
			}
		}
	}
}

func TestGuardedWriteTellsNobodyNothing(t *testing.T) {
	m := addProvider([]byte("k"))
	m.ProviderPeers = []*pb.Message_Peer{subject(t, 1, "/ip4/192.168.1.1/tcp/1")}
	w := &wire{}
	g := &guarded{Stream: w, scope: public}
	if _, err := g.Write(frame(marshal(t, m))); !errors.Is(err, errNoAddress) || w.writes != 0 {
		t.Errorf("%v, %d writes; want errNoAddress and none", err, w.writes)
	}
	if _, err := (&guarded{Stream: w}).Write(binary.AppendUvarint(nil, 1<<40)); !errors.Is(err, errFrame) {
		t.Errorf("a frame without end: %v, want errFrame", err)
	}
}

func FuzzGuardedRead(f *testing.F) {
	f.Add(append(frame(announcement(f, 1)), frame(announcement(f, 2))...), uint16(3))
	f.Add([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}, uint16(1))
	f.Fuzz(func(t *testing.T, raw []byte, size uint16) {
		g := &guarded{Stream: &wire{Reader: bytes.NewReader(raw)}, scope: public}
		var got []byte
		p := make([]byte, 1+int(size))
		for {
			n, err := g.Read(p)
			if got = append(got, p[:n]...); err != nil {
				break
			}
			if n == 0 {
				t.Fatal("neither bytes nor an error")
			}
		}
		for _, m := range frames(t, got) {
			if proto.Size(m) > maxFrame {
				t.Fatal("a frame beyond the bound passed")
			}
		}
	})
}

func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		m := newMeter(done)
		start := time.Now()
		for range frameBurst + 1 {
			if !m.wait("p", time.Now()) {
				t.Fatal("refused within the burst")
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the burst took %v", d)
		}
		for range 2 * frameRate {
			if !m.wait("p", time.Now()) {
				t.Fatal("refused though it waits")
			}
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("two seconds' worth of messages took %v", d)
		}
		now := time.Now()
		for range frameRate * int(maxWait/time.Second) {
			if d := m.delay("p", now); d > maxWait {
				t.Fatalf("%v to wait is more than %v", d, maxWait)
			}
		}
		if m.wait("p", now) {
			t.Error("one more waits than may")
		}
		if !m.wait("q", now) {
			t.Error("another peer has to wait for it")
		}
		time.Sleep(maxWait)
		if !m.wait("p", time.Now()) {
			t.Error("still refused after a pause")
		}
		close(done)
		for range frameBurst + 2 {
			m.delay("p", time.Now())
		}
		if m.wait("p", time.Now()) {
			t.Error("waits though the meter is done")
		}
	})
}
