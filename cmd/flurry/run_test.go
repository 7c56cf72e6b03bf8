package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/flurry-nix/flurry/control"
	"github.com/flurry-nix/flurry/report"
)

// screen is what a command that ran in this process wrote.
type screen struct{ out, err bytes.Buffer }

// runHere runs a command line in this process.
func runHere(ctx context.Context, in string, change func(*environment), args ...string) (int, *screen) {
	var s screen
	env := environment{in: strings.NewReader(in), out: &s.out, err: &s.err, getenv: func(string) string { return "" }}
	if change != nil {
		change(&env)
	}
	return run(ctx, args, env), &s
}

// player is a daemon that plays a part: what is not set is not asked.
type player struct {
	control.Daemon
	publish func(context.Context, control.PublishRequest, func(report.PublishProgress)) (report.Publish, error)
	show    func(control.ShowRequest) (report.Show, error)
	leave   func(control.LeaveRequest) (report.Leave, error)
	status  func(context.Context) (report.Status, error)
}

func (p *player) Publish(ctx context.Context, r control.PublishRequest, progress func(report.PublishProgress)) (report.Publish, error) {
	return p.publish(ctx, r, progress)
}
func (p *player) Show(_ context.Context, r control.ShowRequest) (report.Show, error) {
	return p.show(r)
}
func (p *player) Leave(_ context.Context, r control.LeaveRequest) (report.Leave, error) {
	return p.leave(r)
}
func (p *player) Status(ctx context.Context, _ control.StatusRequest) (report.Status, error) {
	return p.status(ctx)
}

// leavesNothing fails the test if a goroutine outlives what is cleaned up after this call.
func leavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// play serves p at a socket until the test ends.
func play(t *testing.T, p *player) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- control.Serve(ctx, l, p, control.Roles{Owner: ownUID()}, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return name
}

func ownUID() int {
	owner, err := ownerOf("/proc/self")
	if err != nil {
		return 0
	}
	return owner
}

const aPath = "/nix/store/lsvsfxv3rkwdn7ipyir4mizrk7wh49wz-widget-1.4.2"

// TestCtrlC: it ends a command, says nothing, and the daemon's work with it.
func TestCtrlC(t *testing.T) {
	leavesNothing(t)
	ctx, ctrlC := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	socket := play(t, &player{publish: func(ctx context.Context, _ control.PublishRequest, _ func(report.PublishProgress)) (report.Publish, error) {
		ctrlC()
		<-ctx.Done()
		stopped <- ctx.Err()
		return report.Publish{}, ctx.Err()
	}})
	code, s := runHere(ctx, "", nil, "publish", "acme-1", aPath, "--socket", socket)
	if code != exitInterrupted || s.out.Len() > 0 || s.err.Len() > 0 {
		t.Errorf("exit code %d: %s%s", code, &s.out, &s.err)
	}
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestProgress: a bar on a terminal, one line elsewhere, nothing with --quiet, events with --json; and never a colour.
func TestProgress(t *testing.T) {
	socket := play(t, &player{publish: func(_ context.Context, r control.PublishRequest, progress func(report.PublishProgress)) (report.Publish, error) {
		progress(report.PublishProgress{Paths: 2, PathsDone: 1, Bytes: 2e6, BytesDone: 1e6})
		p := report.Publish{Namespace: r.Namespace, Roots: 1, Closure: 2, Paths: 2, NarBytes: 2e6}
		p.Complete()
		return p, nil
	}})
	for _, test := range []struct {
		name     string
		terminal bool
		args     []string
		says     *regexp.Regexp // on stderr
		answers  *regexp.Regexp // on stdout
	}{
		{"terminal", true, nil, regexp.MustCompile(`^\racme-1 +50% .*1\.0/2\.0 MB`), regexp.MustCompile(`^acme-1: 1 root, closure of 2 paths\n`)},
		{"no terminal", false, nil, regexp.MustCompile(`^acme-1: reading 2 paths, 2\.00 MB of NARs\n$`), regexp.MustCompile(`^acme-1: 1 root`)},
		{"quiet", true, []string{"--quiet"}, regexp.MustCompile(`^$`), regexp.MustCompile(`^acme-1: 1 root`)},
		{"json", true, []string{"--json"}, regexp.MustCompile(`^$`), regexp.MustCompile(`^{"schema":"flurry/publish/1","event":"progress","paths":2,.*}\n{"schema":"flurry/publish/1","event":"done",.*}\n$`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, s := runHere(t.Context(), "", func(e *environment) { e.errTerminal = test.terminal }, append([]string{"publish", "acme-1", aPath, "--socket", socket}, test.args...)...)
			if code != 0 || !test.says.Match(s.err.Bytes()) || !test.answers.Match(s.out.Bytes()) {
				t.Errorf("exit code %d\n%q\n%q", code, &s.out, &s.err)
			}
			if coloured := regexp.MustCompile(`\x1b\[[0-9;]*m`); coloured.Match(s.err.Bytes()) || coloured.Match(s.out.Bytes()) {
				t.Errorf("coloured: %q %q", &s.out, &s.err)
			}
		})
	}
}

// TestConfirm: what is lost is asked for, and only a yes is one.
func TestConfirm(t *testing.T) {
	var asked []control.LeaveRequest
	publisher := false
	p := &player{
		show: func(control.ShowRequest) (report.Show, error) {
			return report.Show{Publisher: publisher, Publications: 3}, nil
		},
		leave: func(r control.LeaveRequest) (report.Leave, error) {
			asked = append(asked, r)
			return report.Leave{Schema: "flurry/leave/1", Alias: r.Namespace}, nil
		},
	}
	socket := play(t, p)
	terminal := func(e *environment) { e.inTerminal = true }
	for _, test := range []struct {
		answer  string
		change  func(*environment)
		args    []string
		left    bool
		exit    int
		says    string
		publish bool
	}{
		{"y\n", terminal, nil, true, 0, "Forget all that is known of acme-1 here, too? [y/N] ", false},
		{" YES \n", terminal, nil, true, 0, "[y/N]", false},
		{"n\n", terminal, nil, false, 2, "nothing was changed", false},
		{"\n", terminal, nil, false, 2, "nothing was changed", false},
		{"", terminal, nil, false, 2, "nothing was changed", false},
		{"yes please\n", terminal, nil, false, 2, "nothing was changed", false},
		{"n\n", terminal, nil, false, 2, "acme-1 is published from here. Forget its document and all 3 publications, too?", true},
		{"y\n", nil, nil, false, 2, "Nobody is here to answer", false},
		{"", nil, []string{"--yes"}, true, 0, "", false},
	} {
		asked, publisher = nil, test.publish
		code, s := runHere(t.Context(), test.answer, test.change, append([]string{"leave", "acme-1", "--purge", "--socket", socket}, test.args...)...)
		if code != test.exit || (len(asked) == 1) != test.left || !strings.Contains(s.err.String(), test.says) {
			t.Errorf("%q %q: exit code %d, asked %+v: %s", test.answer, test.args, code, asked, &s.err)
		}
	}
}

// TestWatch draws the status anew each second until it is ended, which is no error.
func TestWatch(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	n := 0
	socket := play(t, &player{status: func(context.Context) (report.Status, error) {
		if n++; n == 2 {
			end()
		}
		return report.Status{Schema: "flurry/status/1", Version: "v"}, nil
	}})
	code, s := runHere(ctx, "", func(e *environment) { e.outTerminal = true }, "status", "--watch", "--socket", socket)
	if code != 0 || strings.Count(s.out.String(), clearScreen) != 2 || s.err.Len() > 0 {
		t.Errorf("exit code %d: %q %q", code, &s.out, &s.err)
	}
}

// TestErrorsInJSON: an error is told in JSON when that was asked for, wherever the flag stands.
func TestErrorsInJSON(t *testing.T) {
	for _, args := range [][]string{{"--json", "use"}, {"use", "--json"}, {"use", "--nonsense", "--json"}, {"nonsense", "--json"}, {"status", "--timeout", "x", "--json"}, {"help", "nonsense", "--json"}} {
		code, s := runHere(t.Context(), "", nil, args...)
		var answer struct{ Error *report.Problem }
		if err := json.Unmarshal(s.out.Bytes(), &answer); err != nil || answer.Error == nil || code != report.ExitUsage || answer.Error.Exit != code || s.err.Len() > 0 {
			t.Errorf("%q: exit code %d: %s%s", args, code, &s.out, &s.err)
		}
	}
	if code, s := runHere(t.Context(), "", nil, "use", "--", "--json"); code != report.ExitNoDaemon || s.out.Len() > 0 {
		t.Errorf("what follows -- is no flag: exit code %d: %s%s", code, &s.out, &s.err)
	}
}

// TestUnwritable: an answer that cannot be written is an error.
func TestUnwritable(t *testing.T) {
	socket := play(t, &player{status: func(context.Context) (report.Status, error) { return report.Status{}, nil }})
	code, s := runHere(t.Context(), "", func(e *environment) { e.out = broken{} }, "status", "--json", "--socket", socket)
	if code != report.ExitFailed {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestTimeoutLeavesNothing: what --timeout ends is over.
func TestTimeoutLeavesNothing(t *testing.T) {
	leavesNothing(t)
	gone := make(chan struct{})
	socket := play(t, &player{status: func(ctx context.Context) (report.Status, error) {
		<-ctx.Done()
		close(gone)
		return report.Status{}, ctx.Err()
	}})
	code, s := runHere(t.Context(), "", nil, "status", "--timeout", "30ms", "--socket", socket)
	if code != report.ExitFailed || !strings.Contains(s.err.String(), "not done in 30ms") {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	<-gone
}

// TestLogLevel: quiet before loud, -v no quieter than FLURRY_LOG.
func TestLogLevel(t *testing.T) {
	for _, test := range []struct {
		env     string
		quiet   bool
		verbose int
		want    slog.Level
	}{
		{"", false, 0, slog.LevelInfo}, {"error", false, 0, slog.LevelError}, {"warn", false, 0, slog.LevelWarn}, {"info", false, 0, slog.LevelInfo}, {"debug", false, 0, slog.LevelDebug},
		{"warn", false, 1, slog.LevelInfo}, {"debug", false, 1, slog.LevelDebug}, {"", false, 2, slog.LevelDebug}, {"debug", true, 2, slog.LevelError},
	} {
		sh := inShell(0, "FLURRY_LOG="+test.env)
		sh.quiet, sh.verbose = test.quiet, test.verbose
		if got, err := sh.logLevel(); err != nil || got != test.want {
			t.Errorf("%+v: %v, %v", test, got, err)
		}
	}
	if _, err := inShell(0, "FLURRY_LOG=loud").logLevel(); problemID(err) != "usage" {
		t.Errorf("%v", err)
	}
}

// TestQuota: a part of the disk is taken of the disk that the state is on, or will be.
func TestQuota(t *testing.T) {
	space, err := spaceFor(filepath.Join(t.TempDir(), "not", "there", "yet"))
	if err != nil || space.Total == 0 {
		t.Fatalf("%+v, %v", space, err)
	}
	if got := (amount{percent: 50}).of(space.Total); got < space.Total/2-1 || got > space.Total/2+1 {
		t.Errorf("%d of %d", got, space.Total)
	}
}
