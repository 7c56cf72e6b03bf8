package e2e

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A fault is what happens on a line.
type fault int32

const (
	healthy  fault = iota
	hangs          // connections are accepted, or stay, and nothing comes through
	refuses        // nobody listens; what is open is closed
	resets         // connections are reset, new ones as soon as something was sent
	trickles       // a byte a second comes through, each way
	slow           // 16 MB a second come through, each way
)

func (f fault) String() string {
	return [...]string{"healthy", "hangs", "refuses", "resets", "trickles", "slow"}[f]
}

var allFaults = []fault{hangs, refuses, resets, trickles}

// line is a TCP line to a service, with a fault that can change at any time, also for what is under way.
type line struct {
	t       *testing.T
	to      string
	addr    string
	fault   atomic.Int32
	running sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	l       net.Listener  // nil: it refuses
	closed  bool
}

// newLine is a healthy line to an address.
func newLine(t *testing.T, to string) *line {
	t.Helper()
	n := &line{t: t, to: to, addr: "127.0.0.1:" + peerPort(t), changed: make(chan struct{})}
	n.is(healthy)
	t.Cleanup(func() {
		n.mu.Lock()
		n.closed = true
		n.mu.Unlock()
		n.is(refuses)
		n.running.Wait()
	})
	return n
}

// is changes the fault.
func (n *line) is(f fault) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fault.Store(int32(f))
	close(n.changed)
	n.changed = make(chan struct{})
	switch {
	case f == refuses && n.l != nil:
		n.l.Close()
		n.l = nil
	case f != refuses && n.l == nil:
		l, err := net.Listen("tcp", n.addr)
		if err != nil {
			n.t.Fatal(err)
		}
		n.l = l
		n.running.Go(func() { n.accept(l) })
	}
}

func (n *line) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n.running.Go(func() { n.carry(c) })
	}
}

// carry joins a connection with one to the service, until either ends or the fault ends it.
func (n *line) carry(c net.Conn) {
	defer c.Close()
	far, err := net.Dial("tcp", n.to)
	if err != nil {
		return
	}
	defer far.Close()
	gone := make(chan struct{})
	end := sync.OnceFunc(func() { close(gone) })
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, far}, {far, c}} {
		ways.Go(func() {
			defer end()
			n.pass(way[0], way[1], gone)
		})
	}
	for ended := false; !ended; {
		n.mu.Lock()
		changed := n.changed
		n.mu.Unlock()
		if f := fault(n.fault.Load()); f == refuses || f == resets {
			ended = true
			if tcp, ok := c.(*net.TCPConn); ok && f == resets {
				one := make([]byte, 1)
				_ = tcp.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				_, _ = tcp.Read(one)
				_ = tcp.SetLinger(0)
			}
			break
		}
		select {
		case <-gone:
			ended = true
		case <-changed:
		}
	}
	c.Close()
	far.Close()
	end()
	ways.Wait()
}

// pass copies one way, as the fault lets it.
func (n *line) pass(from, to net.Conn, gone <-chan struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n.mu.Lock()
		changed := n.changed
		n.mu.Unlock()
		piece := buf
		switch fault(n.fault.Load()) {
		case healthy:
		case slow:
			select {
			case <-gone:
				return
			case <-time.After(2 * time.Millisecond):
			}
		case trickles:
			piece = buf[:1]
			select {
			case <-gone:
				return
			case <-changed:
			case <-time.After(time.Second):
			}
		default:
			select {
			case <-gone:
				return
			case <-changed:
			}
			continue
		}
		_ = from.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // to look at the fault again
		got, err := from.Read(piece)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			err = nil
		}
		if got > 0 {
			if f := fault(n.fault.Load()); f == hangs {
				select { // what was read meanwhile comes when it goes on
				case <-gone:
					return
				case <-changed:
				}
			}
			if _, err := to.Write(piece[:got]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF {
				if tcp, ok := to.(*net.TCPConn); ok {
					_ = tcp.CloseWrite()
				}
			}
			return
		}
	}
}
