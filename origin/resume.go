package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// errChanged ends a resumption: what the cache has now, or how it answers, does
// not continue what was read.
var errChanged = errors.New("the cache does not continue where it broke off")

// file reads a file of a cache as it is sent, and asks for the rest up to
// maxResumes times when it breaks off, if the cache said that it can.
type file struct {
	o     *Origin
	ctx   context.Context
	ref   string
	body  io.ReadCloser
	tag   string // a strong ETag, or ""
	total int64  // -1: not known
	got   int64
	left  int // resumptions
}

// newFile reads the answer to a question for ref.
func newFile(ctx context.Context, o *Origin, ref string, a *http.Response) *file {
	f := &file{o: o, ctx: ctx, ref: ref, body: a.Body, total: a.ContentLength, tag: a.Header.Get("ETag")}
	if !strings.HasPrefix(f.tag, `"`) {
		f.tag = "" // a weak one says nothing of bytes
	}
	// What is encoded for this answer may be encoded otherwise for the next.
	if a.Header.Get("Content-Encoding") == "" && strings.EqualFold(a.Header.Get("Accept-Ranges"), "bytes") {
		f.left = maxResumes
	}
	return f
}

func (f *file) Read(p []byte) (int, error) {
	for {
		n, err := f.body.Read(p)
		f.got += int64(n)
		if err == nil || err == io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil // the body says it again
		}
		if err := f.resume(err); err != nil {
			return 0, err
		}
	}
}

// resume goes on after what broke the body, or says what that was. A server that
// is restarted is back after a moment.
func (f *file) resume(broke error) error {
	for f.left > 0 {
		select {
		case <-f.ctx.Done():
			return broke
		case <-time.After(time.Duration(maxResumes-f.left) * resumePause):
		}
		f.left--
		err := f.rest()
		if err == nil {
			return nil
		}
		if errors.Is(err, errChanged) || errors.Is(err, ErrAbsent) {
			return fmt.Errorf("%w; then: %w", broke, err)
		}
	}
	return broke
}

// rest asks for what is not read yet.
func (f *file) rest() error {
	ask := http.Header{"Range": {"bytes=" + strconv.FormatInt(f.got, 10) + "-"}}
	if f.tag != "" {
		ask.Set("If-Range", f.tag)
	}
	a, err := f.o.get(f.ctx, f.ref, ask)
	if err != nil {
		return err
	}
	tag := a.Header.Get("ETag")
	if a.StatusCode != http.StatusPartialContent || a.Header.Get("Content-Encoding") != "" ||
		f.tag != "" && tag != "" && tag != f.tag ||
		!continues(a.Header.Get("Content-Range"), f.got, f.total) {
		a.Body.Close()
		return errChanged
	}
	f.body.Close()
	f.body = a.Body
	return nil
}

func (f *file) Close() error { return f.body.Close() }

// continues says whether a Content-Range is all from a byte to the end of a file
// of total bytes, or of any number if total is negative.
func continues(header string, from, total int64) bool {
	span, size, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	first, last, dashed := strings.Cut(span, "-")
	if !ok || !dashed || !strings.HasPrefix(header, "bytes ") {
		return false
	}
	numbers := [3]uint64{}
	for i, s := range []string{first, last, size} {
		n, err := strconv.ParseUint(s, 10, 62)
		if err != nil {
			return false
		}
		numbers[i] = n
	}
	return from >= 0 && numbers[0] == uint64(from) && numbers[1] >= numbers[0] && numbers[1]+1 == numbers[2] &&
		(total < 0 || numbers[2] == uint64(total))
}
