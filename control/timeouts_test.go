package control

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// pipes is a listener for tests in a bubble: its connections are pipes of admins.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return &guest{Conn: c, role: Admin, leave: func() {}}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial(t *testing.T) net.Conn {
	mine, theirs := net.Pipe()
	p.conns <- theirs
	t.Cleanup(func() { mine.Close() })
	return mine
}

// serveInBubble answers pipes until stop is called.
func serveInBubble(t *testing.T, d Daemon) (p *pipes, stop func()) {
	p = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serveGuests(ctx, p, newHandler(d, Roles{}), slog.New(slog.DiscardHandler)) }()
	return p, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// TestSilence: a client that stops in the middle is given up, each time after as long as that may take.
func TestSilence(t *testing.T) {
	for _, test := range []struct {
		name, says string
		after      time.Duration
		hears      string
	}{
		{"says nothing", "", headerTimeout, ""},
		{"stops in the head", "GET /v1/status HTTP/1.1\r\nHost: x\r\n", headerTimeout, ""},
		{"stops in the body", "POST /v1/use HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", bodyTimeout, "bad-request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				p, stop := serveInBubble(t, f)
				defer stop()
				c := p.dial(t)
				start := time.Now()
				if _, err := io.WriteString(c, test.says); err != nil {
					t.Fatal(err)
				}
				heard, err := io.ReadAll(c)
				if took := time.Since(start); took != test.after || !strings.Contains(string(heard), test.hears) || f.asked != nil {
					t.Errorf("after %s: %q, %v", took, heard, err)
				}
			})
		})
	}
}

// TestDeafClient: a client that does not read its progress is given up, and the work with it.
func TestDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Duration, 1)
		f := &fake{publish: func(ctx context.Context, progress func(report.PublishProgress)) error {
			start := time.Now()
			progress(report.PublishProgress{Paths: 1})
			<-ctx.Done()
			ended <- time.Since(start)
			return ctx.Err()
		}}
		p, stop := serveInBubble(t, f)
		defer stop()
		c := p.dial(t)
		if _, err := io.WriteString(c, "POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		if took := <-ended; took != lineTimeout {
			t.Errorf("the work ended after %s", took)
		}
		c.Close()
	})
}

// TestEnd: a request that is under way when the server is told to end may end, and is cut off when it takes too long.
func TestEnd(t *testing.T) {
	for _, test := range []struct {
		takes, ends time.Duration
		hears       string
	}{
		{drainTime - time.Second, drainTime - time.Second, "flurry/status/1"},
		{time.Hour, drainTime, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &slowStatus{takes: test.takes, cut: make(chan error, 1)}
			p, stop := serveInBubble(t, d)
			c := p.dial(t)
			if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			told := time.Now()
			stopped := make(chan struct{})
			go func() {
				stop()
				close(stopped)
			}()
			heard, err := io.ReadAll(c)
			if took := time.Since(told).Round(time.Second); took != test.ends || !strings.Contains(string(heard), test.hears) {
				t.Errorf("%s: after %s: %q, %v", test.takes, took, heard, err)
			}
			<-stopped
			if cut := <-d.cut; (cut != nil) != (test.takes > drainTime) {
				t.Errorf("%s: the daemon was told %v", test.takes, cut)
			}
		})
	}
}

// slowStatus takes its time, unless its context ends.
type slowStatus struct {
	fake
	takes time.Duration
	cut   chan error
}

func (s *slowStatus) Status(ctx context.Context, r StatusRequest) (report.Status, error) {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
	}
	s.cut <- ctx.Err()
	if ctx.Err() != nil {
		return report.Status{}, ctx.Err()
	}
	return s.fake.Status(ctx, r)
}
