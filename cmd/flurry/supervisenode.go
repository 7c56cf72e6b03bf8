package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/flurry-nix/flurry/internal/handover"
	"github.com/flurry-nix/flurry/report"
)

// What the supervisor and the node tell each other (handover.Message). The supervisor's:
const (
	wordBrief = 'B' // the first message: a brief as JSON
	wordTaken = 'K' // the answer to leave: what waited was taken back
)

// The node's:
const (
	wordPulse   = 'P' // alive
	wordReady   = 'R' // it answers
	wordProblem = 'X' // it cannot go on: a report.Problem as JSON
	wordLeave   = 'Q' // it was told to end: give it nothing more
)

// brief is what a node is told before it starts.
type brief struct {
	Gateway []gate    `json:"gateway"`
	Socket  string    `json:"socket"` // the control socket; empty: none
	First   bool      `json:"first"`  // nobody has been told yet where the daemon is
	Failed  int       `json:"failed"` // so many times in a row
	Why     lastWords `json:"why"`    // the last time
}

// gate is a door as the node is told of it.
type gate struct {
	ID      int    `json:"id"`
	Address string `json:"address"`
}

// lastWords say why a node ended.
type lastWords struct {
	Why     string          `json:"why,omitempty"`
	Problem *report.Problem `json:"problem,omitempty"`
	At      time.Time       `json:"at,omitzero"`
	said    []string
}

// The phases of the node, as the supervisor sees it.
const (
	phaseStarting = "starting"
	phaseRunning  = "running"
	phaseHanging  = "hanging"
	phaseStopping = "stopping"
	phaseDown     = "down"
)

type nodeState struct {
	phase    string
	failures int
	since    time.Time
	next     time.Time
	last     lastWords
}

// life is one node from its start to its end.
type life struct {
	ready   bool // it answered at some time
	anew    bool // it was stopped to be started again
	hung    bool
	code    int  // its exit code; -1: killed
	cut     bool // short, by SIGKILL: what it said before says nothing about that
	lasted  time.Duration
	why     string
	problem *report.Problem
}

// words are what there is to say about the end of a life.
func (l life) words(said *tail) lastWords {
	w := lastWords{Why: l.why, Problem: l.problem, At: time.Now()}
	fatal, lines := said.words()
	if !l.cut || l.hung || fatal != "" {
		w.said = lines
	}
	switch {
	case l.problem != nil:
		w.Why = l.problem.Message
	case l.hung:
		w.Why = fmt.Sprintf("it did not answer for %s and was killed", killAfter)
	case fatal != "":
		w.Why = fatal
	}
	return w
}

// isFatal reports whether the Go runtime begins so to say why it ends the process.
func isFatal(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "runtime: out of memory")
}

// become changes the state, and tells those who wait for it.
func (s *supervisor) become(n nodeState) {
	s.mu.Lock()
	s.state = n
	s.mu.Unlock()
	s.tell()
}

// turn changes the phase, and who is given connections.
func (s *supervisor) turn(phase string, g *handover.Giver) {
	s.mu.Lock()
	if s.node != nil && g == nil {
		s.left = time.Now()
	}
	s.node = g
	if s.state.phase != phase {
		s.state.phase, s.state.since = phase, time.Now()
	}
	s.mu.Unlock()
	s.tell()
}

// tell tells whoever waits for the state, and the service manager.
func (s *supervisor) tell() {
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	phase := s.state.phase
	s.mu.Unlock()
	lines := []string{"STATUS=" + s.oneLine()}
	if phase == phaseRunning || phase == phaseDown {
		lines = append(lines, "READY=1")
	}
	s.notify.say(lines...)
}

// current is who is given connections, the state, and what is closed when it changes.
func (s *supervisor) current() (*handover.Giver, nodeState, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node, s.state, s.changed
}

// live starts a node and stays with it until it has ended.
func (s *supervisor) live(ctx context.Context, hup <-chan os.Signal, first bool) (l life) {
	g, cmd, err := s.start(first)
	if err != nil {
		return life{code: -1, why: err.Error()}
	}
	begun := time.Now()
	ended, silent := make(chan error, 1), make(chan struct{}, 1)
	heard := make(chan life, 1)
	go func() { heard <- s.listen(g, silent) }()
	go func() { ended <- cmd.Wait() }()
	var overdue <-chan time.Time // when the patience with a node that is to end is over
	var last time.Time           // the same
	done := ctx.Done()
	var anew, hung, told bool
	leave := func(sig syscall.Signal, patience time.Duration) {
		s.turn(phaseStopping, nil)
		g.TakeIdle()                         // it answers what it has read; in listen, if it does not
		if sig != syscall.SIGTERM || !told { // a second one would end it in the middle of a NAR
			_ = cmd.Process.Signal(sig) // it may have ended by itself
		}
		told = told || sig == syscall.SIGTERM
		if end := time.Now().Add(patience); overdue == nil || end.Before(last) {
			last, overdue = end, time.After(patience)
		}
	}
	for wait := true; wait; {
		select {
		case err = <-ended:
			wait = false
		case <-done:
			done = nil
			s.notify.say("STOPPING=1")
			patience := stopLimit
			if _, state, _ := s.current(); state.phase == phaseHanging {
				patience = dumpTime // it hears nothing
			}
			leave(syscall.SIGTERM, patience)
		case <-hup:
			if _, wrong := s.configure(); wrong != nil {
				s.log.Error("the configuration is wrong; the node goes on with the one before", "err", wrong)
				continue
			}
			anew = true
			leave(syscall.SIGTERM, stopLimit)
		case <-silent:
			hung = true
			s.log.Error("the node does not answer; it is killed", "silent", killAfter)
			leave(syscall.SIGQUIT, dumpTime) // the Go runtime writes down what each goroutine does
		case <-overdue:
			_ = cmd.Process.Kill()
		}
	}
	if done != nil && !anew {
		s.turn(phaseDown, nil)
	}
	g.TakeBack(true)
	l = <-heard
	l.anew, l.hung, l.lasted, l.code, l.why = anew, hung, time.Since(begun), cmd.ProcessState.ExitCode(), howEnded(cmd.ProcessState)
	l.cut = signaled(cmd.ProcessState) == syscall.SIGKILL
	if e := g.Close(); e != nil {
		s.log.Debug("closing what was shared with the node", "err", e)
	}
	s.log.Debug("the node ended", "pid", cmd.Process.Pid, "how", l.why, "err", err)
	return l
}

// howEnded says how a process ended.
func howEnded(p *os.ProcessState) string {
	switch sig := signaled(p); sig {
	case 0:
		return p.String()
	case syscall.SIGKILL:
		return "killed (SIGKILL): by somebody, or for want of memory"
	default:
		return "killed by signal: " + sig.String()
	}
}

// signaled is the signal that ended a process; 0: none did.
func signaled(p *os.ProcessState) syscall.Signal {
	if status, ok := p.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return 0
}

// start starts a node's process.
func (s *supervisor) start(first bool) (*handover.Giver, *exec.Cmd, error) {
	g, files, err := handover.NewGiver(handover.Receiver{Adopt: s.adopt, Answer: s.answer})
	if err != nil {
		return nil, nil, err
	}
	_, state, _ := s.current()
	b := brief{First: first, Failed: state.failures, Why: state.last}
	for _, d := range s.doors {
		b.Gateway = append(b.Gateway, gate{d.id, d.Addr().String()})
	}
	if s.control != nil {
		b.Socket = s.socket
	}
	text, err := json.Marshal(b)
	if err == nil {
		err = g.Tell(handover.Message{Word: wordBrief, Data: text})
	}
	cmd := exec.Command(selfExecutable, append([]string{"--node=1"}, s.sh.line...)...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = nodeEnvironment(os.Environ())
	cmd.ExtraFiles = files[:]
	s.said.forget()
	cmd.Stdout, cmd.Stderr = s.sh.out, s.said
	cmd.WaitDelay = time.Second // for what the node's own children hold open
	cmd.SysProcAttr = nodeProcess()
	if err == nil {
		err = cmd.Start()
	}
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return nil, nil, errors.Join(err, g.Close())
	}
	s.log.Debug("the node starts", "pid", cmd.Process.Pid)
	return g, cmd, nil
}

// nodeEnvironment is without what the service manager said to the supervisor.
func nodeEnvironment(all []string) (env []string) {
	for _, e := range all {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES":
		default:
			env = append(env, e)
		}
	}
	return env
}

// listen hears the node until it is gone. When it does not say for hangAfter that it lives, it gives it no more connections, takes
// back those that wait and cuts off what the node is giving out; when it has not for killAfter, it says so once on silent.
//
// It counts how often it listened in vain, not what the clock says: if both processes were kept from running, frozen or
// swapped out together, that is no silence of the node's.
func (s *supervisor) listen(g *handover.Giver, silent chan<- struct{}) (l life) {
	vain, leaving, told := 0, false, false
	var parted time.Time // when it said that it leaves
	for {
		m, err := next(g)
		if leaving && time.Since(parted) > pulseEvery { // it should have answered what it had read
			g.TakeBack(false)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			vain++
			quiet := time.Duration(vain) * listenTime
			if quiet >= hangAfter && l.ready && !leaving {
				s.turn(phaseHanging, nil)
				g.TakeBack(true)
			}
			if quiet >= killAfter && !told && !leaving {
				told = true
				silent <- struct{}{}
			}
			continue
		}
		if err != nil { // it is gone, or about to be
			_, state, _ := s.current()
			s.turn(state.phase, nil)
			g.TakeBack(false)
			return l
		}
		vain = 0
		switch m.Word {
		case wordReady:
			l.ready = true
		case wordProblem:
			var p report.Problem
			if json.Unmarshal(m.Data, &p) == nil {
				l.problem = &p
			}
			continue
		case wordLeave:
			leaving, parted = true, time.Now()
			s.turn(phaseStopping, nil)
			g.TakeIdle()
			_ = g.Tell(handover.Message{Word: wordTaken}) // else it waits a little
			continue
		}
		if _, state, _ := s.current(); l.ready && !leaving && !told && (state.phase == phaseStarting || state.phase == phaseHanging) {
			s.turn(phaseRunning, g)
		}
	}
}

// listenTime is how long next listens.
const listenTime = pulseEvery + pulseEvery/10

// next is what the node says next. It looks twice before it gives up, so that a supervisor that was kept from running does
// not take its own absence for the node's silence.
func next(g *handover.Giver) (handover.Message, error) {
	m, err := g.Next(time.Now().Add(pulseEvery))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		m, err = g.Next(time.Now().Add(pulseEvery / 10))
	}
	return m, err
}

// adopt takes a connection back of which no request was read.
func (s *supervisor) adopt(id int, c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		s.park(tcp, id, idleLimit, func() {}, func() {})
		return
	}
	c.Close()
}
