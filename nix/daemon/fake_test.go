package daemon

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/nix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hashA = "00bgd045z0d4icpbc2yyz4gx48ak44la"
	hashB = "1b8m03r63zqhnjf7l5wnldhh7c134ap5"
	hashC = "zvpj0850ymkq1iyzicy5s0123456789a"
	hex64 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
)

func storePath(t testing.TB, base string) nix.StorePath {
	t.Helper()
	p, err := nix.ParseBaseName(base)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fakeDaemon listens at a socket and plays one script for each connection, in
// the order of their arrival. It ends with the test.
type fakeDaemon struct {
	t      testing.TB
	socket string
	seen   chan question // every question that a script read
}

type question struct {
	op  operation
	arg string
}

// script is one side of a conversation. When it returns, the connection is
// closed.
type script func(c *fakeConn)

func startFake(t testing.TB, scripts ...script) *fakeDaemon {
	t.Helper()
	d := &fakeDaemon{t: t, socket: filepath.Join(t.TempDir(), "s"), seen: make(chan question, 10_000)}
	listener, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for _, play := range scripts {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				play(&fakeConn{d: d, Conn: conn, in: reader{bufio.NewReader(conn)}})
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return d
}

// open opens the store behind the fake.
func (d *fakeDaemon) open() *Store {
	d.t.Helper()
	s, err := Open(d.t.Context(), Options{Remote: "unix://" + d.socket})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { s.Close() })
	return s
}

// fakeConn is the daemon's end.
type fakeConn struct {
	net.Conn
	d  *fakeDaemon
	in reader
}

// send writes values. That the other side may have gone is no error here.
func (c *fakeConn) send(values ...any) { c.Write(spell(values...)) }

// spell returns numbers, strings and lists of strings in the protocol's form.
func spell(values ...any) []byte {
	var b []byte
	for _, v := range values {
		switch v := v.(type) {
		case int:
			b = appendUint(b, uint64(v))
		case uint64:
			b = appendUint(b, v)
		case string:
			b = appendString(b, v)
		case []string:
			b = appendUint(b, uint64(len(v)))
			for _, s := range v {
				b = appendString(b, s)
			}
		case raw:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("cannot spell %T", v))
		}
	}
	return b
}

// raw is bytes that are sent as they are.
type raw string

// greet plays the handshake of a daemon of protocol 1.minor and returns what
// the client speaks.
func (c *fakeConn) greet(minor int) (client uint64) {
	c.in.uint()
	c.send(serverMagic, major|minor)
	client, _ = c.in.uint()
	c.in.uint()
	c.in.uint()
	if client >= versionNixVersion {
		c.send("2.99")
	}
	if client >= versionTrust {
		c.send(1)
	}
	c.send(stderrLast)
	return client
}

// question reads the next question; false at the end of the connection.
func (c *fakeConn) question() (question, bool) {
	op, err := c.in.uint()
	if err != nil {
		return question{}, false
	}
	arg, err := c.in.string(maxString)
	if err != nil {
		return question{}, false
	}
	q := question{operation(op), arg}
	c.d.seen <- q
	return q, true
}

// wait keeps the connection open until the other side closes it.
func (c *fakeConn) wait() { io.Copy(io.Discard, c.Conn) }

// fakeStore answers questions about a graph of paths as a healthy daemon does:
// base names to those of their references.
type fakeStore map[string][]string

func (f fakeStore) play(c *fakeConn) {
	c.greet(35)
	for {
		q, ok := c.question()
		if !ok {
			return
		}
		f.answer(c, q)
	}
}

func (f fakeStore) answer(c *fakeConn, q question) {
	switch q.op {
	case opQueryPathInfo:
		refs, ok := f[strings.TrimPrefix(q.arg, "/nix/store/")]
		if !ok {
			c.send(stderrLast, 0)
			return
		}
		abs := make([]string, 0, len(refs))
		for _, ref := range refs {
			abs = append(abs, "/nix/store/"+ref)
		}
		c.send(stderrLast, 1, "", hex64, abs, 1_700_000_000, 112, 1, []string{}, "")
	case opQueryPathFromHashPart:
		bases := make([]string, 0, len(f))
		for base := range f {
			bases = append(bases, base)
		}
		i := slices.IndexFunc(bases, func(base string) bool { return strings.HasPrefix(base, q.arg) })
		if i < 0 {
			c.send(stderrLast, "")
			return
		}
		c.send(stderrLast, "/nix/store/"+bases[i])
	case opAddTempRoot:
		c.send(stderrLast, 1)
	}
}
