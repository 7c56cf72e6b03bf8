package httpgateway

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// narTest is a gateway with one archive that behaves as a test says, on a
// network of pipes so that time can be faked. Its methods are for synctest.
type narTest struct {
	t     *testing.T
	s     sample
	cache *fakeCache
	g     *Gateway
	log   bytes.Buffer
	pipes *pipeListener
}

func newNarTest(t *testing.T, size int) *narTest {
	n := &narTest{t: t, s: newSample(t, "h", "hello-1.0", digits(size)), cache: newFakeCache(t), pipes: newPipeListener()}
	n.cache.add(n.s)
	n.g = New(n.cache, Options{Log: slog.New(slog.NewTextHandler(&n.log, nil))})
	t.Cleanup(func() {
		if err := n.g.Close(context.Background()); err != nil {
			t.Error(err)
		}
		n.cache.open.Wait() // every archive is closed
	})
	serveOn(t, NewServer(n.g), n.pipes)
	return n
}

// behave sets what the archive does; f may leave it as it is.
func (n *narTest) behave(f func(nar *fakeNar)) {
	n.cache.onNar(n.s, func(context.Context) (Nar, error) {
		nar := n.cache.nar(n.s.nar)
		f(nar)
		return nar, nil
	})
}

func (n *narTest) dial() *wire {
	// A minute, the wire's own limit, is too short for faked time.
	c := newWire(n.t, n.pipes.dial())
	_ = c.conn.SetDeadline(time.Time{})
	return c
}

// last waits until nothing moves any more, and returns how the archive was said
// to end.
func (n *narTest) last() Outcome {
	n.t.Helper()
	synctest.Wait()
	got := n.g.Memory().Lookup(n.s.hash())
	if len(got) == 0 || !got[0].Nar {
		n.t.Fatalf("nothing about an archive is remembered: %+v", got)
	}
	return got[0].Outcome
}

// pipeListener is a net.Listener whose connections are pipes in memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
