package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/internal/handover"
	"github.com/flurry-nix/flurry/report"
)

// Bounds of the supervisor. What Nix may have to wait for in any state of the node is answerBound in all.
const (
	// pulseEvery is how often the node says that it is alive.
	pulseEvery = 300 * time.Millisecond
	// hangAfter is how long the node may be silent before the supervisor answers in its place, and cuts off the NARs that the
	// node was giving out: more than a loaded machine keeps a process waiting, and so little that a build which loses its NAR
	// then, and asks once more after Nix's third of a second, has lost less than 2 s.
	hangAfter = 1200 * time.Millisecond
	// killAfter is how long it may be silent before it is started anew. The standby answers meanwhile, so there is no hurry.
	killAfter = 15 * time.Second
	// dumpTime is what a node that hangs has to write down what it was doing, before it is killed.
	dumpTime = 2 * time.Second

	// nodeDrain is how long NARs under way may take when the node is stopped or started anew.
	nodeDrain = 30 * time.Second
	// stopLimit is how long stopping may take in all: draining, and closing what is on the disk.
	stopLimit = nodeDrain + 15*time.Second

	// startGrace is how long a question waits for a node that starts, or is about to start anew, counted from when the one before
	// left: most are there after a third of that, and Nix remembers a "not here" for a minute or an hour.
	startGrace = time.Second
	// steadyAfter is how long a node has to run for its next failure to be the first again.
	steadyAfter = time.Minute
	// startWait is how long a question to the control socket waits for a node that is starting.
	startWait = 10 * time.Second
	// lockWait is how long a node waits for its predecessor, which was killed, to be gone.
	lockWait = 3 * time.Second
)

// backOff is how long to wait after so many failures in a row.
func backOff(failures int) time.Duration {
	delays := []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}
	if failures > len(delays) {
		return 30 * time.Second
	}
	return delays[max(failures-1, 0)]
}

// supervisor holds the sockets of a daemon, runs the node in a process of its own, and answers while that does not.
type supervisor struct {
	sh        *shell
	configure func() (config, error)
	managed   bool // by a service manager: it stays, whatever is wrong
	notify    *notifier
	log       *slog.Logger
	said      *tail

	passed  bool     // the gateway's sockets are the service manager's
	wanted  []string // the addresses of the configuration
	doors   []*door
	control net.Listener // nil: none
	socket  string
	roles   control.Roles
	group   *errgroup.Group
	answers *queue          // connections for the gateway's standby
	desk    *queue          // connections for the control socket's
	parked  chan struct{}   // has one for each that waits to speak, or for a node
	silent  silents         // those of them that have not spoken
	waiting chan struct{}   // has one for each that waits at the control socket
	inner   context.Context // ends after the node
	ending  <-chan struct{} // closed when the daemon is to end
	tasks   sync.WaitGroup

	mu      sync.Mutex
	node    *handover.Giver // who is given connections; nil: nobody
	left    time.Time       // since when there has been nobody
	state   nodeState
	changed chan struct{} // closed when state changes
}

// door is a socket that Nix asks at.
type door struct {
	net.Listener
	configured string // empty: passed by the service manager
	id         int    // by which the node knows it
}

// supervise runs a daemon until ctx ends.
func (sh *shell) supervise(ctx context.Context, configure func() (config, error)) error {
	notify, err := newNotifier(sh.getenv, os.Getpid())
	if err != nil {
		return err
	}
	defer notify.close()
	gateway, desk, err := passedSockets(sh.getenv, os.Getpid())
	if err != nil {
		return err
	}
	s := &supervisor{sh: sh, configure: configure, notify: notify, log: sh.logger(), said: &tail{to: sh.err}, control: desk, passed: len(gateway) > 0,
		managed: notify.conn != nil || len(gateway) > 0 || desk != nil, answers: newQueue(), desk: newQueue(), parked: make(chan struct{}, maxParked), waiting: make(chan struct{}, maxWaiting), changed: make(chan struct{})}
	defer s.closeDoors()
	for _, l := range gateway {
		s.doors = append(s.doors, &door{Listener: l, id: s.freeID()})
	}
	cfg, wrong := configure()
	if wrong != nil && !s.managed {
		return wrong
	}
	if err := s.open(ctx, cfg, wrong); err != nil {
		return err
	}
	return s.run(ctx, wrong)
}

// open opens the sockets that nobody passed. Where the configuration is wrong they are the usual ones.
func (s *supervisor) open(ctx context.Context, cfg config, wrong error) (err error) {
	if wrong != nil {
		file := defaultFile()
		cfg.Gateway = file.Gateway.Listen
		home := s.sh.home()
		cfg.State, cfg.Socket = s.sh.locate(file, home)
		cfg.Private = home.private && cfg.Socket == home.socket
		cfg.Admins = []string{"root"}
	}
	s.socket, s.wanted = cfg.Socket, cfg.Gateway
	if !s.passed {
		if _, err = s.openDoors(ctx, cfg.Gateway); err != nil {
			return err
		}
	}
	if s.control == nil && cfg.Socket != "" {
		if s.control, err = listenControl(ctx, cfg.Socket, cfg.Private); err != nil {
			if isSocket(cfg.Socket) && errors.Is(err, fs.ErrPermission) {
				return storeProblem(cfg.State, err) // another user's
			}
			return stateProblem(cfg.State, s.sh.uid, errors.Join(inUse(cfg, err), err))
		}
	}
	s.roles = control.Roles{Owner: s.sh.uid, Admins: cfg.Admins, Publishers: cfg.Publishers}
	if owner, err := ownerOf(cfg.State); err == nil {
		s.roles.Owner = owner
	}
	return nil
}

func (s *supervisor) openDoors(ctx context.Context, addrs []string) (doors []*door, err error) {
	open, err := openGateway(ctx, addrs, s.log)
	for _, l := range open {
		s.doors = append(s.doors, &door{Listener: l, configured: l.at, id: s.freeID()})
	}
	return s.doors[len(s.doors)-len(open):], err
}

// controlDoor is the control socket's id; the gateway's are above it.
const controlDoor = 0

// freeID is an id that no door has.
func (s *supervisor) freeID() int {
	id := controlDoor + 1
	for slices.ContainsFunc(s.doors, func(d *door) bool { return d.id == id }) {
		id++
	}
	return id
}

func (s *supervisor) closeDoors() {
	for _, d := range s.doors {
		d.Close()
	}
	if s.control != nil {
		s.control.Close()
	}
}

// run answers, and keeps a node, until ctx ends. wrong is what is wrong with the configuration.
func (s *supervisor) run(ctx context.Context, wrong error) error {
	inner, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s.group, inner = errgroup.WithContext(inner)
	s.inner, s.ending, s.left = inner, ctx.Done(), time.Now()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	s.group.Go(func() error { return s.serveStandby(inner) })
	s.group.Go(func() error {
		return control.Standby(inner, s.desk, s.roles, s.problem, s.log)
	})
	for _, d := range s.doors {
		s.group.Go(func() error { return s.accept(inner, d) })
	}
	if s.passed {
		stop := context.AfterFunc(ctx, s.leaveToSuccessor)
		defer stop()
	}
	if s.control != nil {
		s.group.Go(func() error { return s.acceptControl(inner) })
	}
	s.group.Go(func() error { return s.watchdog(inner) })
	s.group.Go(func() error {
		defer end()
		defer s.closeDoors()
		return s.keep(ctx, inner, hup, wrong)
	})
	err := s.group.Wait()
	s.answers.Close()
	s.desk.Close()
	s.tasks.Wait()
	return err
}

// keep runs one node after the other until ctx ends, or the first one cannot start and somebody at a terminal is to be told.
func (s *supervisor) keep(ctx, inner context.Context, hup <-chan os.Signal, wrong error) error {
	if s.sh.inTerminal || s.sh.errTerminal { // nobody is there any more
		var hungUp context.CancelFunc
		ctx, hungUp = context.WithCancel(ctx)
		defer hungUp()
		terminal := hup
		hup = nil
		s.group.Go(func() error {
			select {
			case <-terminal:
				hungUp()
			case <-inner.Done():
			}
			return nil
		})
	}
	failures := 0
	for first := true; ; first = false {
		l := life{problem: problemFor(s.sh, wrong)}
		if wrong == nil {
			s.become(nodeState{phase: phaseStarting, failures: failures, last: s.lastWords()})
			l = s.live(ctx, hup, first)
			switch {
			case ctx.Err() != nil:
				return nil
			case l.anew:
				failures = 0
			case first && !s.managed && !l.ready && l.code > 0:
				return exit(l.code) // it has said why
			case l.lasted >= steadyAfter && l.ready:
				failures = 0
			}
		}
		if !l.anew {
			failures++
			wait := backOff(failures)
			last := l.words(s.said)
			s.become(nodeState{phase: phaseDown, failures: failures, since: time.Now(), next: time.Now().Add(wait), last: last})
			s.log.Error("the node is not running", "why", last.Why, "failures", failures, "next", wait)
			if !s.pause(ctx, hup, wait) {
				return nil
			}
		}
		var cfg config
		if cfg, wrong = s.configure(); wrong == nil {
			wrong = s.reopen(inner, cfg)
		}
	}
}

// lastWords are those of the node before.
func (s *supervisor) lastWords() lastWords {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.last
}

// pause waits before the next start: until it is time, somebody asks for it, or the configuration file changes.
func (s *supervisor) pause(ctx context.Context, hup <-chan os.Signal, wait time.Duration) bool {
	name, _ := s.sh.configFile()
	before := changedAt(name)
	end := time.NewTimer(wait)
	defer end.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-hup:
			return true
		case <-end.C:
			return true
		case <-look.C:
			if !changedAt(name).Equal(before) {
				return true
			}
		}
	}
}

func changedAt(name string) time.Time {
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// reopen follows a change of the gateway's addresses. There is no node while it does.
func (s *supervisor) reopen(inner context.Context, cfg config) error {
	if s.passed || slices.Equal(cfg.Gateway, s.wanted) {
		return nil
	}
	var fresh []string
	for _, at := range cfg.Gateway {
		if !slices.ContainsFunc(s.doors, func(d *door) bool { return d.configured == at }) {
			fresh = append(fresh, at)
		}
	}
	more, err := s.openDoors(inner, fresh)
	if err != nil {
		return err
	}
	more = slices.Clone(more)
	s.wanted = cfg.Gateway
	s.doors = slices.DeleteFunc(s.doors, func(d *door) bool {
		gone := !slices.Contains(cfg.Gateway, d.configured)
		if gone {
			d.Close()
		}
		return gone
	})
	for _, d := range more {
		s.group.Go(func() error { return s.accept(inner, d) })
	}
	return nil
}

// watchdog tells the service manager that the supervisor lives, for as long as it can say how the node is.
func (s *supervisor) watchdog(ctx context.Context) error {
	settled := time.AfterFunc(startWait, func() { s.notify.say("READY=1") }) // Nix is answered, by the standby at least
	defer settled.Stop()
	if s.notify.every == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(s.notify.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.current()
			s.notify.say("WATCHDOG=1")
		}
	}
}

// tail passes on what the node writes to its stderr, and remembers the end of it.
type tail struct {
	to io.Writer

	mu    sync.Mutex
	lines []string
	part  []byte
	fatal string // the line with which the Go runtime says why the process ends
}

const (
	maxSaid     = 12  // lines: what a person reads before they open the log
	maxSaidLine = 300 // bytes: a screen's width or three
)

// Write passes p on.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	for _, b := range p {
		switch {
		case b == '\n':
			t.line()
		case b >= ' ' && b != 0x7f && len(t.part) < maxSaidLine:
			t.part = append(t.part, b)
		}
	}
	t.mu.Unlock()
	return t.to.Write(p)
}

func (t *tail) line() {
	line := string(t.part)
	t.part = t.part[:0]
	if line == "" {
		return
	}
	if t.fatal == "" && isFatal(line) {
		t.fatal = line
	}
	if t.fatal != "" && len(t.lines) == maxSaid {
		return // what follows are the stacks of all goroutines
	}
	if t.lines = append(t.lines, line); len(t.lines) > maxSaid {
		t.lines = slices.Delete(t.lines, 0, len(t.lines)-maxSaid)
	}
}

// forget begins anew, with a new node.
func (t *tail) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines, t.part, t.fatal = nil, nil, ""
}

// words are the last lines, and the one that says why the process ended.
func (t *tail) words() (fatal string, lines []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fatal, slices.Clone(t.lines)
}

// problemFor is err as a problem; nil for nil.
func problemFor(sh *shell, err error) *report.Problem {
	if err == nil {
		return nil
	}
	return sh.problem(err)
}
