package e2e

import (
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStartHangs: a node that does not come to its feet, since its disk does not answer, keeps nobody waiting: Nix is answered, the service
// manager is told that the service is there, people are told how things are. When the disk answers it runs, and when that is stopped in the
// middle of a start it ends.
func TestStartHangs(t *testing.T) {
	needRoot(t, "only root can have the kernel ask before files are read")
	paths := small(t, "start-hangs")
	p := daemon(t, "daemon", "--gateway", "127.0.0.1:"+peerPort(t))
	there, absent := p.listing(paths)
	p.stop()
	m := newManager(t)
	disk := newDisk(t, p.state)
	p.gateway = "http://" + p.args[1]
	begin := func() {
		t.Helper()
		disk.hangs()
		p.begin("NOTIFY_SOCKET=" + m.at)
		p.await("to open its sockets", func() bool {
			status, err := askOnce(p.args[1], "/nix-cache-info")
			return err == nil && status == http.StatusOK
		})
	}
	begin()
	a := startAsker(t, p.gateway, there, absent)
	p.down("the node is starting") // after a while: it may only just have begun
	p.await("to tell the service manager", func() bool { return m.heard("READY=1") && m.heard("STATUS=the node is starting") })
	if status, text := p.health(); status != http.StatusServiceUnavailable || !strings.Contains(text, "the node is starting") {
		t.Errorf("/health: %d %s", status, text)
	}
	if a.count(there, http.StatusOK) > 0 || a.count(there, http.StatusNotFound) == 0 || a.count("/nix-cache-info", http.StatusOK) == 0 {
		t.Error("the standby did not answer")
	}
	disk.goesOn()
	p.await("to give the path", func() bool { return a.count(there, http.StatusOK) > 0 })
	a.end(t)
	p.stop()

	begin()
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, p.stderr)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("a node that starts was waited for %v", took)
	}
}

// TestPassedElsewhere: a service manager's socket that others than this machine reach is refused, and Nix is not answered there.
func TestPassedElsewhere(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh", flurry(t), "daemon", "--config", os.DevNull, "--state", stateDir(t), "--loopback")
	cmd.ExtraFiles = []*os.File{file}
	cmd.WaitDelay = time.Minute
	var exit *exec.ExitError
	if out, err := cmd.CombinedOutput(); !errors.As(err, &exit) || !strings.Contains(string(out), "is not on loopback; the gateway is for this machine's Nix alone") {
		t.Errorf("%v: %s", err, out)
	}
}
