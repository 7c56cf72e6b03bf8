package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/flurry-nix/flurry/content"
	"github.com/flurry-nix/flurry/namespace"
	"github.com/flurry-nix/flurry/transfer"
	"github.com/flurry-nix/flurry/transfer/stream/pb"
	"github.com/flurry-nix/flurry/transfer/transfertest"
	"github.com/flurry-nix/flurry/transfer/transfertest/sample"
	"github.com/flurry-nix/flurry/transfer/wire"
)

const patience = 30 * time.Second

// stranger is a libp2p host that is connected to n and speaks for itself.
func stranger(t testing.TB, n *Network) host.Host {
	t.Helper()
	h := newHost(t)
	if err := h.Connect(t.Context(), lpeer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	return h
}

// openRaw opens a stream on which the test writes what it likes.
func openRaw(t testing.TB, h host.Host, n *Network, p wire.Protocol) network.Stream {
	t.Helper()
	s, err := h.NewStream(t.Context(), n.host.ID(), protocolID(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	if err := s.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return s
}

// readMessage reads one frame into m.
func readMessage(r io.Reader, m proto.Message) error {
	n, err := binary.ReadUvarint(oneByOne{r})
	if err != nil {
		return err
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return err
	}
	return proto.Unmarshal(raw, m)
}

// Questions that are none are told so, and reach nobody.
func TestBadQuestions(t *testing.T) {
	space := sample.Space(t).String()
	n := newNetwork(t, transfertest.Handler{
		OnText: func(context.Context, transfer.Remote, namespace.Address, transfer.Kind, [32]byte) ([]byte, error) {
			t.Error("the handler was asked")
			return nil, transfer.ErrAbsent
		},
	}, Options{})
	h := stranger(t, n)
	question := func(m proto.Message) []byte { return frame(m) }
	for _, c := range []struct {
		name   string
		p      wire.Protocol
		says   []byte
		reason string
	}{
		{"too long", wire.Fetch, binary.AppendUvarint(nil, 64<<10+1), "65537 bytes, at most 65536"},
		{"far too long", wire.Lookup, binary.AppendUvarint(nil, 1<<34), "17179869184"},
		{"a length without end", wire.Sync, bytes.Repeat([]byte{0xff}, 9), "more than 5 bytes"},
		{"nothing", wire.Lookup, []byte{0}, "no namespace"},
		{"nonsense", wire.Fetch, []byte("\x05hello"), "field 13"},
		{"an unknown field", wire.Fetch, question(&pb.TextPart{Data: []byte("x")}), "field 5 is not known"},
		{"an unknown kind", wire.Fetch, question(&pb.FetchRequest{Namespace: space, Kind: 99}), "field 2 is 99"},
		{"no such namespace", wire.Fetch, question(&pb.FetchRequest{Namespace: "acme", Kind: 1}), "field 1"},
		{"overlapping ranges", wire.Fetch, question(&pb.FetchRequest{Namespace: space, Kind: pb.Kind_CHUNKS, Ranges: []uint32{0, 2, 1, 1}}), "asked for twice"},
		{"a hash and a half", wire.Lookup, question(&pb.LookupRequest{Namespace: space, Hashes: make([]byte, 30)}), "multiple of 20"},
		{"buckets twice", wire.Sync, question(&pb.SyncRequest{Namespace: space, Buckets: []byte{1, 1}}), "ascending"},
	} {
		s := openRaw(t, h, n, c.p)
		if _, err := s.Write(c.says); err != nil {
			t.Fatal(err)
		}
		var got pb.TextPart // the status fields are the same in all answers
		if err := readMessage(s, &got); err != nil || got.Code != pb.Code_BAD || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %v, %v; want BAD with %q", c.name, &got, err, c.reason)
		}
		if n, err := s.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d more bytes, %v; want the end", c.name, n, err)
		}
	}
}

// A question that does not come costs its asker the stream.
func TestSlowQuestions(t *testing.T) {
	n := newNetwork(t, transfertest.Handler{}, Options{Pace: quick()})
	h := stranger(t, n)
	request := frame(&pb.FetchRequest{Namespace: sample.Space(t).String(), Kind: pb.Kind_BODY})
	for name, tell := range map[string]lie{
		"silence":               func(network.Stream) {},
		"half a question":       func(s network.Stream) { s.Write(request[:10]) },
		"a byte now and then":   trickling(append(binary.AppendUvarint(nil, 60_000), make([]byte, 1000)...)),
		"half a frame's length": func(s network.Stream) { s.Write([]byte{0xff}) },
	} {
		s := openRaw(t, h, n, wire.Fetch)
		tell(s)
		if _, err := s.Write(nil); err != nil && name != "a byte now and then" {
			t.Fatal(err)
		}
		if got, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes, %v; want a reset", name, got, err)
		}
	}
	// The other end of one that closes instead is told nothing, and let go of.
	s := openRaw(t, h, n, wire.Fetch)
	s.Write(request[:10])
	s.CloseWrite()
	if got, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a question that ends: %d bytes, %v; want a reset", got, err)
	}
}

// Who sends more than a question gets no answer, and its handler is told.
func TestTwoQuestions(t *testing.T) {
	asked, ended := make(chan struct{}, 1), make(chan error, 1)
	n := newNetwork(t, transfertest.Handler{OnText: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
		asked <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	}}, Options{})
	s := openRaw(t, stranger(t, n), n, wire.Fetch)
	request := frame(&pb.FetchRequest{Namespace: sample.Space(t).String(), Kind: pb.Kind_BODY})
	s.Write(request)
	<-asked
	s.Write(request)
	if err := <-ended; !errors.Is(err, wire.ErrTalkative) {
		t.Errorf("the handler was ended for: %v", err)
	}
	if got, err := s.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v; want a reset", got, err)
	}
}

// An asker may close its direction once it has asked, and is answered.
func TestHalfClosedQuestion(t *testing.T) {
	n := newNetwork(t, transfertest.Handler{OnText: func(context.Context, transfer.Remote, namespace.Address, transfer.Kind, [32]byte) ([]byte, error) {
		return []byte("text"), nil
	}}, Options{})
	s := openRaw(t, stranger(t, n), n, wire.Fetch)
	s.Write(frame(&pb.FetchRequest{Namespace: sample.Space(t).String(), Kind: pb.Kind_BODY}))
	s.CloseWrite()
	var got pb.TextPart
	if err := readMessage(s, &got); err != nil || string(got.Data) != "text" {
		t.Errorf("%v, %v", &got, err)
	}
}

// Who asks for much and reads none of it is cut off, and what its answer held is
// free again.
func TestAskerDoesNotRead(t *testing.T) {
	data := sample.Noise(1, 1<<20)
	ended := make(chan error, 1)
	n := newNetwork(t, transfertest.Handler{OnChunks: func(_ context.Context, _ transfer.Remote, _ namespace.Address, _ content.BodyID, _ []transfer.Range, send func(transfer.Run) error) error {
		for i := uint32(0); ; i += 4 {
			if err := send(transfer.Run{First: i, Count: 4, RawLength: len(data), Data: data}); err != nil {
				ended <- err
				return err
			}
		}
	}}, Options{Pace: wire.Pace{Bytes: 64 << 10, Within: 100 * time.Millisecond}})
	s := openRaw(t, stranger(t, n), n, wire.Fetch)
	s.Write(frame(&pb.FetchRequest{Namespace: sample.Space(t).String(), Kind: pb.Kind_CHUNKS, Ranges: []uint32{0, 1 << 20}}))
	select {
	case err := <-ended:
		if !errors.Is(err, transfer.ErrStalled) {
			t.Errorf("sending ended with: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the answer goes on although nobody reads it")
	}
	uploads := n.server.Handler.(*limited).uploads
	eventually(t, "the slot is free", func() bool {
		uploads.mu.Lock()
		defer uploads.mu.Unlock()
		return uploads.free == defaultUploads && len(uploads.held) == 0
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not: %s", what)
		}
	}
}

// Thousands of streams at once: as many are kept as one peer may have, the
// others are reset, and other peers are served meanwhile.
func TestThousandsOfStreams(t *testing.T) {
	n := newNetwork(t, transfertest.Handler{}, Options{})
	h := stranger(t, n)
	before := runtime.NumGoroutine()
	var kept []network.Stream
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 250 {
				s, err := h.NewStream(t.Context(), n.host.ID(), protocolID(wire.Fetch))
				if err != nil {
					continue // refused, which is fine
				}
				s.Write([]byte{50, 0x0a}) // half a question
				mu.Lock()
				kept = append(kept, s)
				mu.Unlock()
			}
		})
	}
	most, done := 0, make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			runtime.Gosched()
		}
		n.guard.mu.Lock()
		most = max(most, n.guard.inAll)
		n.guard.mu.Unlock()
	}
	if most != streamsPerPeer {
		t.Errorf("%d streams of one peer at once, want %d of 2000", most, streamsPerPeer)
	}
	eventually(t, "a goroutine for each stream that is kept, and few more", func() bool {
		return runtime.NumGoroutine()-before < 2*streamsPerPeer
	})
	other := newNetwork(t, transfertest.Handler{}, Options{})
	var c transfer.Conn
	eventually(t, "somebody else is let in, once what was refused is gone", func() (ok bool) {
		var err error
		c, err = other.Connect(t.Context(), n.Self())
		return err == nil
	})
	if _, err := c.Text(t.Context(), sample.Space(t), transfer.Body, sample.ID("body", 1)); !errors.Is(err, transfer.ErrAbsent) {
		t.Errorf("somebody else's question: %v", err)
	}
	for _, s := range kept {
		s.Reset()
	}
	eventually(t, "nothing is left", func() bool {
		n.guard.mu.Lock()
		defer n.guard.mu.Unlock()
		return n.guard.inAll == 0
	})
}

// A flood of questions is answered, then put off, and then ends in a ban.
func TestFlood(t *testing.T) {
	const burst, warnings = 100, 50
	n := newNetwork(t, transfertest.Handler{}, Options{})
	n.guard.lan, n.guard.strikes = allowance{1, burst}, warnings // so that a slow machine can flood
	h := stranger(t, n)
	request := frame(&pb.FetchRequest{Namespace: sample.Space(t).String(), Kind: pb.Kind_BODY})
	codes := make(map[pb.Code]int)
	for range 10 * (burst + warnings) {
		s, err := h.NewStream(t.Context(), n.host.ID(), protocolID(wire.Fetch))
		if err != nil {
			break
		}
		s.SetDeadline(time.Now().Add(patience))
		if _, err := s.Write(request); err != nil {
			break
		}
		var got pb.TextPart
		if readMessage(s, &got) == nil {
			codes[got.Code]++
			if got.Code == pb.Code_BUSY && got.RetryAfterMs != uint32(tooOften/time.Millisecond) {
				t.Fatalf("to be asked again in %d ms", got.RetryAfterMs)
			}
		}
		s.Reset()
	}
	if codes[pb.Code_ABSENT] < burst || codes[pb.Code_BUSY] != warnings || len(codes) != 2 {
		t.Errorf("answers: %v", codes)
	}
	bans := n.Banned()
	if len(bans) != 1 || bans[0].Peer != peerID(h.ID()) || bans[0].Why != "asks on and on" {
		t.Fatalf("bans: %+v", bans)
	}
	eventually(t, "it is disconnected", func() bool { return n.host.Network().Connectedness(h.ID()) != network.Connected })
}

// A peer that does not speak flurry is not taken for one that does.
func TestNotFlurry(t *testing.T) {
	n := newNetwork(t, transfertest.Handler{}, Options{})
	h := stranger(t, n)
	other := newNetwork(t, transfertest.Handler{}, Options{})
	info := other.Self()
	info.ID = ""
	if _, err := n.Connect(t.Context(), info); err == nil {
		t.Error("a peer without an id was connected")
	}
	self := other.Self()
	self.ID, self.Addrs = peerID(h.ID()), nil
	if _, err := n.Connect(t.Context(), self); !errors.Is(err, transfer.ErrNotFlurry) {
		t.Errorf("connecting to a stranger: %v", err)
	}
	if all := n.Connected(); len(all) != 0 {
		t.Errorf("connected to %d peers", len(all))
	}
}

// Nobody is there: the answer comes, and names nobody else's fault.
func TestNobodyThere(t *testing.T) {
	n, gone := newNetwork(t, transfertest.Handler{}, Options{}), newNetwork(t, transfertest.Handler{}, Options{})
	info := gone.Self()
	gone.host.Close()
	if _, err := n.Connect(t.Context(), info); err == nil || errors.Is(err, transfer.ErrNotFlurry) {
		t.Errorf("connecting to a closed port: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Connect(ctx, info); !errors.Is(err, context.Canceled) {
		t.Errorf("connecting with an ended context: %v", err)
	}
	n.Close()
	if _, err := n.Connect(t.Context(), info); !errors.Is(err, transfer.ErrClosed) {
		t.Errorf("connecting with a closed network: %v", err)
	}
}

// Another peer behind the right address is not taken for the one that is meant.
func TestImpostor(t *testing.T) {
	n, a, b := newNetwork(t, transfertest.Handler{}, Options{}), newNetwork(t, transfertest.Handler{}, Options{}), newNetwork(t, transfertest.Handler{}, Options{})
	info := a.Self()
	info.Addrs = b.Self().Addrs
	if c, err := n.Connect(t.Context(), info); err == nil {
		t.Errorf("connected to %s", c.Peer())
	}
}

// Closing a network ends answers and questions, and waits for the former.
func TestCloseEndsAnswers(t *testing.T) {
	asked := make(chan struct{}, 2)
	h := transfertest.Handler{OnText: func(ctx context.Context, _ transfer.Remote, _ namespace.Address, _ transfer.Kind, _ [32]byte) ([]byte, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	a, b := newNetwork(t, h, Options{}), newNetwork(t, h, Options{})
	c, err := a.Connect(t.Context(), b.Self())
	if err != nil {
		t.Fatal(err)
	}
	events := a.Events(t.Context())
	result := make(chan error)
	go func() {
		_, err := c.Text(t.Context(), sample.Space(t), transfer.Body, [32]byte{1})
		result <- err
	}()
	<-asked
	b.Close()
	if err := <-result; !vanished(err) {
		t.Errorf("the other side closed: %v", err)
	}
	a.Close()
	for range events { // ends
	}
	if _, err := c.Text(t.Context(), sample.Space(t), transfer.Body, [32]byte{1}); !errors.Is(err, transfer.ErrClosed) {
		t.Errorf("asking after closing: %v", err)
	}
	a.Close()
}
