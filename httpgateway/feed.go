package httpgateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

var (
	errStalled = errors.New("no progress in time")
	errShort   = errors.New("the archive ended early")
	errTooMuch = errors.New("the archive did not end")
	errLeft    = errors.New("the client went away")
)

// feed carries one archive from a Cache to a client. The Cache's code runs on a
// goroutine of its own, so that it can be left behind when it hangs; it writes
// into the feed, and a feed that has ended takes no more: by then net/http may
// use the connection for another answer.
type feed struct {
	w    http.ResponseWriter
	r    *http.Request
	t    target
	done chan error // how the Cache's side ended; room for one

	mu     sync.Mutex // held during a write to w
	span   byteRange  // what is sent; set when the archive is open
	left   int64      // bytes of span still to be written
	begun  bool       // the headers are written
	ended  bool
	broken error     // why no more can be written, once that is so
	moved  time.Time // last progress

	client clientTime
}

// clientTime is how long a client may take for what is being written to it. It
// has a mutex of its own, since feed.mu is held during the write.
type clientTime struct {
	mu   sync.Mutex
	over bool
}

// extend gives the client clientStall more, unless its time is over for good.
func (c *clientTime) extend(w http.ResponseWriter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	// A ResponseWriter without deadlines (a test's) has none to extend.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(clientStall))
	return true
}

// cut makes a write that is under way fail, and every one that follows.
func (c *clientTime) cut(w http.ResponseWriter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
}

func newFeed(w http.ResponseWriter, r *http.Request, t target) *feed {
	return &feed{w: w, r: r, t: t, done: make(chan error, 1), moved: time.Now()}
}

// run is the Cache's side. The request's context ends when the client goes away
// and when its handler returns.
func (f *feed) run(c Cache, closed func(error)) {
	ctx := f.r.Context()
	var nar Nar
	err := errNoAnswer
	defer func() {
		f.done <- err
		if nar != nil {
			closed(guarded(nar.Close))
		}
	}()
	err = guarded(func() error {
		opened, err := c.Nar(ctx, f.t.view, f.t.nar, f.t.hash)
		if err != nil {
			return err
		}
		if opened == nil {
			return errNoAnswer
		}
		nar = opened
		span, err := f.open(nar.Size())
		if err != nil || f.r.Method == http.MethodHead {
			return err
		}
		return nar.WriteRange(ctx, f, span.off, span.n)
	})
}

// open notes how long the archive is and which part of it the client wants.
func (f *feed) open(size int64) (byteRange, error) {
	if size <= 0 {
		return byteRange{}, fmt.Errorf("the archive has %d bytes", size)
	}
	span := byteRange{n: size, size: size}
	if f.r.Method == http.MethodGet {
		var err error
		if span, err = parseRange(wantedRange(f.r, f.etag()), size); err != nil {
			return byteRange{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.span, f.left, f.moved = span, span.n, time.Now()
	return span, nil
}

// wantedRange returns the one Range header that counts, or "". With If-Range the
// client says for which archive it counts (RFC 9110, section 13.1.5).
func wantedRange(r *http.Request, etag string) string {
	ranges := r.Header["Range"]
	if len(ranges) != 1 {
		return ""
	}
	if condition := r.Header["If-Range"]; len(condition) > 0 && (len(condition) > 1 || condition[0] != etag) {
		return ""
	}
	return ranges[0]
}

// Write takes the next bytes of span from the Cache.
func (f *feed) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.broken != nil:
		return 0, f.broken
	case f.ended:
		return 0, errStalled
	case int64(len(p)) > f.left:
		f.broken = errTooMuch
		return 0, f.broken
	case len(p) == 0:
		return 0, nil
	}
	if !f.begun {
		f.begun = true
		f.writeHeader()
	}
	var written int
	for written < len(p) {
		if !f.client.extend(f.w) {
			f.broken = errLeft
			break
		}
		n, err := f.w.Write(p[written:min(written+writePiece, len(p))])
		written += n
		if err != nil {
			f.broken = fmt.Errorf("%w: %w", errLeft, err)
			break
		}
	}
	f.left -= int64(written)
	f.moved = time.Now()
	return written, f.broken
}

// wait returns how the Cache's side ended, or why it is left behind.
func (f *feed) wait() error {
	timer := time.NewTimer(sourceStall)
	defer timer.Stop()
	for {
		select {
		case err := <-f.done:
			return err
		case <-f.r.Context().Done():
			return errLeft
		case <-timer.C:
			rest := f.patience()
			if rest <= 0 {
				return errStalled
			}
			timer.Reset(rest)
		}
	}
}

// patience is how much longer the source may make no progress. While a write is
// under way it is the client that is waited for.
func (f *feed) patience() time.Duration {
	if !f.mu.TryLock() {
		return sourceStall
	}
	defer f.mu.Unlock()
	return sourceStall - time.Since(f.moved)
}

// end closes the feed to the Cache. begun says whether the client has seen
// anything, sent how many bytes of the archive; the error is nil when those are
// all that it wanted.
func (f *feed) end(err error) (begun bool, sent int64, _ error) {
	// Whoever holds mu is writing, perhaps to a client that takes nothing.
	if !f.mu.TryLock() {
		f.client.cut(f.w)
		f.mu.Lock()
	}
	defer f.mu.Unlock()
	f.ended = true
	sent = f.span.n - f.left
	switch {
	case f.broken != nil:
		err = f.broken
	case err == nil && f.left > 0 && f.r.Method != http.MethodHead:
		err = errShort
	}
	return f.begun, sent, err
}

func (f *feed) etag() string { return `"` + f.t.nar.Nix32() + `"` }

// writeHeader is the head of a 200 or 206.
func (f *feed) writeHeader() {
	h := f.w.Header()
	h.Set("Content-Type", "application/x-nix-nar")
	h.Set("Content-Length", strconv.FormatInt(f.span.n, 10))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Etag", f.etag())
	status := http.StatusOK
	if f.span.partial {
		h.Set("Content-Range", f.span.contentRange())
		status = http.StatusPartialContent
	}
	f.w.WriteHeader(status)
}
