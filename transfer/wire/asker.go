package wire

import (
	"context"
	"errors"
	"time"

	"github.com/flurry-nix/flurry/transfer"
)

// Asker asks questions. Its zero value is ready; it must not be copied. Its
// methods take a fresh stream, end it in any case, and have the errors of
// [transfer.Conn].
type Asker struct {
	// Pace is how slow peers may be; zero: DefaultPace.
	Pace Pace

	buffers buffers
}

// question is one question on its way.
type question struct {
	*framed
	ctx  context.Context
	stop func() bool // of resetWhen
}

// ask writes the question.
func (k *Asker) ask(ctx context.Context, s Stream, build func([]byte) []byte) (*question, error) {
	q := &question{framed: newFramed(s, k.Pace, &k.buffers, reading{readAhead, trustedLength}), ctx: ctx}
	q.stop = resetWhen(ctx, s)
	err := q.put(ctx, build, nil)
	if err == nil {
		err = q.flush(ctx)
	}
	if err == nil {
		err = q.read.begin(q.pace.Within)
	}
	return q, err
}

// end ends the stream: well after a whole answer, else at once. It returns what
// the caller of the question is told.
func (q *question) end(err error) error {
	q.stop()
	q.release()
	if err == nil {
		q.stream.Close()
		return nil
	}
	q.stream.Reset()
	if cause := context.Cause(q.ctx); cause != nil {
		return cause
	}
	return err
}

// message reads the next frame of an answer and parses it. It returns the error
// that the message's status stands for.
func message[M any](q *question, limit int, parse func([]byte) (M, error), status func(*M) *status) (M, error) {
	var m M
	raw, err := q.next(limit)
	if errors.Is(err, errTooLong) {
		return m, transfer.Misbehaviour("%v", err)
	}
	if err != nil {
		return m, unexpected(err)
	}
	if m, err = parse(raw); err != nil {
		return m, transfer.Misbehaviour("%v", err)
	}
	return m, status(&m).err()
}

// parts reads the rest of total bytes in parts, after what is in have.
func (q *question) parts(have []byte, total int) ([]byte, error) {
	for len(have) < total {
		m, err := message(q, maxPart+maxHead, parseTextPart, func(m *textPart) *status { return &m.status })
		switch {
		case err != nil:
			return nil, err
		case m.size != 0:
			return nil, transfer.Misbehaviour("says twice how long it is")
		case len(have)+len(m.data) > total:
			return nil, transfer.Misbehaviour("%d bytes of %d", len(have)+len(m.data), total)
		}
		have = append(have, m.data...)
	}
	return have, nil
}

// patience is how long the answer to a sync may be waited for.
func patience(r transfer.SyncRequest, pace Pace) time.Duration {
	if r.Wait {
		return transfer.MaxWait + pace.Within
	}
	return pace.Within
}
