package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flurry-nix/flurry/httpgateway"
	"github.com/flurry-nix/flurry/internal/handover"
	"github.com/flurry-nix/flurry/report"
)

const (
	// answerEvery is how often the node tries itself whether it still answers narinfos, and answerLimit how long that may take. It is a
	// matter of memory alone, of microseconds: what takes longer is a deadlock, and Nix is kept waiting by it. With hangAfter on top the
	// supervisor answers in the node's place after some 2 s.
	answerEvery = pulseEvery
	answerLimit = 700 * time.Millisecond
	// checkEvery is how often it tries itself whether it can still look things up on the disk, and checkLimit how long that may
	// take: what takes longer is a deadlock, or a disk that does not answer. Narinfos have their budget meanwhile.
	checkEvery = 5 * time.Second
	checkLimit = 20 * time.Second
	// leaveWait is how long a node that ends waits for the supervisor to take back what has not asked anything.
	leaveWait = time.Second
)

// seat is a node's place under its supervisor.
type seat struct {
	brief  brief
	taker  *handover.Taker
	taken  chan struct{} // closed when the supervisor has taken back what waited
	trials atomic.Pointer[[]*trial]
}

// takeSeat joins the supervisor that started this process. end is called when it is gone. The seat works until ctx ends.
func takeSeat(ctx context.Context, end func()) (_ *seat, gateway []net.Listener, desk net.Listener, wait func(), err error) {
	files := [2]*os.File{os.NewFile(firstPassed, "handover"), os.NewFile(firstPassed+1, "handover memory")}
	s := &seat{taken: make(chan struct{})}
	if s.taker, err = handover.Join(files, noteOf); err != nil {
		return nil, nil, nil, nil, usage("flurry daemon", "--node is for the supervisor alone: %v", err)
	}
	m, err := s.taker.First()
	if err == nil && m.Word != wordBrief {
		err = fmt.Errorf("the supervisor began with %q", m.Word)
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &s.brief)
	}
	if err != nil {
		return nil, nil, nil, nil, errors.Join(err, s.taker.Close())
	}
	for _, d := range s.brief.Gateway {
		at, err := netip.ParseAddrPort(d.Address)
		if err != nil {
			return nil, nil, nil, nil, errors.Join(err, s.taker.Close())
		}
		gateway = append(gateway, s.taker.Open(d.ID, net.TCPAddrFromAddrPort(at)))
	}
	if s.brief.Socket != "" {
		desk = s.taker.Open(controlDoor, &net.UnixAddr{Net: "unix", Name: s.brief.Socket})
	}
	var tasks sync.WaitGroup
	tasks.Go(func() {
		s.taker.Run(s.heard)
		end()
	})
	pulsing, stop := context.WithCancel(ctx)
	tasks.Go(func() { s.pulse(pulsing, func() { s.say(wordPulse, nil) }) })
	return s, gateway, desk, func() {
		stop()
		s.taker.Close()
		tasks.Wait()
	}, nil
}

// noteOf is what the supervisor has to know of a request to answer it in the node's place.
func noteOf(begin []byte) byte {
	if httpgateway.AsksCacheInfo(begin) {
		return noteCacheInfo
	}
	return 0
}

func (s *seat) heard(m handover.Message) {
	if m.Word == wordTaken {
		select {
		case <-s.taken:
		default:
			close(s.taken)
		}
	}
}

// say tells the supervisor something. One that is gone is noticed by Run.
func (s *seat) say(word byte, data []byte) {
	_ = s.taker.Tell(handover.Message{Word: word, Data: data})
}

// trial is something that the node tries itself with, again and again.
type trial struct {
	what         func(context.Context)
	every, limit time.Duration

	mu    sync.Mutex
	begun time.Time // the one that is under way; zero: none is
	next  time.Time
}

// overdue reports whether it is under way for too long.
func (t *trial) overdue() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.begun.IsZero() && time.Since(t.begun) >= t.limit
}

// due begins one if it is time to; then end is to be called after it.
func (t *trial) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !t.begun.IsZero() || now.Before(t.next) {
		return false
	}
	t.begun = now
	return true
}

func (t *trial) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next, t.begun = t.begun.Add(t.every), time.Time{}
}

// pulse says that this process lives, for as long as what the node finds out of itself does not say otherwise.
func (s *seat) pulse(ctx context.Context, beats func()) {
	beat := time.NewTicker(pulseEvery)
	defer beat.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		var trials []*trial
		if all := s.trials.Load(); all != nil {
			trials = *all
		}
		if !slices.ContainsFunc(trials, (*trial).overdue) {
			beats()
		}
		for _, t := range trials {
			if t.due() {
				running.Go(func() {
					defer t.end()
					t.what(ctx)
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
	}
}

// fail tells the supervisor why the node ends.
func (s *seat) fail(sh *shell, err error) {
	if text, e := json.Marshal(sh.problem(err)); e == nil && len(text) < maxProblem {
		s.say(wordProblem, text)
	}
}

// maxProblem is the longest problem that is told: a message between the processes holds 16 KiB.
const maxProblem = 15 << 10

// try has the pulse depend on what the node tries itself with.
func (s *seat) try(answers, check func(context.Context)) {
	s.trials.Store(&[]*trial{{what: answers, every: answerEvery, limit: answerLimit}, {what: check, every: checkEvery, limit: checkLimit}})
}

// ready says that the node answers. answers and check are what it tries itself with from now on: whether it answers from memory, and
// whether the disk does.
func (s *seat) ready(answers, check func(context.Context)) {
	s.try(answers, check)
	s.say(wordReady, nil)
}

// warnings say that the node is not the first: status shows them until the next start.
func (s *seat) warnings() []report.Problem {
	if s.brief.Failed == 0 {
		return nil
	}
	p := report.Problem{ID: "node-restarted", Message: fmt.Sprintf("the node was started anew at %s: %s", s.brief.Why.At.Format(time.DateTime), s.brief.Why.Why)}
	if s.brief.Failed > 1 {
		p.Message = fmt.Sprintf("the node was started anew %d times in a row, last at %s: %s", s.brief.Failed, s.brief.Why.At.Format(time.DateTime), s.brief.Why.Why)
	}
	return []report.Problem{p}
}

// leave has the supervisor take back what has not asked anything, so that nobody asks at a door that is being closed.
func (s *seat) leave() {
	s.say(wordLeave, nil)
	select {
	case <-s.taken:
	case <-time.After(leaveWait):
	}
}

// watched tells the connections of a server under a supervisor where requests begin and end.
func watched(srv *http.Server) {
	before := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if conn, ok := c.(*handover.Conn); ok {
			switch state {
			case http.StateActive:
				conn.Active()
			case http.StateIdle:
				conn.Idle()
			}
		}
		if before != nil {
			before(c, state)
		}
	}
}
