package transfertest

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// window is how many bytes one direction holds that were not read yet: what a
// sender is ahead of its receiver.
const window = 1 << 20

// errReset is what both ends of a reset stream see.
var errReset = errors.New("stream reset")

// pipe is one direction of a stream. What is written can be read after a delay.
type pipe struct {
	delay func() time.Duration

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever something below changes
	queue    []segment
	queued   int       // bytes
	ended    time.Time // the writer's end arrives then; zero: not ended
	deaf     bool      // the reader closed: what is written is lost
	err      error     // both ends have it
	budget   int       // bytes until the line breaks; below 0: it holds
	readBy   time.Time
	writeBy  time.Time
	lastTime time.Time // when what was written last arrives: nothing overtakes
}

type segment struct {
	at   time.Time
	data []byte
}

func newPipe(delay func() time.Duration, budget int) *pipe {
	return &pipe{delay: delay, budget: budget, changed: make(chan struct{})}
}

// change lets everybody who waits look again. The lock is held.
func (p *pipe) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// await lets go of the lock until something changes, or one of the times that
// are not zero is reached.
func (p *pipe) await(times ...time.Time) {
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if first.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(first))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		var arrives time.Time
		switch {
		case p.err != nil:
			return 0, p.err
		case p.deaf:
			return 0, io.ErrClosedPipe
		case len(b) == 0:
			return 0, nil
		case len(p.queue) > 0 && passed(p.queue[0].at):
			return p.take(b), nil
		case len(p.queue) > 0:
			arrives = p.queue[0].at
		case passed(p.ended):
			return 0, io.EOF
		default:
			arrives = p.ended
		}
		if passed(p.readBy) {
			return 0, os.ErrDeadlineExceeded
		}
		p.await(arrives, p.readBy)
	}
}

func (p *pipe) take(b []byte) int {
	first := &p.queue[0]
	n := copy(b, first.data)
	if first.data = first.data[n:]; len(first.data) == 0 {
		p.queue = p.queue[1:]
	}
	p.queued -= n
	p.change()
	return n
}

// write returns broken when the line's budget is used up: the stream is to be
// reset.
func (p *pipe) write(b []byte) (n int, broken bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(b) > 0 {
		switch {
		case p.err != nil:
			return n, false, p.err
		case !p.ended.IsZero():
			return n, false, io.ErrClosedPipe
		case p.deaf:
			return n + len(b), false, nil
		case passed(p.writeBy):
			return n, false, os.ErrDeadlineExceeded
		case p.queued >= window:
			p.await(p.writeBy)
			continue
		}
		step := min(len(b), window-p.queued)
		if p.budget >= 0 {
			if step = min(step, p.budget); step == 0 {
				return n, true, errReset
			}
			p.budget -= step
		}
		p.push(b[:step])
		n += step
		b = b[step:]
	}
	return n, false, nil
}

func (p *pipe) push(b []byte) {
	p.queue = append(p.queue, segment{at: p.arrival(), data: append([]byte(nil), b...)})
	p.queued += len(b)
	p.change()
}

func (p *pipe) arrival() time.Time {
	at := time.Now().Add(p.delay())
	if at.Before(p.lastTime) {
		at = p.lastTime
	}
	p.lastTime = at
	return at
}

// end is the writer's: what was written still arrives.
func (p *pipe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended.IsZero() && p.err == nil {
		p.ended = p.arrival()
		p.change()
	}
}

// ignore is the reader's.
func (p *pipe) ignore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = true
	p.queue, p.queued = nil, 0
	p.change()
}

func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.queue, p.queued = nil, 0
		p.change()
	}
}

func (p *pipe) setDeadline(which *time.Time, t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	*which = t
	p.change()
	return nil
}

// end is one end of a stream between two nodes.
type end struct {
	in, out *pipe
	over    func() // told when this end is closed or reset; nil: nobody is
}

// newStream returns the asker's and the answerer's end. The line from the
// answerer breaks after budget bytes, if that is not below 0.
func newStream(delay func() time.Duration, budget int) (asker, answerer *end) {
	there, back := newPipe(delay, -1), newPipe(delay, budget)
	return &end{in: back, out: there}, &end{in: there, out: back}
}

func (e *end) Read(b []byte) (int, error) { return e.in.read(b) }

func (e *end) Write(b []byte) (int, error) {
	n, broken, err := e.out.write(b)
	if broken {
		e.Reset()
	}
	return n, err
}

func (e *end) SetReadDeadline(t time.Time) error  { return e.in.setDeadline(&e.in.readBy, t) }
func (e *end) SetWriteDeadline(t time.Time) error { return e.out.setDeadline(&e.out.writeBy, t) }

func (e *end) Close() error {
	e.out.end()
	e.in.ignore()
	e.tell()
	return nil
}

func (e *end) Reset() error {
	e.in.fail(errReset)
	e.out.fail(errReset)
	e.tell()
	return nil
}

func (e *end) tell() {
	if e.over != nil {
		e.over()
	}
}
