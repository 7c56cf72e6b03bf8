package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/nix"
	"github.com/flurry-nix/flurry/report"
)

// answerBound is how late an answer may be, whatever the node does: docs/ARCHITECTURE.md says 2 s and the budget of a
// narinfo; the rest is for a machine that has other things to do.
const answerBound = 8 * time.Second

// node is the process id of the daemon's node; 0: there is none now.
func (p *process) node() int {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	for _, file := range threads {
		text, _ := os.ReadFile(file) // a thread may have ended
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				return pid
			}
		}
	}
	return 0
}

// signal sends the node a signal, and returns its process id.
func (p *process) signal(sig syscall.Signal) int {
	p.t.Helper()
	pid := 0
	p.await("to have a node", func() bool { pid = p.node(); return pid != 0 })
	if err := syscall.Kill(pid, sig); err != nil {
		p.t.Fatal(err)
	}
	return pid
}

// crash kills the daemon as a crash would: its node alone, or in every second round the supervisor, too, which is then
// started again. It returns when the daemon answers.
func (p *process) crash(round int) {
	p.t.Helper()
	if round%2 == 0 && p.cmd.ProcessState == nil {
		if pid := p.node(); pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL) // it may just have been
		}
		p.awaitAnswer()
		return
	}
	p.kill()
	p.start()
}

// strike kills what crash kills in that round, and does not wait. The test is not failed: it runs beside it.
func (p *process) strike(round int) {
	if round%2 == 0 {
		if pid := p.node(); pid != 0 {
			syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
	p.cmd.Process.Kill()
}

// asker is a client that accepts nothing but 200 and 404, and nothing late. It tries nothing twice, not even when a connection that
// it used before is closed between an answer and the next question, as every client has to expect.
type asker struct {
	addr    string
	paths   []string
	stop    atomic.Bool
	running sync.WaitGroup

	mu      sync.Mutex
	err     error
	slowest time.Duration
	seen    map[string]int // answers, by path and status
}

// askers is how many clients an asker has.
const askers = 6

// startAsker has clients ask for paths until end is called: some with a connection for each question, some with one for all.
func startAsker(t *testing.T, gateway string, paths ...string) *asker {
	t.Helper()
	a := &asker{addr: strings.TrimPrefix(gateway, "http://"), paths: append([]string{"/nix-cache-info"}, paths...), seen: make(map[string]int)}
	for n := range askers {
		a.running.Go(func() { a.ask(n, n%2 == 0) })
	}
	t.Cleanup(func() { a.end(t) })
	return a
}

// end stops the clients and fails the test if anything went wrong.
func (a *asker) end(t *testing.T) {
	t.Helper()
	a.stop.Store(true)
	a.running.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		t.Errorf("a client that asks all the time: %v", a.err)
		a.err = nil
	}
	if a.slowest > answerBound {
		t.Errorf("an answer took %v", a.slowest)
	}
	t.Logf("the slowest answer took %v; answers: %v", a.slowest, a.seen)
}

// count is how many answers of that status there were to a path.
func (a *asker) count(path string, status int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[fmt.Sprintf("%s %d", path, status)]
}

func (a *asker) ask(n int, keep bool) {
	var c net.Conn
	var r *bufio.Reader
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	for !a.stop.Load() {
		path := a.paths[n%len(a.paths)]
		begun := time.Now()
		if c == nil {
			var err error
			if c, err = net.Dial("tcp", a.addr); err != nil {
				a.note(path, 0, 0, err)
				return
			}
			r = bufio.NewReader(c)
		}
		status, last, err := exchange(c, r, path)
		a.note(path, status, time.Since(begun), err)
		if err != nil {
			return
		}
		n++
		if last || !keep {
			c.Close()
			c = nil
		}
	}
}

// exchange asks for a path over c. last: the server ends the connection.
func exchange(c net.Conn, r *bufio.Reader, path string) (status int, last bool, err error) {
	c.SetDeadline(time.Now().Add(2 * answerBound))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path); err != nil {
		return 0, true, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, true, err
	}
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
	case path == "/nix-cache-info" && (resp.StatusCode != http.StatusOK || string(body) != "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 35\n"):
		err = fmt.Errorf("nix-cache-info is %d: %q", resp.StatusCode, body)
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound:
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return resp.StatusCode, resp.Close, err
}

func (a *asker) note(path string, status int, took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("%s: %w", path, err)
	}
	a.slowest = max(a.slowest, took)
	a.seen[fmt.Sprintf("%s %d", path, status)]++
}

// down waits until the daemon says that its node is down, and returns what it says.
func (p *process) down(contains string) *report.Problem {
	p.t.Helper()
	var problem *report.Problem
	p.await("to say "+contains, func() bool {
		var said struct{ Error *report.Problem }
		var out bytes.Buffer
		cmd := p.command(p.t.Context(), "--json", "status")
		cmd.Stdout = &out
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != report.ExitNoDaemon || json.Unmarshal(out.Bytes(), &said) != nil || said.Error == nil {
			return false
		}
		problem = said.Error
		return problem.ID == "node-down" && strings.Contains(problem.Message+" "+strings.Join(problem.Found, "\n"), contains)
	})
	return problem
}

// listing publishes paths in a namespace of the daemon's own and returns the narinfos to ask for: of the first path, and of
// one that nobody has.
func (p *process) listing(paths []nix.StorePath) (there, absent string) {
	p.must(nil, "new", "acme-1")
	p.must(nil, "use", "acme-1")
	p.must(nil, "publish", "acme-1", paths[len(paths)-1].String())
	return "/" + paths[0].Hash().String() + ".narinfo", "/" + strings.Repeat("0", 32) + ".narinfo"
}

// health is what the gateway says of the daemon's health.
func (p *process) health() (status int, text string) {
	p.t.Helper()
	resp, err := http.Get(p.gateway + "/health")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestStandbyNodeKilled: the node is killed again and again while clients ask. None of them notices more than 404, and the
// node comes back each time.
func TestStandbyNodeKilled(t *testing.T) {
	paths := small(t, "standby-killed")
	p := daemon(t, "daemon")
	there, absent := p.listing(paths)
	a := startAsker(t, p.gateway, there, absent)
	for range 3 {
		before := a.count(there, http.StatusOK)
		p.await("to give the path", func() bool { return a.count(there, http.StatusOK) > before })
		pid := p.signal(syscall.SIGKILL)
		p.await("to have another node", func() bool { n := p.node(); return n != 0 && n != pid })
	}
	before := a.count(there, http.StatusOK)
	p.await("to give the path again", func() bool { return a.count(there, http.StatusOK) > before })
	a.end(t)
	if a.count(there, http.StatusNotFound) == 0 {
		t.Error("the standby was never asked: the test tests nothing")
	}
	if a.count(absent, http.StatusOK) > 0 {
		t.Error("a path that nobody has was given")
	}
	var s report.Status
	p.awaitAnswer()
	p.must(&s, "status")
	if !slices.ContainsFunc(s.Problems, func(p report.Problem) bool { return p.ID == "node-restarted" && strings.Contains(p.Message, "SIGKILL") }) {
		t.Errorf("status does not say that the node was started anew: %+v", s.Problems)
	}
	p.stop()
}

// TestStandbyHangs: a node that is stopped does not keep clients waiting, neither those that come nor those that it has.
// When it goes on it is given the clients back; when it does not, it is killed.
func TestStandbyHangs(t *testing.T) {
	paths := small(t, "standby-hangs")
	p := daemon(t, "daemon")
	there, absent := p.listing(paths)
	a := startAsker(t, p.gateway, there, absent)
	p.await("to give the path", func() bool { return a.count(there, http.StatusOK) > 100 })
	pid := p.signal(syscall.SIGSTOP)
	p.await("to answer for the node", func() bool { return a.count(there, http.StatusNotFound) > 0 })
	p.down("does not answer")
	if status, text := p.health(); status != http.StatusServiceUnavailable || !strings.Contains(text, `"status":"standby"`) || !strings.Contains(text, "does not answer") {
		t.Errorf("/health: %d %s", status, text)
	}
	p.signal(syscall.SIGCONT)
	before := a.count(there, http.StatusOK)
	p.await("to give the path again", func() bool { return a.count(there, http.StatusOK) > before })
	if n := p.node(); n != pid {
		t.Errorf("the node that went on was started anew (%d, %d)", pid, n)
	}
	p.signal(syscall.SIGSTOP)
	p.await("to start another", func() bool { n := p.node(); return n != 0 && n != pid })
	before = a.count(there, http.StatusOK)
	p.await("to give the path after all", func() bool { return a.count(there, http.StatusOK) > before })
	a.end(t)
	p.stop()
}

// TestStandbyMidNar: a NAR that is cut off by the node's death ends short, and asking for its rest is answered.
func TestStandbyMidNar(t *testing.T) {
	path := build(t, "standby-nar", pkg{name: "large", seed: 1, size: 8_000_000})[0]
	p := daemon(t, "daemon")
	p.listing([]nix.StorePath{path})
	info := p.narinfo(path)
	c, resp := p.open(info.URL, "")
	defer c.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGKILL)
	rest, err := io.Copy(io.Discard, resp.Body)
	if err == nil {
		t.Fatalf("a NAR that was cut off ended well, after %d bytes", rest)
	}
	c, resp = p.open(info.URL, fmt.Sprintf("Range: bytes=%d-\r\n", 1<<20))
	c.Close()
	if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusPartialContent {
		t.Errorf("the rest: %s", resp.Status)
	}
	p.awaitAnswer()
	c, resp = p.open(info.URL, "")
	defer c.Close()
	if n, err := io.Copy(io.Discard, resp.Body); uint64(n) != info.NarSize || err != nil {
		t.Errorf("again: %d bytes, %v", n, err)
	}
}

// TestStandbyCutsOffSoon: a NAR that a node which hangs was giving out is cut off before a build has lost 2 s, and who asks for the
// rest is answered at once.
func TestStandbyCutsOffSoon(t *testing.T) {
	path := build(t, "standby-cut", pkg{name: "large", seed: 2, size: 30_000_000})[0]
	p := daemon(t, "daemon")
	p.listing([]nix.StorePath{path})
	info := p.narinfo(path)
	c, resp := p.open(info.URL, "")
	defer c.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGSTOP)
	began := time.Now()
	rest, err := io.Copy(io.Discard, resp.Body)
	if err == nil {
		t.Fatalf("a NAR that was cut off ended well, after %d bytes", rest)
	}
	cut := time.Since(began)
	t.Logf("cut off after %v", cut)
	if cut > 3*time.Second { // by design 1.35 s at the most; the rest is for a machine that has other things to do
		t.Errorf("a NAR of a node that hangs was cut off after %v", cut)
	}
	began = time.Now()
	c, resp = p.open(info.URL, fmt.Sprintf("Range: bytes=%d-\r\n", 1<<20))
	c.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusNotFound || took > time.Second {
		t.Errorf("the rest: %s after %v", resp.Status, took)
	}
}

// TestDrain: a NAR under way is given to its end when the daemon reads its configuration anew, and when it stops, while
// others are answered by the standby.
func TestDrain(t *testing.T) {
	path := build(t, "drain", pkg{name: "large", seed: 1, size: 30_000_000})[0]
	p := daemon(t, "daemon")
	there, _ := p.listing([]nix.StorePath{path})
	info := p.narinfo(path)
	drain := func(sig syscall.Signal, then func(a *asker)) {
		t.Helper()
		a := startAsker(t, p.gateway, there)
		p.await("to give the path", func() bool { return a.count(there, http.StatusOK) > 0 })
		c, resp := p.open(info.URL, "")
		defer c.Close()
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		before := a.count(there, http.StatusNotFound)
		p.await("to let the standby answer", func() bool { return a.count(there, http.StatusNotFound) > before+10 })
		if sig != syscall.SIGHUP {
			a.end(t) // what comes when there is nobody any more is refused
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if uint64(n) != info.NarSize-1<<20 || err != nil {
			t.Errorf("%v: the rest of the NAR: %d of %d bytes, %v", sig, n, info.NarSize-1<<20, err)
		}
		then(a)
	}
	pid := p.node()
	drain(syscall.SIGHUP, func(a *asker) {
		before := a.count(there, http.StatusOK)
		p.await("to give the path again", func() bool { return a.count(there, http.StatusOK) > before })
		a.end(t)
	})
	if p.node() == pid {
		t.Error("SIGHUP started no other node")
	}
	drain(syscall.SIGTERM, func(*asker) {
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, p.stderr)
		}
	})
}

// narinfo asks the gateway for a path.
func (p *process) narinfo(path nix.StorePath) *nix.NarInfo {
	p.t.Helper()
	resp, err := http.Get(p.gateway + "/" + path.Hash().String() + ".narinfo")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	info, err := nix.ParseNarInfo(text)
	if err != nil {
		p.t.Fatalf("%s: %v: %s", resp.Status, err, text)
	}
	return info
}

// open asks for a file of the gateway over a connection of its own.
func (p *process) open(url, header string) (net.Conn, *http.Response) {
	p.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(p.gateway, "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n", url, header)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return c, resp
}

// TestCrashLoop: a node that does not come up any more is tried again and again; people are told why, and clients 404.
func TestCrashLoop(t *testing.T) {
	p := daemon(t, "daemon")
	format := filepath.Join(p.state, "format")
	good, err := os.ReadFile(format)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(format, []byte("flurry store 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := startAsker(t, p.gateway, "/"+strings.Repeat("0", 32)+".narinfo")
	p.signal(syscall.SIGKILL)
	problem := p.down("was written by a later flurry")
	if !slices.Contains(problem.Try, "upgrade") {
		t.Errorf("%+v", problem)
	}
	p.down("it stopped 3 times in a row")
	for range 1500 { // they say nothing, and are in nobody's way
		c, err := net.Dial("tcp", strings.TrimPrefix(p.gateway, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	asked := a.count("/nix-cache-info", http.StatusOK)
	p.await("to answer beside silent connections", func() bool { return a.count("/nix-cache-info", http.StatusOK) > asked+50 })
	if status, text := p.health(); status != http.StatusServiceUnavailable || !strings.Contains(text, "was written by a later flurry") {
		t.Errorf("/health: %d %s", status, text)
	}
	if err := os.WriteFile(format, good, 0o600); err != nil {
		t.Fatal(err)
	}
	p.awaitAnswer()
	a.end(t)
	p.stop()
}

// manager is the service manager that started a daemon, as far as the daemon hears of it.
type manager struct {
	conn *net.UnixConn
	at   string

	mu   sync.Mutex
	said []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{at: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: m.at}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := m.conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.said = append(m.said, strings.Split(string(b[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
	return m
}

// heard reports whether the daemon said something with that in it.
func (m *manager) heard(what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.said, func(s string) bool { return strings.Contains(s, what) })
}

// TestBadConfiguration: under a service manager, which holds the sockets, a daemon whose configuration is wrong answers, says
// what is wrong, and starts its node when that is mended. One that was good is not given up for one that is wrong.
func TestBadConfiguration(t *testing.T) {
	m := newManager(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "daemon"), 0o755); err != nil {
		t.Fatal(err)
	}
	desk, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "daemon", "control.sock")})
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close()
	socket, err := desk.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	p := &process{t: t, name: "daemon", state: filepath.Join(dir, "daemon"), config: filepath.Join(dir, "flurry.toml"), gateway: "http://" + l.Addr().String(), stderr: &lockedBuffer{}}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[network]\nlan = false\nwam = false\n")
	p.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=2 exec "$@"`, "sh", flurry(t), "daemon", "--config", p.config, "--state", p.state, "--loopback")
	p.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.at, "WATCHDOG_USEC=200000")
	p.cmd.ExtraFiles = []*os.File{file, socket}
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.await("to say that it is there", func() bool { return m.heard("READY=1") })
	if took := time.Since(began); took > 9*time.Second { // what it says after 10 s whatever happens is not meant
		t.Errorf("it said that it was there after %v", took)
	}
	a := startAsker(t, p.gateway, "/"+strings.Repeat("0", 32)+".narinfo")
	p.down(`flurry.toml:3: unknown key "wam" in [network]`)
	p.await("to tell the service manager", func() bool {
		return m.heard("READY=1") && m.heard("WATCHDOG=1") && m.heard("STATUS=the node is not running: "+p.config+":3")
	})
	if p.node() != 0 {
		t.Error("there is a node")
	}
	write("[network]\nlan = false\n")
	p.awaitAnswer()
	p.await("to say that it runs", func() bool { return m.heard("STATUS=the node runs") })
	pid := p.node()

	// A wrong file does not end a node that runs.
	write("[network]\nlan = fasle\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.await("to see it", func() bool { return strings.Contains(p.stderr.String(), "the node goes on with the one before") })
	if p.node() != pid {
		t.Error("the node was stopped for a configuration that is wrong")
	}
	p.signal(syscall.SIGKILL)
	p.down("flurry.toml:2")
	write("[network]\nlan = false\n")
	p.awaitAnswer()
	a.end(t)
	p.stop()
	if !m.heard("STOPPING=1") {
		t.Error("the service manager was not told of the end")
	}
	if _, err := os.Stat(filepath.Join(p.state, "control.sock")); err != nil {
		t.Errorf("the service manager's socket was taken away: %v", err)
	}
}

// TestOtherAddress: an address that the configuration adds is opened, one that it no longer has is closed, and one that stays
// refuses nobody.
func TestOtherAddress(t *testing.T) {
	dir := t.TempDir()
	stays, goes, comes := "127.0.0.1:"+peerPort(t), "127.0.0.1:"+peerPort(t), "127.0.0.1:"+peerPort(t)
	p := &process{t: t, name: "daemon", state: filepath.Join(dir, "daemon"), config: filepath.Join(dir, "flurry.toml"), gateway: "http://" + stays, stderr: &lockedBuffer{}}
	write := func(at ...string) {
		t.Helper()
		if err := os.WriteFile(p.config, fmt.Appendf(nil, "[network]\nlan = false\n[gateway]\nlisten = [%q, %q]\n", at[0], at[1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(goes, stays)
	p.cmd = exec.Command(flurry(t), "daemon", "--config", p.config, "--state", p.state, "--loopback")
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.awaitAnswer()
	reaches := func(addr string) bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer c.Close()
		status, _, err := exchange(c, bufio.NewReader(c), "/nix-cache-info")
		return err == nil && status == http.StatusOK
	}
	if !reaches(goes) || !reaches(stays) || reaches(comes) {
		t.Fatal("it does not listen where it should")
	}
	a := startAsker(t, "http://"+stays)
	write(stays, comes)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await("to listen at the other address", func() bool { return reaches(comes) && !reaches(goes) })
	var s report.Status
	p.await("to say so", func() bool { return p.ask(&s, "status") == nil && s.Gateway.URL == "http://"+stays })
	a.end(t)
	p.stop()
}

// TestNodeDiesWithSupervisor: nobody is left behind, also not a node that hangs and hears of nothing, and whoever comes next gets the state
// directory.
func TestNodeDiesWithSupervisor(t *testing.T) {
	p := daemon(t, "daemon")
	for _, hangs := range []bool{false, true} {
		pid := p.node()
		if hangs {
			p.signal(syscall.SIGSTOP)
		}
		p.kill()
		p.await("to leave nothing behind", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
		p.start()
	}
	p.stop()
}
