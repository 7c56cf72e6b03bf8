package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flurry-nix/flurry/report"
)

// startGrace is how long who asks waits for a node that starts, less what a timer may be early. On a machine on which starting takes longer, he
// is told "not here".
const startGrace = 900 * time.Millisecond

// waited reports whether an answer took as long as that.
func (a *asker) waited(long time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.slowest >= long
}

// TestRestartUnnoticed: who asks while the node is started anew, or when it has died for the first time, waits for the next one, and is not
// told "not here", which Nix would remember. What the node was reading, and had read when it died, is answered by the standby: a question a client.
func TestRestartUnnoticed(t *testing.T) {
	paths := small(t, "restart")
	p := daemon(t, "daemon")
	there, _ := p.listing(paths)
	a := startAsker(t, p.gateway, there)
	for range 3 {
		before, pid := a.count(there, http.StatusOK), p.node()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		p.await("to have another node", func() bool { n := p.node(); return n != 0 && n != pid })
		p.await("to give the path again", func() bool { return a.count(there, http.StatusOK) > before+100 })
	}
	// A question that the node was just reading when it ended is answered by the standby: few, in three restarts.
	if n := a.count(there, http.StatusNotFound); n > askers && !a.waited(startGrace) {
		t.Errorf("%d questions for what is there were answered with \"not here\" while the node was started anew", n)
	}
	before, missed := a.count(there, http.StatusOK), a.count(there, http.StatusNotFound)
	pid := p.signal(syscall.SIGKILL)
	p.await("to have another node", func() bool { n := p.node(); return n != 0 && n != pid })
	p.await("to give the path again", func() bool { return a.count(there, http.StatusOK) > before+100 })
	if n := a.count(there, http.StatusNotFound); n > missed+askers && !a.waited(startGrace) {
		t.Errorf("%d questions of %d clients were answered with \"not here\" when the node died", n, askers)
	}
	a.end(t)
	p.stop()
}

// TestSuccessor: a daemon whose sockets the service manager holds leaves those who come while it ends to the one that is started after it.
func TestSuccessor(t *testing.T) {
	paths := small(t, "successor")
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
	p := &process{t: t, name: "daemon", state: filepath.Join(stateDir(t), "daemon"), gateway: "http://" + l.Addr().String()}
	start := func() {
		p.stderr = &lockedBuffer{}
		p.cmd = exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh", flurry(t), "daemon", "--config", os.DevNull, "--state", p.state, "--loopback", "--lan=false")
		p.cmd.ExtraFiles, p.cmd.Stderr = []*os.File{file}, p.stderr
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(p.kill)
	p.awaitAnswer()
	there, _ := p.listing(paths)
	var given, missed, slowest atomic.Int64
	var stop atomic.Bool
	var clients sync.WaitGroup
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range askers {
		clients.Go(func() {
			for !stop.Load() {
				begun := time.Now()
				resp, err := client.Get(p.gateway + there)
				slowest.Store(max(slowest.Load(), int64(time.Since(begun))))
				switch {
				case err != nil:
					t.Errorf("a client: %v", err)
					return
				case resp.StatusCode == http.StatusOK:
					given.Add(1)
				default:
					missed.Add(1)
				}
				resp.Body.Close()
			}
		})
	}
	for range 3 {
		before := given.Load()
		p.await("to give the path", func() bool { return given.Load() > before+50 })
		p.stop()
		start()
	}
	before := given.Load()
	p.await("to give the path again", func() bool { return given.Load() > before+50 })
	stop.Store(true)
	clients.Wait()
	// Each client may have had a question in the daemon that ended.
	if n := missed.Load(); n > 3*askers && slowest.Load() < int64(startGrace) {
		t.Errorf("%d of %d questions were answered with \"not here\" in three restarts", n, n+given.Load())
	}
	t.Logf("%d given, %d not here", given.Load(), missed.Load())
	var s report.Status
	p.must(&s, "status")
	p.stop()
}
