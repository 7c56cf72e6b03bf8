package main

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/internal/handover"
	"github.com/flurry-nix/flurry/report"
)

const (
	// maxParked is how many connections may wait here to say something, or for a node when they did: as many as the gateway serves and turns
	// away. When more come, the one that has said nothing for longest makes way. Those that the node had come on top: they are no more
	// than it had.
	maxParked = 2048
	// maxWaiting is how many questions to the control socket may wait for a node that starts; others are told at once that it does.
	maxWaiting = 256
	// silenceLimit is how long a new connection may say nothing while there is no node; idleLimit is for one that was
	// answered before.
	silenceLimit = 5 * time.Second
	idleLimit    = 2 * time.Minute
	// replyTime is how long a client may take to read an answer in the node's place.
	replyTime = time.Second
	// acceptPause is the time between two attempts when there are no descriptors left.
	acceptPause = 20 * time.Millisecond
	// complainEvery is how often it is said that there are none.
	complainEvery = time.Minute
)

// accept passes on what comes in at a door.
func (s *supervisor) accept(ctx context.Context, d *door) error {
	var complained time.Time
	for {
		c, err := d.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(startGrace): // who has to wait longer is answered here
			}
			if err := d.setDeadline(time.Time{}); err != nil {
				return err
			}
			continue
		case err != nil:
			if now := time.Now(); now.Sub(complained) > complainEvery {
				complained = now
				s.log.Warn("accepting", "address", d.Addr().String(), "err", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(acceptPause):
			}
			continue
		}
		tcp, ok := c.(*net.TCPConn)
		if !ok {
			c.Close()
			continue
		}
		if g, _, _ := s.current(); g != nil && g.Give(d.id, tcp) == nil {
			continue
		}
		select {
		case s.parked <- struct{}{}:
		default:
			s.silent.makeWay()
			select {
			case s.parked <- struct{}{}: // else, when all have spoken, it waits in the kernel's queue
			case <-ctx.Done():
				c.Close()
				return nil
			}
		}
		spoke := s.silent.enter(tcp)
		s.park(tcp, d.id, silenceLimit, spoke, func() { <-s.parked })
	}
}

// silents are those of whom nothing was heard yet.
type silents struct {
	mu  sync.Mutex
	all list.List // of *net.TCPConn, the oldest first
}

// enter adds one, until spoke is called.
func (l *silents) enter(c *net.TCPConn) (spoke func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := l.all.PushBack(c)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all.Remove(place) // not if it made way
	}
}

// makeWay closes the oldest, if there is one.
func (l *silents) makeWay() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if oldest := l.all.Front(); oldest != nil {
		l.all.Remove(oldest).(*net.TCPConn).Close()
	}
}

// park keeps a connection until it says something, and then gives it to the node, if that is there, else to the standby.
// spoke is called when it does, or never will, done when it is no longer here.
func (s *supervisor) park(c *net.TCPConn, id int, limit time.Duration, spoke, done func()) {
	s.tasks.Go(func() {
		defer done()
		err := speaks(s.inner, c, time.Now().Add(limit))
		spoke()
		if err != nil {
			c.Close()
			return
		}
		for g := s.await(); g != nil; g = s.await() {
			err := g.Give(id, c)
			if err == nil {
				return
			}
			if errors.Is(err, handover.ErrFull) || !s.leaves(g) {
				break
			}
		}
		s.answers.put(c)
	})
}

// leaves waits a moment for g to be who is given connections no more: it is ending, and does not take any.
func (s *supervisor) leaves(g *handover.Giver) bool {
	end := time.NewTimer(acceptPause)
	defer end.Stop()
	for {
		now, _, changed := s.current()
		if now != g {
			return true
		}
		select {
		case <-changed:
		case <-end.C:
			return false
		}
	}
}

// await is who is given connections. When there is nobody, but a node is starting, or has ended for the first time, it waits for
// that: until startGrace after the one before left, however many ask.
func (s *supervisor) await() *handover.Giver {
	for {
		s.mu.Lock()
		g, changed, rest := s.node, s.changed, time.Until(s.left.Add(startGrace))
		soon := s.state.failures <= 1 && s.state.phase != phaseHanging
		s.mu.Unlock()
		if g != nil || !soon || rest <= 0 {
			return g
		}
		end := time.NewTimer(rest)
		select {
		case <-changed:
		case <-end.C:
		case <-s.ending:
			soon = false
		case <-s.inner.Done():
			soon = false
		}
		end.Stop()
		if !soon {
			return nil
		}
	}
}

// leaveToSuccessor accepts no connection for a while. The service manager holds the sockets: if this daemon is started anew, and has
// not much to finish, its successor answers who comes meanwhile.
func (s *supervisor) leaveToSuccessor() {
	for _, d := range s.doors {
		_ = d.setDeadline(time.Unix(1, 0)) // else they are answered here
	}
}

// setDeadline bounds Accept.
func (d *door) setDeadline(at time.Time) error {
	l, ok := d.Listener.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return errors.ErrUnsupported
	}
	return l.SetDeadline(at)
}

// speaks waits until there is something to read, and leaves it there.
func speaks(ctx context.Context, c *net.TCPConn, deadline time.Time) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if err := c.SetReadDeadline(deadline); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var n int
	var fail error
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		n, _, fail = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK)
		return fail != unix.EAGAIN && fail != unix.EINTR
	})
	switch {
	case err != nil || fail != nil:
		return errors.Join(err, fail)
	case n == 0:
		return io.EOF
	}
	return c.SetReadDeadline(time.Time{})
}

// answer answers a request that the node read, and did not come to answer.
func (s *supervisor) answer(note byte, c net.Conn) {
	s.tasks.Go(func() {
		defer c.Close()
		if c.SetDeadline(time.Now().Add(replyTime)) != nil {
			return
		}
		if _, err := c.Write(httpgateway.StandbyReply(note == noteCacheInfo)); err != nil {
			return
		}
		if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
			_, _ = io.Copy(io.Discard, c) // until the client closes: else what it still sends would take the answer away
		}
	})
}

// noteCacheInfo is what the node notes of a request for nix-cache-info.
const noteCacheInfo = 1

// serveStandby answers on the gateway's sockets in the node's place.
func (s *supervisor) serveStandby(ctx context.Context) error {
	srv := httpgateway.NewServer(httpgateway.Standby(httpgateway.Options{Page: http.HandlerFunc(s.page)}))
	srv.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(s.answers) }()
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyTime)
	defer cancel()
	if srv.Shutdown(drain) != nil {
		srv.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// page is what people and monitors see while there is no node: /health, and at / why.
func (s *supervisor) page(w http.ResponseWriter, r *http.Request) {
	p := s.problem(false)
	switch r.URL.Path {
	case "/health":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusServiceUnavailable)
		// The client's going away is the server's to notice.
		_ = json.NewEncoder(w).Encode(report.Health{Status: "standby", Reasons: append([]string{p.Message}, p.Found...)})
	case "/":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		p.Print(w)
	default:
		http.Error(w, "not here: "+p.Message, http.StatusNotFound)
	}
}

// problem is what is wrong with the node, with its last lines if whole.
func (s *supervisor) problem(whole bool) *report.Problem {
	_, state, _ := s.current()
	p := &report.Problem{ID: "node-down", Exit: report.ExitNoDaemon, Message: s.headline(state)}
	last := state.last
	if last.Why != "" && (state.phase == phaseStarting || state.phase == phaseDown) {
		times := "it stopped"
		if state.failures > 1 {
			times = fmt.Sprintf("it stopped %d times in a row, last", state.failures)
		}
		p.Found = append(p.Found, fmt.Sprintf("%s %s ago: %s", times, ago(last.At), last.Why))
	}
	if last.Problem != nil {
		p.Found = append(p.Found, last.Problem.Found...)
		p.Try = append(p.Try, last.Problem.Try...)
	} else if whole && state.phase == phaseDown {
		p.Found = append(p.Found, last.said...)
	}
	if state.phase == phaseDown {
		p.Found = append(p.Found, fmt.Sprintf("it is started again in %s, and when the configuration changes", max(time.Until(state.next), 0).Round(100*time.Millisecond)))
	}
	if s.managed {
		p.Try = append(p.Try, "journalctl -u flurry        says more")
	}
	return p
}

// ago is the time since at, for people.
func ago(at time.Time) time.Duration {
	return time.Since(at).Round(time.Second)
}

func (s *supervisor) headline(state nodeState) string {
	const standby = `Nix gets "not here" from the standby, so builds go on without flurry`
	switch state.phase {
	case phaseStarting:
		return "the node is starting; until it runs " + standby
	case phaseHanging:
		return "the node does not answer; " + standby
	case phaseStopping:
		return "the node is being stopped; " + standby
	case phaseRunning:
		return "the node runs"
	}
	return "the node is not running; " + standby
}

// oneLine is the state for the service manager.
func (s *supervisor) oneLine() string {
	_, state, _ := s.current()
	line := s.headline(state)
	if state.last.Why != "" && state.phase == phaseDown {
		line = "the node is not running: " + state.last.Why
		if state.failures > 1 {
			line = fmt.Sprintf("the node is not running (%d times in a row): %s", state.failures, state.last.Why)
		}
	}
	return line
}

// acceptControl passes on what comes in at the control socket: to the node; while that starts, after a while, or else at
// once, to the standby.
func (s *supervisor) acceptControl(ctx context.Context) error {
	for {
		c, err := s.control.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(acceptPause):
			}
			continue
		}
		conn, ok := c.(*net.UnixConn)
		if !ok {
			c.Close()
			continue
		}
		if g, _, _ := s.current(); g != nil && g.GiveAway(controlDoor, conn) == nil {
			continue
		}
		select {
		case s.waiting <- struct{}{}:
			s.tasks.Go(func() {
				defer func() { <-s.waiting }()
				s.wait(ctx, conn)
			})
		default:
			s.desk.put(conn) // too many wait: this one is told how things stand, and who says nothing makes way there
		}
	}
}

// wait keeps a question to the control socket while the node starts.
func (s *supervisor) wait(ctx context.Context, c *net.UnixConn) {
	limit := time.NewTimer(startWait)
	defer limit.Stop()
	for {
		g, state, changed := s.current()
		if g != nil && g.GiveAway(controlDoor, c) == nil {
			return
		}
		if state.phase != phaseStarting || state.failures > 0 {
			s.desk.put(c)
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			s.desk.put(c)
			return
		case <-ctx.Done():
			c.Close()
			return
		}
	}
}

// queue is a listener for connections that were accepted elsewhere.
type queue struct {
	come  chan net.Conn
	once  sync.Once
	ended chan struct{}
}

func newQueue() *queue { return &queue{come: make(chan net.Conn), ended: make(chan struct{})} }

// put waits until c is accepted, or the queue has ended; then c is closed.
func (q *queue) put(c net.Conn) {
	select {
	case q.come <- c:
	case <-q.ended:
		c.Close()
	}
}

// Accept waits for the next connection.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.come:
		return c, nil
	case <-q.ended:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and put.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.ended) })
	return nil
}

// Addr is nobody's.
func (q *queue) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "standby"} }
