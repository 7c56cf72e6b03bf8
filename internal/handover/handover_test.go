package handover

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pair is both ends, in one process.
type pair struct {
	t        *testing.T
	giver    *Giver
	taker    *Taker
	listener *Listener
	adopted  chan net.Conn
	answers  chan note
	heard    chan Message
}

type note struct {
	net.Conn
	note byte
}

func newPair(t *testing.T) *pair {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can hand connections over")
	}
	p := &pair{t: t, adopted: make(chan net.Conn, 8), answers: make(chan note, 8), heard: make(chan Message, 8)}
	g, files, err := NewGiver(Receiver{
		Adopt: func(door int, c net.Conn) {
			if door != 7 {
				t.Errorf("door %d", door)
			}
			p.adopted <- c
		},
		Answer: func(n byte, c net.Conn) { p.answers <- note{c, n} },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.giver = g
	if p.taker, err = Join(files, func(begin []byte) byte {
		if bytes.HasPrefix(begin, []byte("!")) {
			return 9
		}
		return 0
	}); err != nil {
		t.Fatal(err)
	}
	p.listener = p.taker.Open(7, &net.TCPAddr{Port: 7})
	var running sync.WaitGroup
	running.Go(func() { p.taker.Run(func(m Message) { p.heard <- m }) })
	listening := make(chan struct{})
	running.Go(func() {
		defer close(listening)
		for {
			switch _, err := g.Next(time.Now().Add(time.Hour)); {
			case errors.Is(err, os.ErrDeadlineExceeded):
			case err != nil:
				return
			}
		}
	})
	t.Cleanup(func() {
		p.taker.Close()
		<-listening
		g.Close()
		running.Wait()
		p.taker.memory.unmap()
		for {
			select {
			case c := <-p.adopted:
				c.Close()
			case c := <-p.answers:
				c.Close()
			default:
				return
			}
		}
	})
	return p
}

// connect makes a connection and gives the accepted end away. It returns the client's end.
func (p *pair) connect() net.Conn {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { client.Close() })
	c, err := l.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.giver.Give(7, c.(*net.TCPConn)); err != nil {
		p.t.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(30 * time.Second))
	return client
}

func (p *pair) accept() *Conn {
	p.t.Helper()
	c, err := p.listener.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c.(*Conn)
}

func say(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got, err := bufio.NewReader(r).ReadString('\n')
	if got != want || err != nil && want != "" {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

// free is how many slots are free.
func (p *pair) free() int {
	p.giver.mu.Lock()
	defer p.giver.mu.Unlock()
	return len(p.giver.free)
}

func (p *pair) awaitFree(n int) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); p.free() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("%d slots are free, not %d", p.free(), n)
		}
	}
}

// TestGive: what is given is served by the taker alone, request after request, and when the taker closes it, it is over
// although the giver has a descriptor of it.
func TestGive(t *testing.T) {
	p := newPair(t)
	client := p.connect()
	c := p.accept()
	for range 3 {
		say(t, client, "ask\n")
		hear(t, c, "ask\n")
		c.Active()
		say(t, c, "answer\n")
		hear(t, client, "answer\n")
		c.Idle()
	}
	if p.free() != slots-1 {
		t.Errorf("%d slots are free", p.free())
	}
	c.Close()
	hear(t, client, "")
	p.awaitFree(slots)
}

// TestTakeBackWaiting: a connection of which nothing was read goes back, and the next request is the giver's to read. The
// taker's read of it ends.
func TestTakeBackWaiting(t *testing.T) {
	p := newPair(t)
	client := p.connect()
	c := p.accept()
	say(t, client, "first\n")
	hear(t, c, "first\n")
	c.Active()
	say(t, c, "answer\n")
	hear(t, client, "answer\n")
	c.Idle()
	read := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 10))
		read <- err
	}()
	p.giver.TakeBack(false)
	mine := <-p.adopted
	say(t, client, "second\n")
	if err := <-read; err != io.EOF {
		t.Errorf("the taker read: %v", err)
	}
	if _, err := c.Write([]byte("late\n")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the taker wrote: %v", err)
	}
	c.Close() // must not end it
	hear(t, mine, "second\n")
	say(t, mine, "standby\n")
	hear(t, client, "standby\n")
	mine.Close()
	p.awaitFree(slots)
}

// TestTakeBackRequest: of a request that was read and not answered, the giver gets the note and answers; the taker is too
// late.
func TestTakeBackRequest(t *testing.T) {
	p := newPair(t)
	for _, test := range []struct {
		ask  string
		note byte
	}{{"ask\n", 0}, {"!ask\n", 9}} {
		client := p.connect()
		c := p.accept()
		say(t, client, test.ask)
		hear(t, c, test.ask)
		c.Active()
		p.giver.TakeBack(false)
		mine := <-p.answers
		if mine.note != test.note {
			t.Errorf("%q: note %d", test.ask, mine.note)
		}
		if _, err := c.Write([]byte("late\n")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the taker wrote: %v", err)
		}
		c.Close()
		say(t, mine, "standby\n")
		hear(t, client, "standby\n")
		mine.Close()
	}
	p.awaitFree(slots)
}

// TestTakeBackWriting: an answer that has begun stays with the taker, and ends with its death, short.
func TestTakeBackWriting(t *testing.T) {
	p := newPair(t)
	client := p.connect()
	c := p.accept()
	say(t, client, "ask\n")
	hear(t, c, "ask\n")
	c.Active()
	say(t, c, "begin\n")
	p.giver.TakeBack(false)
	say(t, c, "end\n")
	reader := bufio.NewReader(client)
	hear(t, reader, "begin\n")
	hear(t, reader, "end\n")
	if len(p.adopted)+len(p.answers) > 0 {
		t.Error("it was taken back")
	}
	p.giver.TakeBack(true) // the taker hangs: it has the connection open
	if _, err := c.Write([]byte("late\n")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the taker wrote: %v", err)
	}
	if n, err := reader.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
}

// TestTakeBackWhole: an answer that was written to its end is not cut off, although the taker did not come to say so; one that
// lacks a byte is.
func TestTakeBackWhole(t *testing.T) {
	p := newPair(t)
	for _, test := range []struct {
		answer []string
		whole  bool
	}{
		{[]string{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc\n"}, true},
		{[]string{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "ab", "c\n"}, true},
		{[]string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "abc\n"}, false},
		{[]string{"HTTP/1.1 200 OK\r\nContent-Len"}, false},
		{[]string{"HTTP/1.1 200 OK\r\n\r\nabc\n"}, false},
	} {
		client := p.connect()
		c := p.accept()
		for range 2 { // the second answer is counted from where the first ended
			say(t, client, "ask\n")
			hear(t, c, "ask\n")
			c.Active()
			say(t, c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			c.Idle()
		}
		say(t, client, "ask\n")
		hear(t, c, "ask\n")
		c.Active()
		for _, part := range test.answer {
			say(t, c, part)
		}
		p.giver.TakeBack(true)
		select {
		case mine := <-p.adopted:
			if !test.whole {
				t.Errorf("%q was taken for a whole answer", test.answer)
			}
			say(t, client, "again\n")
			hear(t, mine, "again\n")
			mine.Close()
		default:
			if test.whole {
				t.Errorf("%q was cut off", test.answer)
			}
		}
		c.Idle() // it wakes up
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the taker reads on")
		}
		c.Close()
	}
	p.awaitFree(slots)
}

// TestBeforeAccept: what the taker has not accepted yet goes back when it closes its listener, and also when it dies.
func TestBeforeAccept(t *testing.T) {
	p := newPair(t)
	a := p.connect()
	p.listener.Close()
	mine := <-p.adopted
	say(t, a, "ask\n")
	hear(t, mine, "ask\n")
	mine.Close()
	b := p.connect() // the giver does not know yet
	mine = <-p.adopted
	say(t, b, "ask\n")
	hear(t, mine, "ask\n")
	mine.Close()
	p.awaitFree(slots)
}

func TestAfterDeath(t *testing.T) {
	p := newPair(t)
	p.taker.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for end := time.Now().Add(30 * time.Second); ; {
		err := p.giver.Give(7, c.(*net.TCPConn))
		if err != nil {
			break // and c is as it was
		}
		t.Fatalf("given to nobody; %v", time.Now().After(end))
	}
	say(t, client, "ask\n")
	hear(t, c, "ask\n")
	p.awaitFree(slots)
}

// TestReadAhead: when more than one request was read, the next one has begun: the connection is not passed on as one of
// which nothing was read.
func TestReadAhead(t *testing.T) {
	p := newPair(t)
	client := p.connect()
	c := p.accept()
	say(t, client, "ask\n")
	hear(t, c, "ask\n")
	c.Active()
	say(t, client, "again\n")
	hear(t, c, "again\n")
	say(t, c, "answer\n")
	c.Idle()
	p.giver.TakeBack(false)
	mine := <-p.answers
	mine.Close()
	c.Close()
}

// TestFull: beyond the slots nothing is given, and what is refused is as it was.
func TestFull(t *testing.T) {
	p := newPair(t)
	p.giver.mu.Lock()
	kept := p.giver.free
	p.giver.free = nil
	p.giver.mu.Unlock()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := p.giver.Give(7, c.(*net.TCPConn)); !errors.Is(err, ErrFull) {
		t.Errorf("%v", err)
	}
	say(t, client, "ask\n")
	hear(t, c, "ask\n")
	p.giver.mu.Lock()
	p.giver.free = kept
	p.giver.mu.Unlock()
}

// TestMessages pass both ways.
func TestMessages(t *testing.T) {
	p := newPair(t)
	if err := p.giver.Tell(Message{'B', []byte("brief")}); err != nil {
		t.Fatal(err)
	}
	if m := <-p.heard; m.Word != 'B' || string(m.Data) != "brief" {
		t.Errorf("%+v", m)
	}
}

// TestNothingIsLost takes connections back at every moment of a conversation, with the taker alive: each question is
// answered once, by one of the two.
func TestNothingIsLost(t *testing.T) {
	p := newPair(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := p.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					conn := c.(*Conn)
					conn.Active()
					if _, err := io.WriteString(c, "taker "+line); err != nil {
						return
					}
					conn.Idle()
				}
			})
		}
	})
	standby := func(c net.Conn) {
		serving.Go(func() {
			defer c.Close()
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == nil {
				io.WriteString(c, "giver "+line)
			}
		})
	}
	var ended atomic.Bool
	serving.Go(func() {
		for !ended.Load() {
			p.giver.TakeBack(false)
			for more := true; more; {
				select {
				case c := <-p.adopted:
					standby(c)
				case c := <-p.answers:
					io.WriteString(c, "giver whatever\n")
					c.Close()
				case <-time.After(100 * time.Microsecond):
					more = false
				}
			}
		}
	})
	who := map[string]int{}
	for range 400 {
		client := p.connect()
		r := bufio.NewReader(client)
		for range 20 {
			say(t, client, "ask\n")
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("a question was lost: %q, %v", line, err)
			}
			by, _, _ := strings.Cut(line, " ")
			if who[by]++; by == "giver" {
				break
			}
		}
		client.Close()
	}
	ended.Store(true)
	p.listener.Close()
	if who["taker"] == 0 || who["giver"] == 0 {
		t.Errorf("only one of them answered: %v", who)
	}
	p.taker.Close()
	serving.Wait()
}
