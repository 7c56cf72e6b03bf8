package handover

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection that the giver can take back. Who serves it says by Active and Idle where requests begin and end.
type Conn struct {
	tcp  *net.TCPConn
	raw  syscall.RawConn
	t    *Taker
	slot int
	word *atomic.Uint32

	active atomic.Bool // a request is being answered
	once   sync.Once

	written uint64 // by Write, which one goroutine calls at a time
}

func newConn(t *Taker, slot int, tcp *net.TCPConn) (*Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Conn{tcp: tcp, raw: raw, t: t, slot: slot, word: t.memory.word(slot)}, nil
}

// Active says that a request was read and is now answered.
func (c *Conn) Active() {
	c.active.Store(true)
	for v := c.word.Load(); v&phaseMask == request && !c.word.CompareAndSwap(v, v|answering); v = c.word.Load() {
	}
}

// Idle says that it was answered to the end.
func (c *Conn) Idle() {
	c.active.Store(false)
	for {
		v, next := c.word.Load(), waiting
		if v&phaseMask != writing {
			return
		}
		if v&readAhead != 0 {
			next = request | v>>aheadShift<<noteShift // begun, at least: whoever takes it over cannot read it from its beginning
		}
		if c.word.CompareAndSwap(v, next) {
			return
		}
	}
}

// Read reads. It ends the connection if the giver has it again.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	var fail error
	err := c.raw.Read(func(fd uintptr) bool {
		n, fail = c.look(int(fd), p)
		return fail != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case fail == io.EOF:
		return 0, io.EOF
	case fail != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", fail)}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// look reads what is there. Before the first byte of a request leaves the kernel the word says "request", with its note: there
// is no moment at which a request was read and the giver believes that none was.
func (c *Conn) look(fd int, p []byte) (n int, err error) {
	for {
		v := c.word.Load()
		phase := v & phaseMask
		if phase == taken {
			return 0, io.EOF
		}
		// While a request is answered, what comes is of the next one.
		if next := phase != waiting && c.active.Load() && v&readAhead == 0; next || phase == waiting {
			note, err := c.peek(fd)
			if err != nil {
				return 0, err
			}
			begun := request | note<<noteShift
			if next {
				begun = v | readAhead | note<<aheadShift
			}
			if !c.word.CompareAndSwap(v, begun) {
				continue
			}
		}
		n, err = retry(func() (int, error) { return unix.Read(fd, p) })
		return max(n, 0), err
	}
}

// peek is the note of the request that is there to be read, and stays there. io.EOF: nothing comes any more.
func (c *Conn) peek(fd int) (note uint32, err error) {
	var b [peeked]byte
	n, err := retry(func() (int, error) {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK)
		return n, err
	})
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, io.EOF
	}
	return uint32(c.t.note(b[:n])), nil
}

// retry calls f until no signal interrupts it.
func retry(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); err != unix.EINTR {
			return n, err
		}
	}
}

// Write writes, unless the giver has the connection again. The first Write of an answer has its head, or it is not known where
// the answer ends.
func (c *Conn) Write(p []byte) (int, error) {
	if c.word.Load()&phaseMask != writing {
		end := uint64(0)
		if length, ok := answerLength(p); ok {
			end = c.written + length
		}
		c.t.memory.end(c.slot).Store(end)
	}
	for c.word.Load()&phaseMask != writing {
		if !shift(c.word, request, writing) && !shift(c.word, waiting, writing) && c.word.Load()&phaseMask >= taken {
			return 0, net.ErrClosed
		}
	}
	n, err := c.tcp.Write(p)
	c.written += uint64(n)
	return n, err
}

// answerLength is the length of an HTTP answer that begins with p, as its head says. To HEAD it is less, which does no harm: the
// end is then never reached.
func answerLength(p []byte) (uint64, bool) {
	head := bytes.Index(p, []byte("\r\n\r\n"))
	if head < 0 {
		return 0, false
	}
	_, rest, ok := bytes.Cut(p[:head+2], []byte("\r\nContent-Length: "))
	if !ok {
		return 0, false
	}
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.ParseUint(string(digits), 10, 63)
	return uint64(head) + 4 + n, err == nil
}

// Close ends the connection, also where the giver keeps it open, unless it is the giver's again.
func (c *Conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		for _, phase := range []uint32{writing, request, waiting, writing, request} { // in an order in which none is missed
			if shift(c.word, phase, closed) {
				_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
				break
			}
		}
		err = c.tcp.Close()
		c.t.tell(wordDone, c.slot)
	})
	return err
}

// giveBack closes the connection here and lets the giver have it.
func (c *Conn) giveBack() {
	c.once.Do(func() {
		c.tcp.Close()
		c.t.tell(wordBack, c.slot)
	})
}

// CloseWrite says to the other side that nothing more comes.
func (c *Conn) CloseWrite() error { return c.tcp.CloseWrite() }

// LocalAddr is this side's address.
func (c *Conn) LocalAddr() net.Addr { return c.tcp.LocalAddr() }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.tcp.RemoteAddr() }

// SetDeadline is net.Conn's.
func (c *Conn) SetDeadline(t time.Time) error { return c.tcp.SetDeadline(t) }

// SetReadDeadline is net.Conn's.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tcp.SetReadDeadline(t) }

// SetWriteDeadline is net.Conn's.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tcp.SetWriteDeadline(t) }
