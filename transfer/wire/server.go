package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/flurry-nix/flurry/transfer"
)

// Server answers questions with what a handler says. It must not be copied. Its
// methods take a stream on which a question is coming, and return when the
// stream has ended, with nil when the peer got an answer of any code, and else
// with why it got none. The ctx that a handler is given ends when its answer has
// been written, so that what the answer holds up can be counted by it.
type Server struct {
	Handler transfer.Handler
	// Pace is how slow peers may be; zero: DefaultPace.
	Pace Pace
	// Log is told of the handler's failures.
	Log *slog.Logger

	buffers buffers
}

var (
	// ErrGone says that the peer ended the stream before it had its answer.
	ErrGone = errors.New("the asker went away")

	// ErrTalkative says that the peer sent more than one question.
	ErrTalkative = errors.New("more came after the question")

	// errTold says that the peer was told of an error, and the stream is to be
	// closed.
	errTold = errors.New("told")
)

// Caller is who is asking, over a stream.
type Caller struct {
	transfer.Remote
	// Throttle holds back what is sent to it; nil: nothing does.
	Throttle Throttle
}

// reply is an answer under way.
type reply struct {
	*framed
	server *Server
	from   transfer.Remote
}

// serve reads the question, lets respond answer it, and ends the stream.
func serve[M any](ctx context.Context, v *Server, s Stream, from Caller, parse func([]byte) (M, error), respond func(context.Context, *reply, *M) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &reply{framed: newFramed(s, v.Pace, &v.buffers, reading{readAheadRequest, trustedRequest}), server: v, from: from.Remote}
	r.throttle = from.Throttle
	defer r.release()
	stop := resetWhen(ctx, s)

	m, err := readQuestion(r, parse)
	wait := func() {}
	var bad *transfer.BadRequestError
	switch {
	case errors.As(err, &bad):
		err = r.refuse(ctx, bad)
	case err == nil:
		wait = r.watch(cancel)
		err = respond(ctx, r, &m)
	}

	answered := (err == nil || errors.Is(err, errTold)) && stop()
	if answered {
		s.Close()
		wait()
		return nil
	}
	stop()
	s.Reset()
	wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// readQuestion reads the one frame that the peer sends. The error is a
// BadRequestError when the peer is to be told.
func readQuestion[M any](r *reply, parse func([]byte) (M, error)) (m M, err error) {
	if err := r.read.begin(r.pace.Within); err != nil {
		return m, err
	}
	raw, err := r.next(MaxRequest)
	if errors.Is(err, errTooLong) {
		return m, transfer.BadRequest("%v", err)
	}
	if err != nil {
		return m, err
	}
	defer r.release() // a message of a question shares nothing with its frame
	if m, err = parse(raw); err != nil {
		return m, transfer.BadRequest("%v", err)
	}
	return m, r.stream.SetReadDeadline(time.Time{})
}

// watch cancels when the peer resets the stream, or sends more than its
// question. That it closed its direction is no reason. The function that watch
// returns waits for the watching to end, as it does when the stream has ended.
func (r *reply) watch(cancel context.CancelCauseFunc) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		switch _, err := r.reader.ReadByte(); {
		case err == nil:
			cancel(ErrTalkative)
		case !errors.Is(err, io.EOF):
			cancel(fmt.Errorf("%w (%v)", ErrGone, err))
		}
	}()
	return func() { <-done }
}

// refuse tells the asker of err and returns errTold, or why it could not.
func (r *reply) refuse(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	status, known := statusOf(err)
	if !known {
		r.server.Log.Warn("answering a peer failed", "peer", r.from.Peer, "err", err)
	}
	if err := r.put(ctx, status.append, nil); err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	return errTold
}

// faulty says that the handler's answer would break the protocol.
func faulty(err error) error { return fmt.Errorf("the handler's answer is not one: %w", err) }

// Busy tells a peer, whatever it asks, to come back later.
func (v *Server) Busy(ctx context.Context, s Stream, from Caller, after time.Duration) error {
	ignore := func([]byte) (struct{}, error) { return struct{}{}, nil }
	return serve(ctx, v, s, from, ignore, func(ctx context.Context, r *reply, _ *struct{}) error {
		return r.refuse(ctx, &transfer.BusyError{RetryAfter: after})
	})
}
