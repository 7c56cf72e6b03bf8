package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/flurry-nix/flurry/transfer"
)

// code is how a question was taken.
type code uint64

const (
	codeOK      code = 0
	codeAbsent  code = 1
	codeBusy    code = 2
	codeRefused code = 3
	codeBad     code = 4
)

// status is the fields 1 to 3 with which each message of an answer begins. One
// that is not OK stands alone and ends the answer.
type status struct {
	code       code
	retryAfter time.Duration // of codeBusy: whole milliseconds, above 0
	reason     string        // of codeBad, or ""
}

const statusFields = 3

// parse reads the current field if it is one of the status, and says whether it
// is.
func (s *status) parse(d *decoder) bool {
	switch d.num {
	case 1:
		s.code = code(d.uint(uint64(codeBad)))
	case 2:
		s.retryAfter = time.Duration(d.uint(uint64(transfer.MaxRetryAfter/time.Millisecond))) * time.Millisecond
	case 3:
		s.reason = d.text(maxReason)
	default:
		return false
	}
	return true
}

// check looks at the whole message: last is the number of its last field.
func (s *status) check(last uint64) error {
	switch {
	case s.code != codeOK && last > statusFields:
		return fmt.Errorf("field %d with code %d", last, s.code)
	case (s.code == codeBusy) != (s.retryAfter > 0):
		return fmt.Errorf("to be asked again in %v, with code %d", s.retryAfter, s.code)
	case s.reason != "" && s.code != codeBad:
		return fmt.Errorf("a reason with code %d", s.code)
	}
	return nil
}

func (s *status) append(b []byte) []byte {
	b = appendUint(b, 1, uint64(s.code))
	b = appendUint(b, 2, uint64(s.retryAfter/time.Millisecond))
	return appendBytes(b, 3, s.reason)
}

// err is what the asker is told; nil for codeOK.
func (s *status) err() error {
	switch s.code {
	case codeAbsent:
		return transfer.ErrAbsent
	case codeBusy:
		return &transfer.BusyError{RetryAfter: s.retryAfter}
	case codeRefused:
		return transfer.ErrRefused
	case codeBad:
		return transfer.BadRequest("%s", transfer.Printable(s.reason))
	}
	return nil
}

// statusOf is how an error is told to the asker; ok is false for one that is
// our own failure and is told as busy.
func statusOf(err error) (s status, ok bool) {
	var busy *transfer.BusyError
	var bad *transfer.BadRequestError
	switch {
	case err == nil:
		return status{}, true
	case errors.Is(err, transfer.ErrAbsent):
		return status{code: codeAbsent}, true
	case errors.Is(err, transfer.ErrRefused):
		return status{code: codeRefused}, true
	case errors.As(err, &busy):
		after := min(max(busy.RetryAfter.Truncate(time.Millisecond), time.Millisecond), transfer.MaxRetryAfter)
		return status{code: codeBusy, retryAfter: after}, true
	case errors.As(err, &bad):
		return status{code: codeBad, reason: shorten(bad.Reason)}, true
	}
	// A handler that ran out of time has not failed: it has too much to do.
	late := errors.Is(err, context.DeadlineExceeded)
	return status{code: codeBusy, retryAfter: retryAfterFailure}, late
}

// shorten makes a reason fit: at most maxReason bytes of UTF-8.
func shorten(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return strings.ToValidUTF8(s, "")
}
