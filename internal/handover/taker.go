package handover

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Taker is the end that works on connections.
type Taker struct {
	socket *net.UnixConn
	memory memory
	note   func(begin []byte) byte
	doors  map[int]*Listener
}

// Join makes a Taker of the files that NewGiver made, which it closes. note is told the first bytes that were read of a
// request, and what it returns is for the giver's Receiver.
func Join(files [2]*os.File, note func(begin []byte) byte) (*Taker, error) {
	defer files[1].Close()
	socket, err := unixConn(files[0])
	if err != nil {
		return nil, err
	}
	m, err := mapMemory(files[1])
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return &Taker{socket: socket, memory: m, note: note, doors: make(map[int]*Listener)}, nil
}

// Open adds the listener for a door, 0 to 255. All are opened before Run.
func (t *Taker) Open(door int, at net.Addr) *Listener {
	l := &Listener{t: t, at: at, come: make(chan net.Conn, slots), ended: make(chan struct{})}
	t.doors[door] = l
	return l
}

// First waits for the giver's first message, which has to come before the first connection.
func (t *Taker) First() (Message, error) {
	b := make([]byte, maxMessage)
	n, err := t.socket.Read(b)
	switch {
	case err != nil:
		return Message{}, err
	case n == 0:
		return Message{}, io.EOF
	}
	return Message{Word: b[0], Data: b[1:n]}, nil
}

// Run takes what the giver gives, until the giver is gone or Close is called; then the listeners end. heard is called for
// other messages.
func (t *Taker) Run(heard func(Message)) {
	b, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4*4))
	for {
		n, rights, _, _, err := t.socket.ReadMsgUnix(b, oob)
		if err != nil || n == 0 {
			break
		}
		if b[0] == wordConn {
			t.take(b[1:n], oob[:rights])
			continue
		}
		heard(Message{Word: b[0], Data: append([]byte(nil), b[1:n]...)})
	}
	for _, l := range t.doors {
		l.Close()
	}
}

// take passes a connection on to its listener.
func (t *Taker) take(head, oob []byte) {
	fds := descriptors(oob)
	var l *Listener
	if len(head) == 5 {
		l = t.doors[int(head[0])]
	}
	if l == nil || len(fds) != 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return
	}
	slot := int(int32(binary.LittleEndian.Uint32(head[1:])))
	if slot >= slots {
		unix.Close(fds[0])
		return
	}
	c := connOf(fds[0])
	tcp, ok := c.(*net.TCPConn)
	switch {
	case c == nil:
		t.tell(wordBack, slot)
	case !ok || slot < 0:
		l.deliver(c)
	default:
		conn, err := newConn(t, slot, tcp)
		if err != nil {
			tcp.Close()
			t.tell(wordBack, slot)
			return
		}
		l.deliver(conn)
	}
}

// descriptors are those that came along with a message.
func descriptors(oob []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if got, err := unix.ParseUnixRights(&m); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// tell says something of a slot. When the giver is gone there is nobody to tell.
func (t *Taker) tell(word byte, slot int) {
	if slot >= 0 {
		_ = t.Tell(Message{Word: word, Data: binary.LittleEndian.AppendUint32(nil, uint32(int32(slot)))})
	}
}

// Tell sends the giver a message.
func (t *Taker) Tell(m Message) error {
	_, err := t.socket.Write(append([]byte{m.Word}, m.Data...))
	return err
}

// Close ends Run. Connections that were accepted go on; the memory that they share with the giver stays.
func (t *Taker) Close() error { return t.socket.Close() }

// Listener has the connections that came to one door.
type Listener struct {
	t    *Taker
	at   net.Addr
	come chan net.Conn

	mu    sync.Mutex
	done  bool
	ended chan struct{}
}

// deliver passes c to Accept. It does not wait: there is room for all that have slots.
func (l *Listener) deliver(c net.Conn) {
	l.mu.Lock()
	late := l.done || len(l.come) == cap(l.come)
	if _, tracked := c.(*Conn); !tracked && len(l.come) >= maxUntracked {
		late = true
	}
	if !late {
		l.come <- c
	}
	l.mu.Unlock()
	if late {
		giveBack(c)
	}
}

// giveBack lets go of a connection of which nothing was read.
func giveBack(c net.Conn) {
	if conn, ok := c.(*Conn); ok {
		conn.giveBack()
		return
	}
	c.Close()
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.ended:
		return nil, net.ErrClosed
	case c := <-l.come:
		return c, nil
	}
}

// Close ends Accept. What was not accepted goes back.
func (l *Listener) Close() error {
	l.mu.Lock()
	first := !l.done
	l.done = true
	l.mu.Unlock()
	if !first {
		return nil
	}
	close(l.ended)
	for {
		select {
		case c := <-l.come:
			giveBack(c)
		default:
			return nil
		}
	}
}

// Addr is the address of the door.
func (l *Listener) Addr() net.Addr { return l.at }
