package transfer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrAbsent says that the peer does not have what was asked for, or does
	// not show it to us; it says no more than that. After [Conn.Chunks] it means
	// that some of the chunks did not come.
	ErrAbsent = errors.New("the peer does not have it")

	// ErrRefused says that the peer will not answer us at all.
	ErrRefused = errors.New("the peer refuses")

	// ErrBanned says that this node does not talk to the peer for now.
	ErrBanned = errors.New("the peer is banned here")

	// ErrStalled says that the peer was silent for too long, or too slow.
	ErrStalled = errors.New("the peer stalled")

	// ErrDisconnected says that there is no connection to the peer now.
	ErrDisconnected = errors.New("the peer is not connected")

	// ErrNotFlurry says that somebody answered who does not speak flurry's
	// protocols, or not this version of them.
	ErrNotFlurry = errors.New("the peer does not speak this version of flurry's protocols")

	// ErrClosed says that the network was closed on our side.
	ErrClosed = errors.New("the network is closed")
)

// BusyError says that the peer has no time now. A handler returns one to say so.
type BusyError struct {
	// RetryAfter is when asking again makes sense: above 0, at most
	// [MaxRetryAfter].
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("the peer is busy, ask again in %v", e.RetryAfter)
}

// BadRequestError says that the peer, or this package on its behalf, takes the
// request for malformed. A handler returns one to say so.
type BadRequestError struct {
	// Reason is hearsay where a peer gave it: printable, shortened, and for
	// people alone.
	Reason string
}

func (e *BadRequestError) Error() string { return "bad request: " + e.Reason }

// MisbehaviourError says that the peer's answer breaks the protocol. No honest
// node sends such an answer, however little it has.
type MisbehaviourError struct {
	What string
}

func (e *MisbehaviourError) Error() string { return "the peer misbehaves: " + e.What }

// Misbehaviour makes a [MisbehaviourError].
func Misbehaviour(format string, args ...any) *MisbehaviourError {
	return &MisbehaviourError{What: fmt.Sprintf(format, args...)}
}

// BadRequest makes a [BadRequestError].
func BadRequest(format string, args ...any) *BadRequestError {
	return &BadRequestError{Reason: fmt.Sprintf(format, args...)}
}

// Printable makes words from a peer fit for a log and a terminal: escaped where
// they are not plain, and shortened.
func Printable(s string) string {
	if len(s) > maxQuoted {
		s = strings.ToValidUTF8(s[:maxQuoted], "") + "…"
	}
	q := strconv.QuoteToGraphic(s)
	return q[1 : len(q)-1]
}
