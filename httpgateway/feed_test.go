package httpgateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const half = 10_000 // of an archive, more than net/http keeps back

// TestNarBreaksOff: whatever goes wrong after the first byte, the connection
// ends before Content-Length does.
func TestNarBreaksOff(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(w io.Writer, data []byte) error
		sent  int
	}{
		{"error", func(w io.Writer, data []byte) error {
			_, _ = w.Write(data[:half])
			return errors.New("peer reset")
		}, half},
		{"not here after all", func(w io.Writer, data []byte) error {
			_, _ = w.Write(data[:half])
			return ErrNotHere
		}, half},
		{"early end", func(w io.Writer, data []byte) error {
			_, err := w.Write(data[:half])
			return err
		}, half},
		{"a byte short", func(w io.Writer, data []byte) error {
			_, err := w.Write(data[:len(data)-1])
			return err
		}, 2*half - 1},
		{"panic", func(w io.Writer, data []byte) error {
			_, _ = w.Write(data[:half])
			panic("at the disco")
		}, half},
		{"exit", func(w io.Writer, data []byte) error {
			_, _ = w.Write(data[:half])
			runtime.Goexit()
			return nil
		}, half},
		{"one write too long", func(w io.Writer, data []byte) error {
			_, _ = w.Write(data[:half])
			_, _ = w.Write(append(data[half:], '!'))
			return nil
		}, half},
		{"goes on after a write too long", func(w io.Writer, data []byte) error {
			_, _ = w.Write(data[:half])
			_, _ = w.Write(append(data[half:], '!'))
			_, _ = w.Write(data[half:])
			return nil
		}, half},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNarTest(t, 2*half)
				n.behave(func(nar *fakeNar) {
					nar.write = func(_ context.Context, w io.Writer, _, _ int64) error { return c.write(w, n.s.nar) }
				})
				conn := n.dial()
				conn.get(n.s.narURL())
				a := conn.mustReceive(http.MethodGet)
				// What net/http had buffered may be lost; nothing else may come.
				if a.code() != "200" || !a.cut || len(a.body) > c.sent || !bytes.HasPrefix(n.s.nar, a.body) {
					t.Errorf("%s, %d bytes, cut %v", a.status, len(a.body), a.cut)
				}
				if o := n.last(); o != Aborted {
					t.Errorf("remembered as %v", o)
				}
				if got := n.log.String(); !strings.Contains(got, "outcome=aborted") {
					t.Errorf("logged: %s", got)
				}
			})
		})
	}
}

// TestNarTooLong: all bytes of the range were good, but the archive does not
// end there. There is no knowing which of both is wrong.
func TestNarTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarTest(t, 2*half)
		n.behave(func(nar *fakeNar) {
			nar.write = func(_ context.Context, w io.Writer, _, _ int64) error {
				_, _ = w.Write(nar.data)
				if _, err := w.Write([]byte("!")); err == nil {
					t.Error("a byte beyond the end was taken")
				}
				return nil
			}
		})
		conn := n.dial()
		conn.get(n.s.narURL())
		a := conn.mustReceive(http.MethodGet)
		if !a.cut {
			if err := conn.ended(); err != nil {
				t.Errorf("the connection lives on: %v", err)
			}
		}
		if o := n.last(); o != Aborted {
			t.Errorf("remembered as %v", o)
		}
	})
}

// TestNarFailsInTime: before the first byte there is still time for a 404, and
// the connection lives on.
func TestNarFailsInTime(t *testing.T) {
	failing := errors.New("disk on fire")
	for _, c := range []struct {
		name    string
		open    func(cache *fakeCache, data []byte) (Nar, error)
		outcome Outcome
	}{
		{"not here", func(*fakeCache, []byte) (Nar, error) { return nil, ErrNotHere }, NotHere},
		{"cannot open", func(*fakeCache, []byte) (Nar, error) { return nil, failing }, Failed},
		{"nothing and no error", func(*fakeCache, []byte) (Nar, error) { return nil, nil }, Failed},
		{"panic in Nar", func(*fakeCache, []byte) (Nar, error) { panic("!") }, Failed},
		{"exit in Nar", func(*fakeCache, []byte) (Nar, error) { runtime.Goexit(); return nil, nil }, Failed},
		{"empty", func(c *fakeCache, _ []byte) (Nar, error) { return c.nar(nil), nil }, Failed},
		{"negative", func(c *fakeCache, _ []byte) (Nar, error) {
			n := c.nar(nil)
			n.size = func() int64 { return -1 }
			return n, nil
		}, Failed},
		{"panic in Size", func(c *fakeCache, _ []byte) (Nar, error) {
			n := c.nar(nil)
			n.size = func() int64 { panic("!") }
			return n, nil
		}, Failed},
		{"cannot read", func(c *fakeCache, data []byte) (Nar, error) {
			n := c.nar(data)
			n.write = func(context.Context, io.Writer, int64, int64) error { return failing }
			return n, nil
		}, Failed},
		{"gone when read", func(c *fakeCache, data []byte) (Nar, error) {
			n := c.nar(data)
			n.write = func(context.Context, io.Writer, int64, int64) error { return ErrNotHere }
			return n, nil
		}, NotHere},
		{"writes nothing", func(c *fakeCache, data []byte) (Nar, error) {
			n := c.nar(data)
			n.write = func(_ context.Context, w io.Writer, _, _ int64) error {
				_, err := w.Write(nil)
				return err
			}
			return n, nil
		}, Failed},
		{"too much at once", func(c *fakeCache, data []byte) (Nar, error) {
			n := c.nar(data)
			n.write = func(_ context.Context, w io.Writer, _, _ int64) error {
				_, _ = w.Write(append(data, '!'))
				return nil
			}
			return n, nil
		}, Failed},
		{"panic in WriteRange", func(c *fakeCache, data []byte) (Nar, error) {
			n := c.nar(data)
			n.write = func(context.Context, io.Writer, int64, int64) error { panic("!") }
			return n, nil
		}, Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNarTest(t, half)
				n.cache.onNar(n.s, func(context.Context) (Nar, error) { return c.open(n.cache, n.s.nar) })
				conn := n.dial()
				conn.get(n.s.narURL())
				if a := conn.mustReceive(http.MethodGet); a.code() != "404" || a.cut {
					t.Errorf("%s", a.text())
				}
				if o := n.last(); o != c.outcome {
					t.Errorf("remembered as %v", o)
				}
				if got := n.log.String(); strings.Contains(got, "panic") != strings.HasPrefix(c.name, "panic") {
					t.Errorf("logged: %s", got)
				}
				if s := n.g.Stats(); s.Nars[c.outcome] != 1 || s.NarBytes != 0 {
					t.Errorf("counted: %+v", s)
				}
				conn.get("/nix-cache-info")
				if a := conn.mustReceive(http.MethodGet); a.code() != "200" {
					t.Errorf("then %s", a.status)
				}
			})
		})
	}
}

// TestCloseMisbehaves: by then the archive is out, and well.
func TestCloseMisbehaves(t *testing.T) {
	release := make(chan struct{})
	for name, misbehave := range map[string]func() error{
		"error": func() error { return errors.New("bad descriptor") },
		"panic": func() error { panic("!") },
		"hang":  func() error { <-release; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNarTest(t, half)
			n.behave(func(nar *fakeNar) { nar.close = misbehave })
			conn := n.dial()
			conn.get(n.s.narURL())
			if a := conn.mustReceive(http.MethodGet); a.code() != "200" || !bytes.Equal(a.body, n.s.nar) {
				t.Errorf("%s, %d bytes", a.status, len(a.body))
			}
			if name == "hang" {
				close(release)
			}
		})
	}
}

// TestSourceStalls: a source that hangs is left behind, with a 404 when nothing
// was sent and by closing the connection when something was.
func TestSourceStalls(t *testing.T) {
	for _, c := range []struct {
		name    string
		write   int // bytes before it hangs; -1: it hangs when it is opened
		heeds   bool
		outcome Outcome
	}{
		{"in Nar", -1, false, Late},
		{"in Nar, heeding", -1, true, Late},
		{"before the first byte", 0, false, Late},
		{"before the first byte, heeding", 0, true, Late},
		{"in the midst", half, false, Aborted},
		{"in the midst, heeding", half, true, Aborted},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNarTest(t, 2*half)
				release := make(chan struct{})
				stall := func(ctx context.Context) error {
					if c.heeds {
						<-ctx.Done()
						return ctx.Err()
					}
					<-release
					return nil
				}
				n.cache.onNar(n.s, func(ctx context.Context) (Nar, error) {
					if c.write < 0 {
						if err := stall(ctx); err != nil {
							return nil, err
						}
					}
					nar := n.cache.nar(n.s.nar)
					nar.write = func(ctx context.Context, w io.Writer, _, _ int64) error {
						_, err := w.Write(n.s.nar[:max(c.write, 0)])
						if err != nil {
							return err
						}
						if err := stall(ctx); err != nil {
							return err
						}
						// It wakes up when the connection is used by others.
						_, err = w.Write(n.s.nar[max(c.write, 0):])
						if err == nil {
							t.Error("a write was taken after the end")
						}
						return err
					}
					return nar, nil
				})
				began := time.Now()
				conn := n.dial()
				conn.get(n.s.narURL())
				a := conn.mustReceive(http.MethodGet)
				if took := time.Since(began); took != sourceStall {
					t.Errorf("given up after %v", took)
				}
				if c.write > 0 && (a.code() != "200" || !a.cut) || c.write <= 0 && a.code() != "404" {
					t.Errorf("%s, %d bytes, cut %v", a.status, len(a.body), a.cut)
				}
				if o := n.last(); o != c.outcome {
					t.Errorf("remembered as %v", o)
				}
				close(release)
				if c.write <= 0 { // the connection lives on, and nothing of the straggler's is on it
					conn.get("/nix-cache-info")
					if a := conn.mustReceive(http.MethodGet); string(a.body) != cacheInfo {
						t.Errorf("then %s", a.text())
					}
				}
				synctest.Wait()
			})
		})
	}
}

// TestSlowSourceIsWaitedFor: only standing still is a stall.
func TestSlowSourceIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarTest(t, 10)
		n.cache.onNar(n.s, func(context.Context) (Nar, error) {
			time.Sleep(sourceStall - 1)
			nar := n.cache.nar(n.s.nar)
			nar.write = func(_ context.Context, w io.Writer, _, _ int64) error {
				for i := range n.s.nar {
					time.Sleep(sourceStall - 1)
					if _, err := w.Write(n.s.nar[i : i+1]); err != nil {
						return err
					}
				}
				return nil
			}
			return nar, nil
		})
		conn := n.dial()
		conn.get(n.s.narURL())
		if a := conn.mustReceive(http.MethodGet); a.code() != "200" || a.cut || !bytes.Equal(a.body, n.s.nar) {
			t.Errorf("%s", a.text())
		}
		if o := n.last(); o != Given {
			t.Errorf("remembered as %v", o)
		}
	})
}

// TestClientStalls: a client that takes nothing is cut off in the end; while it
// is waited for, that is no stall of the source's.
func TestClientStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarTest(t, 3*writePiece)
		failed := make(chan error, 1)
		n.behave(func(nar *fakeNar) {
			nar.write = func(_ context.Context, w io.Writer, _, _ int64) error {
				_, err := w.Write(nar.data)
				failed <- err
				return err
			}
		})
		conn := n.dial()
		conn.get(n.s.narURL())
		_, err := io.CopyN(io.Discard, conn.r, writePiece)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := <-failed; err == nil {
			t.Error("what nobody reads was written")
		}
		if took := time.Since(began); took != clientStall {
			t.Errorf("cut off after %v", took)
		}
		if o := n.last(); o != Left {
			t.Errorf("remembered as %v", o)
		}
	})
}

// TestSlowClientIsWaitedFor: a client that takes a little now and then may take
// as long as it likes.
func TestSlowClientIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarTest(t, 9*writePiece)
		conn := n.dial()
		conn.get(n.s.narURL())
		conn.r.Reset(&slowReader{r: conn.conn, piece: 2 * writePiece, wait: clientStall - time.Second})
		if a := conn.mustReceive(http.MethodGet); a.code() != "200" || a.cut || !bytes.Equal(a.body, n.s.nar) {
			t.Errorf("%s, %d bytes, cut %v", a.status, len(a.body), a.cut)
		}
	})
}

// slowReader waits before each piece.
type slowReader struct {
	r           io.Reader
	piece, left int
	wait        time.Duration
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.left == 0 {
		time.Sleep(s.wait)
		s.left = s.piece
	}
	n, err := s.r.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// TestClientLeaves: the source is told, and what it did is not held against it.
func TestClientLeaves(t *testing.T) {
	for _, c := range []struct {
		name string
		sent int
	}{{"before the first byte", 0}, {"in the midst", half}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNarTest(t, 2*half)
				told := make(chan struct{})
				n.behave(func(nar *fakeNar) {
					nar.write = func(ctx context.Context, w io.Writer, _, _ int64) error {
						_, _ = w.Write(nar.data[:c.sent])
						<-ctx.Done()
						close(told)
						return ctx.Err()
					}
				})
				conn := n.dial()
				conn.get(n.s.narURL())
				if c.sent > 0 {
					if _, err := io.CopyN(io.Discard, conn.r, half/2); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				_ = conn.conn.Close()
				<-told
				if o := n.last(); o != Left {
					t.Errorf("remembered as %v", o)
				}
			})
		})
	}
}

// TestClientLeavesHangingSource: a client that goes away frees the connection
// also when the source hangs.
func TestClientLeavesHangingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarTest(t, half)
		release := make(chan struct{})
		n.cache.onNar(n.s, func(context.Context) (Nar, error) {
			<-release
			return n.cache.nar(n.s.nar), nil
		})
		conn := n.dial()
		conn.get(n.s.narURL())
		synctest.Wait()
		began := time.Now()
		_ = conn.conn.Close()
		if o := n.last(); o != Left {
			t.Errorf("remembered as %v", o)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("noticed after %v", took)
		}
		close(release)
	})
}

// stuckWriter is a client that takes nothing: Write returns when its deadline
// has passed.
type stuckWriter struct {
	discard
	passed chan struct{}
}

func (w stuckWriter) Write([]byte) (int, error) {
	<-w.passed
	return 0, os.ErrDeadlineExceeded
}

func (w stuckWriter) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() && at.Before(time.Now()) {
		close(w.passed)
	}
	return nil
}

// TestClientHangs: a client that is known to be gone, but whose connection does
// not fail, does not hold the source: the write that is under way is cut.
func TestClientHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarTest(t, half)
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, n.s.narURL(), nil)
		r.Host = "localhost"
		aborted := make(chan any)
		go func() {
			defer func() { aborted <- recover() }()
			n.g.ServeHTTP(stuckWriter{discard{make(http.Header)}, make(chan struct{})}, r)
		}()
		synctest.Wait()
		began := time.Now()
		leave()
		if p := <-aborted; p != http.ErrAbortHandler {
			t.Errorf("ended with %v", p)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("cut after %v", took)
		}
		if o := n.last(); o != Left {
			t.Errorf("remembered as %v", o)
		}
	})
}

// TestEndedFeed: what comes after the end goes nowhere; net/http may have lent
// the connection's buffers to somebody else by then.
func TestEndedFeed(t *testing.T) {
	hello := newSample(t, "h", "hello-1.0", digits(100))
	w := httptest.NewRecorder()
	f := newFeed(w, httptest.NewRequest(http.MethodGet, "/", nil), target{kind: kindNar, nar: hello.narHash()})
	if _, err := f.open(100); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(hello.nar[:10]); n != 10 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if begun, sent, err := f.end(errStalled); !begun || sent != 10 || !errors.Is(err, errStalled) {
		t.Errorf("%v, %d, %v", begun, sent, err)
	}
	if n, err := f.Write(hello.nar[10:]); n != 0 || err == nil {
		t.Errorf("%d bytes were taken after the end, %v", n, err)
	}
	if w.Body.Len() != 10 {
		t.Errorf("%d bytes were written", w.Body.Len())
	}
}

// TestCutFeed: a writer that comes after the cut does not undo it by asking for
// more time.
func TestCutFeed(t *testing.T) {
	w := httptest.NewRecorder()
	f := newFeed(w, httptest.NewRequest(http.MethodGet, "/", nil), target{kind: kindNar})
	if _, err := f.open(100); err != nil {
		t.Fatal(err)
	}
	f.client.cut(w)
	if n, err := f.Write(digits(10)); n != 0 || !errors.Is(err, errLeft) {
		t.Errorf("%d bytes were taken after the cut, %v", n, err)
	}
	if w.Body.Len() != 0 {
		t.Errorf("%d bytes were written", w.Body.Len())
	}
}

// TestHeadReadsNothing: HEAD opens an archive and closes it.
func TestHeadReadsNothing(t *testing.T) {
	n := newNarTest(t, half)
	n.behave(func(nar *fakeNar) {
		nar.write = func(context.Context, io.Writer, int64, int64) error {
			t.Error("HEAD reads the archive")
			return nil
		}
	})
	conn := n.dial()
	conn.send("HEAD "+n.s.narURL()+" HTTP/1.1", "Host: localhost", "Range: bytes=5-", "")
	if a := conn.mustReceive(http.MethodHead); a.code() != "200" || a.header("Content-Length") != "10000" {
		t.Errorf("%s", a.text())
	}
	if s := n.g.Stats(); s.Nars[Given] != 1 || s.NarBytes != 0 {
		t.Errorf("counted: %+v", s)
	}
}

// TestRangesAreExact asks for ranges at random and compares bytes.
func TestRangesAreExact(t *testing.T) {
	n := newNarTest(t, 3*half)
	conn := n.dial()
	for off := int64(0); off < 3*half; off += 1777 {
		conn.get(n.s.narURL(), "Range: "+byteRange{off: off, n: 1}.header())
		a := conn.mustReceive(http.MethodGet)
		if a.code() != "206" || !bytes.Equal(a.body, n.s.nar[off:]) {
			t.Fatalf("from %d: %s, %d bytes", off, a.status, len(a.body))
		}
	}
	if s := n.g.Stats(); s.NarBytes == 0 {
		t.Errorf("counted: %+v", s)
	}
}

// header is "bytes=OFF-".
func (b byteRange) header() string {
	spec, _, _ := strings.Cut(b.contentRange(), "-")
	return strings.Replace(spec, " ", "=", 1) + "-"
}

// TestNarsAreBounded: archives that hang take no more than maxNars goroutines,
// and none of those that are for questions about paths.
func TestNarsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNarTest(t, half)
		release := make(chan struct{})
		n.cache.onNar(n.s, func(context.Context) (Nar, error) {
			<-release
			return nil, ErrNotHere
		})
		ask := func(ctx context.Context) int {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, n.s.narURL(), nil)
			r.Host = "localhost"
			w := httptest.NewRecorder()
			func() {
				defer func() {
					if p := recover(); p != nil && p != http.ErrAbortHandler {
						panic(p)
					}
				}()
				n.g.ServeHTTP(w, r)
			}()
			return w.Code
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range maxNars {
			ask(gone) // the client leaves, the source hangs
		}
		if got := n.g.Stats().Waiting; got != maxNars {
			t.Errorf("%d hang", got)
		}
		began := time.Now()
		if code := ask(t.Context()); code != http.StatusNotFound {
			t.Errorf("%d", code)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("answered after %v", took)
		}
		if w := get(n.g, n.s.infoURL()); w.Code != http.StatusOK {
			t.Errorf("narinfo: %d", w.Code)
		}
		close(release)
	})
}
