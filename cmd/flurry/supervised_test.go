package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/report"
)

// cmdCrash kills the node of a daemon that runs in the background: crash NAME
func cmdCrash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: crash NAME")
	}
	for _, c := range ts.BackgroundCmds() {
		if !strings.Contains(strings.Join(c.Args, " "), " daemon") {
			continue
		}
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.Process.Pid))
		for _, file := range threads {
			text, _ := os.ReadFile(file)
			for _, word := range strings.Fields(string(text)) {
				pid, err := strconv.Atoi(word)
				ts.Check(err)
				ts.Check(syscall.Kill(pid, syscall.SIGKILL))
				waitUntil(ts, "the node is gone", func() bool { return syscall.Kill(pid, 0) != nil })
				return
			}
		}
	}
	ts.Fatalf("no node of a daemon runs")
}

// cmdDown waits until the supervisor answers in the node's place: down SOCKET
func cmdDown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: down SOCKET")
	}
	waitUntil(ts, "the node is down", func() bool {
		_, err := control.Dial(ts.MkAbs(args[0])).Status(context.Background(), control.StatusRequest{})
		return isProblem(err, "node-down") && strings.Contains(err.Error(), "not running") && strings.Contains(found(err), "later flurry")
	})
}

// found is what a problem found.
func found(err error) string {
	var p *report.Problem
	if !errors.As(err, &p) {
		return ""
	}
	return strings.Join(p.Found, "\n")
}

func waitUntil(ts *testscript.TestScript, what string, ok func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(waitTime); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestPulse: a node that answers no narinfo any more, or can no longer look things up, stops saying that it lives, the former within a
// second, and says so again when it can.
func TestPulse(t *testing.T) {
	for name, c := range map[string]struct {
		every, limit time.Duration
		ready        func(s *seat, hangs func(context.Context))
	}{
		"answers": {answerEvery, answerLimit, func(s *seat, hangs func(context.Context)) { s.try(hangs, func(context.Context) {}) }},
		"checks":  {checkEvery, checkLimit, func(s *seat, hangs func(context.Context)) { s.try(func(context.Context) {}, hangs) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancel(t.Context())
				var beats, trials atomic.Int64
				lock := make(chan struct{}, 1)
				var s seat
				c.ready(&s, func(context.Context) {
					trials.Add(1)
					lock <- struct{}{}
					<-lock
				})
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					s.pulse(ctx, func() { beats.Add(1) })
				}()
				pass := func(d time.Duration) int64 {
					before := beats.Load()
					time.Sleep(d)
					synctest.Wait()
					return beats.Load() - before
				}
				if n := pass(time.Minute); n < int64(time.Minute/pulseEvery) {
					t.Errorf("%d beats in a minute", n)
				}
				if n, want := trials.Load(), int64(time.Minute/(c.every+pulseEvery)); n < want {
					t.Errorf("%d trials in a minute, want %d", n, want)
				}
				lock <- struct{}{}
				pass(c.every + c.limit + pulseEvery)
				if n := pass(time.Minute); n != 0 {
					t.Errorf("%d beats although it hangs", n)
				}
				<-lock
				pass(pulseEvery)
				if n := pass(time.Minute); n < int64(time.Minute/pulseEvery) {
					t.Errorf("%d beats after it went on", n)
				}
				end()
				<-ended
			})
		})
	}
}

// TestNoticedSoon: what the bounds come to, from a deadlock to the standby's answers.
func TestNoticedSoon(t *testing.T) {
	noticed := answerEvery + answerLimit + pulseEvery // when there is no beat for the first time
	if soon := noticed + hangAfter + listenTime; soon > 3*time.Second {
		t.Errorf("a deadlock is noticed after up to %v", soon)
	}
}

func TestBackOff(t *testing.T) {
	last := time.Duration(0)
	for failures := range 100 {
		d := backOff(failures)
		if d < last || d == 0 || d > 30*time.Second {
			t.Errorf("after %d failures: %v", failures, d)
		}
		last = d
	}
}

// TestTail: the end of what a node says is kept, without what a terminal would take for commands; when it panics, the line
// that says so, and not the stacks.
func TestTail(t *testing.T) {
	var out strings.Builder
	l := &tail{to: &out}
	for n := range 50 {
		fmt.Fprintf(l, "line %d\x1b[2J\n", n)
	}
	if _, lines := l.words(); len(lines) != maxSaid || lines[len(lines)-1] != "line 49[2J" || lines[0] != "line 38[2J" {
		t.Errorf("%q", lines)
	}
	if !strings.HasPrefix(out.String(), "line 0\x1b[2J\nline 1") {
		t.Error("what it said was not passed on as it is")
	}
	l.forget()
	fmt.Fprint(l, "before\npanic: oh no\n\ngoroutine 1 [running]:\n"+strings.Repeat("main.f(...)\n", 100)+strings.Repeat("x", 1000)+"\n")
	fatal, lines := l.words()
	if fatal != "panic: oh no" || len(lines) != maxSaid || lines[0] != "before" || lines[1] != "panic: oh no" {
		t.Errorf("%q, %q", fatal, lines)
	}
	l.forget()
	fmt.Fprint(l, strings.Repeat("x", 1000)+"\n")
	if _, lines := l.words(); len(lines) != 1 || len(lines[0]) != maxSaidLine {
		t.Errorf("%q", lines)
	}
	if got := (life{why: "exit status 2"}).words(l); got.Why != "exit status 2" || len(got.said) != 1 {
		t.Errorf("%+v", got)
	}
	if got := (life{why: "killed", cut: true}).words(l); got.Why != "killed" || len(got.said) > 0 {
		t.Errorf("what it said before somebody killed it: %+v", got)
	}
	if got := (life{hung: true, cut: true}).words(l); len(got.said) != 1 {
		t.Errorf("what it said when it hung: %+v", got)
	}
}

// TestPassedSockets: what was passed to another process, or is no number, is not taken.
func TestPassedSockets(t *testing.T) {
	env := func(pid, fds string) func(string) string {
		return func(name string) string { return map[string]string{"LISTEN_PID": pid, "LISTEN_FDS": fds}[name] }
	}
	for _, test := range []struct {
		pid, fds string
		wrong    bool
	}{{"", "", false}, {"", "3", false}, {"8", "1", false}, {"7", "0", false}, {"7", "x", true}, {"7", "-1", true}, {"7", "17", true}} {
		gateway, control, err := passedSockets(env(test.pid, test.fds), 7)
		if len(gateway) > 0 || control != nil || (err != nil) != test.wrong {
			t.Errorf("%+v: %v, %v, %v", test, gateway, control, err)
		}
	}
}

// TestNodeEnvironment: a node is not told what the service manager told the supervisor, who alone answers for both.
func TestNodeEnvironment(t *testing.T) {
	got := nodeEnvironment([]string{"HOME=/x", "NOTIFY_SOCKET=/n", "WATCHDOG_PID=1", "WATCHDOG_USEC=2", "LISTEN_PID=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=a", "LISTEN=b"})
	if want := []string{"HOME=/x", "LISTEN=b"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
