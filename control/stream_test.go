package control

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// TestProgress: progress arrives while the work goes on.
func TestProgress(t *testing.T) {
	seen := make(chan report.PublishProgress)
	f := &fake{publish: func(_ context.Context, progress func(report.PublishProgress)) error {
		progress(report.PublishProgress{Paths: 2, PathsDone: 1, Bytes: 10, BytesDone: 5, NewBytes: 3})
		<-seen // the client has it, and publishing has not ended
		return nil
	}}
	c := Dial(serve(t, f, self()))
	p, err := c.Publish(t.Context(), PublishRequest{Namespace: "n"}, func(p report.PublishProgress) { seen <- p })
	if err != nil || p.Namespace != "n" {
		t.Fatalf("%+v, %v", p, err)
	}

	f = &fake{check: func(progress func(report.CheckProgress)) { progress(report.CheckProgress{Bytes: 1, Of: 2}) }}
	c = Dial(serve(t, f, self()))
	var checked []report.CheckProgress
	if _, err := c.Check(t.Context(), CheckRequest{}, func(p report.CheckProgress) { checked = append(checked, p) }); err != nil || len(checked) != 1 || checked[0].Of != 2 {
		t.Errorf("%v, %v", checked, err)
	}
	var collected []report.CollectProgress
	if _, err := c.Collect(t.Context(), CollectRequest{}, func(p report.CollectProgress) { collected = append(collected, p) }); err != nil || len(collected) != 1 || collected[0].Of != 2 {
		t.Errorf("%v, %v", collected, err)
	}
}

// TestProgressIsThinned: a client is not told more often than it can read.
func TestProgressIsThinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{publish: func(_ context.Context, progress func(report.PublishProgress)) error {
			for i := range 1000 {
				progress(report.PublishProgress{PathsDone: i})
				time.Sleep(progressEvery / 10) // the bubble's clock: no time passes
			}
			return nil
		}}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v1/publish", strings.NewReader(`{}`))
		r = r.WithContext(context.WithValue(r.Context(), guestKey{}, &guest{role: Admin}))
		newHandler(f, Roles{}).ServeHTTP(w, r)
		if n := strings.Count(w.Body.String(), `"event":"progress"`); n != 100 {
			t.Errorf("%d lines of progress", n)
		}
		if !strings.HasSuffix(strings.TrimSpace(w.Body.String()), `"exit":0}`) {
			t.Errorf("no outcome: %s", w.Body)
		}
	})
}

// TestClientLeaves: when the client goes, the work ends, whether anything was answered yet or not.
func TestClientLeaves(t *testing.T) {
	for _, answered := range []bool{false, true} {
		started, ended := make(chan bool, 1), make(chan error, 1)
		f := &fake{publish: func(ctx context.Context, progress func(report.PublishProgress)) error {
			if answered {
				progress(report.PublishProgress{})
			} else {
				started <- true
			}
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}}
		c := Dial(serve(t, f, self()))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-started
			cancel()
		}()
		if _, err := c.Publish(ctx, PublishRequest{}, func(report.PublishProgress) { started <- true }); !errors.Is(err, context.Canceled) {
			t.Errorf("answered %v: %v", answered, err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("answered %v: the daemon went on: %v", answered, err)
		}
	}
}

// TestOneQuestion: a connection is for one question, and closed after the answer.
func TestOneQuestion(t *testing.T) {
	c, err := net.Dial("unix", serve(t, &fake{}, self()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(answer), `"status":"ok"`) {
		t.Errorf("%q, %v", answer, err)
	}
}

// TestDaemonDies: whatever of an answer came, the client says that it broke off, and never takes half for whole.
func TestDaemonDies(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
	chunk := func(s string) string { return "40\r\n" + s + strings.Repeat(" ", 0x40-len(s)) + "\r\n" }
	for _, said := range []string{
		"",
		"HTTP/1.1 200",
		head,
		head + chunk(`{"schema":"flurry/publish/1","event":"progress"}`),
		head + chunk(`{"schema":"flurry/publish/1","event":"done","na`),
		head + chunk(`{"schema":"flurry/publish/1","event":"progress"}`) + "0\r\n\r\n",
		head + chunk(`nonsense`),
		head + chunk(`{"event":7}`),
		head + chunk(`{"event":"progress","paths":"x"}`),
	} {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		gone := make(chan error, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, err = bufio.NewReader(c).ReadString('}') // the whole request
				_, werr := io.WriteString(c, said)
				err = errors.Join(err, werr, c.Close())
			}
			gone <- err
		}()
		_, err = Dial(l.Addr().String()).Publish(t.Context(), PublishRequest{}, nil)
		if p := problemOf(err); p.ID != "broke-off" || p.Exit != report.ExitFailed {
			t.Errorf("%q: %v", said, err)
		}
		if err := <-gone; err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}

// TestUnreachable: why nobody answers.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	dead, err := net.Listen("unix", filepath.Join(dir, "dead"))
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	for _, socket := range []string{filepath.Join(dir, "missing"), filepath.Join(dir, "dead"), filepath.Join(dir, "dead", "below")} {
		_, err := Dial(socket).Status(t.Context(), StatusRequest{})
		if p := problemOf(err); p.ID != "no-daemon" || p.Exit != report.ExitNoDaemon || p.Message != "no daemon at "+socket {
			t.Errorf("%s: %v", socket, err)
		}
	}
	refuse := func(err error) *Client {
		return newClient("s", func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Err: err}
		})
	}
	if _, err := refuse(syscall.EACCES).Health(t.Context()); problemOf(err).ID != "may-not" {
		t.Errorf("a socket of somebody else's: %v", err)
	}
	if _, err := refuse(syscall.EMFILE).Health(t.Context()); problemOf(err).ID != "failed" || !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("something else: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	leaving := newClient("s", func(context.Context) (net.Conn, error) {
		cancel()
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	})
	if _, err := leaving.Health(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("who left is told about the daemon: %v", err)
	}
}
