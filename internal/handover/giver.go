package handover

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrFull is the answer of Give when the taker has as many connections as there are slots.
var ErrFull = errors.New("handover: no slot is free")

// Receiver is where connections go that the giver has again. It is called by several goroutines and must not wait.
type Receiver struct {
	Adopt  func(door int, c net.Conn)  // no request was read of it
	Answer func(note byte, c net.Conn) // a request was read of it; note is what the taker noted
}

// Giver is the end that accepts connections.
type Giver struct {
	socket *net.UnixConn
	memory memory
	to     Receiver

	mu    sync.Mutex
	held  [slots]held
	free  []int
	ended bool
}

// held is a slot, as the giver knows it.
type held struct {
	fd   int // -1: nothing is kept open here
	door int
	used bool
	base uint64 // what written said when it was given
}

// NewGiver makes a Giver, and the two files that its taker has to be started with, in this order. The caller closes them
// once the taker has them. errors.ErrUnsupported where the system cannot do it.
func NewGiver(to Receiver) (_ *Giver, files [2]*os.File, err error) {
	shared, err := newMemory()
	if err != nil {
		return nil, files, err
	}
	m, err := mapMemory(shared)
	if err != nil {
		shared.Close()
		return nil, files, err
	}
	mine, theirs, err := socketPair()
	if err != nil {
		return nil, files, errors.Join(err, m.unmap(), shared.Close())
	}
	g := &Giver{socket: mine, memory: m, to: to, free: make([]int, slots)}
	for n := range g.free {
		g.free[n] = slots - 1 - n
		g.held[n].fd = -1
	}
	return g, [2]*os.File{theirs, shared}, nil
}

// socketPair is two ends of a socket that keeps messages apart.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	theirs := os.NewFile(uintptr(fds[1]), "handover")
	mine, err := unixConn(os.NewFile(uintptr(fds[0]), "handover"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return mine, theirs, nil
}

// unixConn makes a connection of f and closes f.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("handover: not a unix socket")
	}
	return u, nil
}

// Give gives c to the taker's listener of that door. After an error c is as it was; else it is closed here. The giver can
// take it back.
func (g *Giver) Give(door int, c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	kept := -1
	var fail error
	if err := raw.Control(func(fd uintptr) {
		kept, fail = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil || fail != nil {
		return errors.Join(err, fail)
	}
	slot, err := g.enter(door, kept)
	if err != nil {
		return errors.Join(err, unix.Close(kept))
	}
	if err := g.send(door, slot, raw); err != nil && g.withdraw(slot) {
		return err
	}
	return c.Close()
}

// GiveAway gives c without a way back, or closes nothing and returns an error.
func (g *Giver) GiveAway(door int, c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if err := g.send(door, -1, raw); err != nil {
		return err
	}
	return c.Close()
}

// enter takes a slot for a connection that waits.
func (g *Giver) enter(door, kept int) (slot int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return 0, net.ErrClosed
	}
	if len(g.free) == 0 {
		return 0, ErrFull
	}
	base, _ := written(kept)
	slot = g.free[len(g.free)-1]
	g.free = g.free[:len(g.free)-1]
	g.held[slot] = held{fd: kept, door: door, used: true, base: base}
	g.memory.end(slot).Store(0)
	g.memory.word(slot).Store(waiting)
	return slot, nil
}

// withdraw undoes enter. It reports whether the connection is still the caller's: not if it was taken back meanwhile.
func (g *Giver) withdraw(slot int) bool {
	g.mu.Lock()
	h := g.held[slot]
	mine := h.used && h.fd >= 0
	if mine {
		g.release(slot)
	}
	g.mu.Unlock()
	if mine {
		unix.Close(h.fd)
	}
	return mine
}

// release frees a slot; g.mu is held. What it kept is the caller's.
func (g *Giver) release(slot int) {
	g.held[slot] = held{fd: -1}
	g.free = append(g.free, slot)
}

// send sends the descriptor under raw.
func (g *Giver) send(door, slot int, raw interface{ Control(func(uintptr)) error }) error {
	head := make([]byte, 0, 6)
	head = append(head, wordConn, byte(door))
	head = binary.LittleEndian.AppendUint32(head, uint32(int32(slot)))
	var fail error
	if err := raw.Control(func(fd uintptr) { fail = g.write(head, unix.UnixRights(int(fd))) }); err != nil {
		return err
	}
	return fail
}

func (g *Giver) write(head, rights []byte) error {
	if err := g.socket.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, _, err := g.socket.WriteMsgUnix(head, rights, nil)
	return err
}

// Tell sends the taker a message.
func (g *Giver) Tell(m Message) error { return g.write(append([]byte{m.Word}, m.Data...), nil) }

// Next waits until the taker says something, at most until deadline; os.ErrDeadlineExceeded then, io.EOF when the taker is
// gone. One goroutine has to call it all the time: it also notes which connections are over.
func (g *Giver) Next(deadline time.Time) (Message, error) {
	if err := g.socket.SetReadDeadline(deadline); err != nil {
		return Message{}, err
	}
	b := make([]byte, maxMessage)
	for {
		n, err := g.socket.Read(b)
		switch {
		case err != nil:
			return Message{}, err
		case n == 0:
			return Message{}, io.EOF
		}
		switch b[0] {
		case wordDone, wordBack:
			if n == 5 {
				g.over(int(int32(binary.LittleEndian.Uint32(b[1:]))), b[0] == wordBack)
			}
		default:
			return Message{Word: b[0], Data: append([]byte(nil), b[1:n]...)}, nil
		}
	}
}

// over ends what the giver keeps of a slot that the taker has done with. Back: the taker has not used it.
func (g *Giver) over(slot int, back bool) {
	if slot < 0 || slot >= slots {
		return
	}
	g.mu.Lock()
	h := g.held[slot]
	if h.used {
		g.release(slot)
	}
	g.mu.Unlock()
	switch {
	case h.fd < 0:
	case back:
		g.adopt(h)
	default:
		unix.Close(h.fd)
	}
}

// TakeBack takes from the taker what it has not begun to answer. All: also what it is writing, which is cut off, because
// there is no taker any more, or none that will end it.
func (g *Giver) TakeBack(all bool) {
	if all {
		g.takeBack(everything)
	} else {
		g.takeBack(unbegun)
	}
}

// TakeIdle takes back what waits for a request, or of which the taker has read a part. It is about to end, and answers what it has all of.
func (g *Giver) TakeIdle() { g.takeBack(idle) }

// extent is how much is taken back.
type extent int

const (
	idle       extent = iota // what is not about to be answered
	unbegun                  // also what was read and is not being answered
	everything               // also what is being answered
)

func (g *Giver) takeBack(what extent) {
	g.mu.Lock()
	if g.ended {
		g.mu.Unlock()
		return
	}
	waits, asked := g.takeAll(what)
	g.mu.Unlock()
	g.receive(waits, asked)
}

// unanswered is a connection of which a request was read.
type unanswered struct {
	held
	note byte
}

// takeAll takes the slots' connections; g.mu is held.
func (g *Giver) takeAll(what extent) (waits []held, asked []unanswered) {
	for slot := range g.held {
		h := &g.held[slot]
		if !h.used || h.fd < 0 {
			continue
		}
		w := g.memory.word(slot)
		v := w.Load()
		begun := v&phaseMask == request && v&answering == 0
		switch {
		case shift(w, waiting, taken):
			waits = append(waits, *h)
		case g.isWhole(slot) && w.CompareAndSwap(v, v&^phaseMask|taken):
			if v&readAhead == 0 {
				waits = append(waits, *h)
			} else { // the next request was begun
				asked = append(asked, unanswered{*h, byte(v >> aheadShift)})
			}
		case begun && w.CompareAndSwap(v, v&^phaseMask|taken), what != idle && shift(w, request, taken):
			asked = append(asked, unanswered{*h, byte(w.Load() >> noteShift)})
		case what == everything:
			shift(w, writing, taken)
			_ = unix.Shutdown(h.fd, unix.SHUT_RDWR) // the client hears of it although the taker may have it open
			unix.Close(h.fd)
		default:
			continue
		}
		h.fd = -1 // the slot is in use until the taker says so
	}
	return waits, asked
}

// isWhole reports whether the answer that a slot's taker is writing is written to its end, of which the taker has only not
// come to say that it is. g.mu is held.
func (g *Giver) isWhole(slot int) bool {
	end := g.memory.end(slot).Load()
	if end == 0 || g.memory.word(slot).Load()&phaseMask != writing {
		return false
	}
	n, ok := written(g.held[slot].fd)
	return ok && n-g.held[slot].base == end
}

// receive passes on what was taken.
func (g *Giver) receive(waits []held, asked []unanswered) {
	for _, h := range waits {
		g.adopt(h)
	}
	for _, a := range asked {
		if c := connOf(a.fd); c != nil {
			g.to.Answer(a.note, c)
		}
	}
}

func (g *Giver) adopt(h held) {
	if c := connOf(h.fd); c != nil {
		g.to.Adopt(h.door, c)
	}
}

// connOf makes a connection of a descriptor; nil if that fails, and the connection is closed.
func connOf(fd int) net.Conn {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil
	}
	return c
}

// Close ends the giver's side: TakeBack as after the taker's death, and no more of anything.
func (g *Giver) Close() error {
	g.mu.Lock()
	if g.ended {
		g.mu.Unlock()
		return nil
	}
	g.ended = true
	waits, asked := g.takeAll(everything)
	err := g.memory.unmap() // nobody looks at it any more
	g.mu.Unlock()
	g.receive(waits, asked)
	return errors.Join(g.socket.Close(), err)
}
