package httpgateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startServer serves on a real socket of loopback until the test ends.
func startServer(t testing.TB, srv *http.Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, srv, l)
	return l.Addr().String()
}

func serveOn(t testing.TB, srv *http.Server, l net.Listener) {
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

// wire is a client that sees every byte: no library that retries, decodes or
// forgives is in between.
type wire struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, conn)
}

func newWire(t testing.TB, conn net.Conn) *wire {
	t.Cleanup(func() { _ = conn.Close() })
	// Not a measure of anything: a server that never answers should fail a test
	// and not hang it.
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return &wire{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// send sends lines, each ended by CRLF.
func (c *wire) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *wire) get(path string, headers ...string) {
	c.t.Helper()
	c.send(slices.Concat([]string{"GET " + path + " HTTP/1.1", "Host: 127.0.0.1:7669"}, headers, []string{""})...)
}

// reply is an answer as it was on the wire.
type reply struct {
	status  string   // "HTTP/1.1 200 OK"
	headers []string // "Name: value", sorted, without Date
	body    []byte
	cut     bool // the connection ended before the body did
	closed  bool // the connection ended after this answer, as announced
}

func (a reply) code() string {
	_, rest, _ := strings.Cut(a.status, " ")
	code, _, _ := strings.Cut(rest, " ")
	return code
}

func (a reply) header(name string) string {
	for _, h := range a.headers {
		if value, ok := strings.CutPrefix(h, name+": "); ok {
			return value
		}
	}
	return ""
}

// errNothing: the connection ended where an answer should have begun.
var errNothing = errors.New("no answer")

// receive reads one answer to a request of that method.
func (c *wire) receive(method string) (reply, error) {
	var a reply
	length := -1
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			if a.status == "" && line == "" {
				return a, errNothing
			}
			return a, fmt.Errorf("in the head: %w", err)
		}
		line, ok := strings.CutSuffix(line, "\r\n")
		if !ok {
			return a, fmt.Errorf("line %q has no CR", line)
		}
		if line == "" {
			break
		}
		if a.status == "" {
			a.status = line
			a.closed = strings.HasPrefix(line, "HTTP/1.0")
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Date":
			continue
		case "Content-Length":
			if length, err = strconv.Atoi(value); err != nil {
				return a, err
			}
		case "Connection":
			a.closed = value == "close"
		}
		a.headers = append(a.headers, line)
	}
	slices.Sort(a.headers)
	if method != http.MethodHead {
		if length < 0 {
			return a, errors.New("no Content-Length")
		}
		body, err := io.ReadAll(io.LimitReader(c.r, int64(length)))
		a.body, a.cut = body, err != nil || len(body) < length
	}
	if a.cut || a.closed {
		if err := c.ended(); err != nil {
			return a, err
		}
	}
	return a, nil
}

// mustReceive is receive for tests that expect an answer.
func (c *wire) mustReceive(method string) reply {
	c.t.Helper()
	a, err := c.receive(method)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// ended returns nil when the server has closed the connection, by whatever
// means, and nothing more came before that.
func (c *wire) ended() error {
	rest, _ := io.ReadAll(c.r)
	if len(rest) > 0 {
		return fmt.Errorf("%d bytes too many: %.80q", len(rest), rest)
	}
	return nil
}

// text writes an answer as the scripts in testdata have it.
func (a reply) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "< %s\n", a.status)
	for _, h := range a.headers {
		fmt.Fprintf(&b, "< %s\n", h)
	}
	fmt.Fprintln(&b, "<")
	for line := range bytes.Lines(a.body) {
		if whole, ok := bytes.CutSuffix(line, []byte("\n")); ok {
			fmt.Fprintf(&b, "| %s\n", whole)
		} else {
			fmt.Fprintf(&b, "/ %s\n", line)
		}
	}
	switch {
	case a.cut:
		fmt.Fprintln(&b, "= cut")
	case a.closed:
		fmt.Fprintln(&b, "= closed")
	}
	return b.String()
}
